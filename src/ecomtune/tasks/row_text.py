"""A row's inputs as texts, and as the lines of a prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ecomtune.core.config.definition import CUES, TaskDefinition
from ecomtune.core.text import normalize, words_of

Fields = Mapping[str, str | list[str]]


def text_of(fields: Fields, name: str) -> str:
    """An input as one text; the items of a list are joined by spaces."""
    value = fields.get(name, "")
    return value if isinstance(value, str) else " ".join(value)


def texts_of(fields: Fields, name: str) -> list[str]:
    """An input as a list of texts."""
    value = fields.get(name, [])
    return [value] if isinstance(value, str) else list(value)


def body(definition: TaskDefinition, fields: Fields) -> str:
    """The lines of a prompt that show a row, and the cue that the answer follows."""
    cue = definition.cue or CUES[definition.kind]
    return "\n".join([*_input_lines(definition, fields), *_hint_lines(definition, fields), f"{cue}:"])


def _input_lines(definition: TaskDefinition, fields: Fields) -> Iterator[str]:
    appended = {name for names in definition.append.values() for name in names}
    for name, word in definition.inputs.items():
        if name in definition.lists:
            items = texts_of(fields, name)
            yield from ([f"{word}:", *(f"- {item}" for item in items)] if items or name not in definition.optional else [])
        elif name not in appended and (text_of(fields, name) or name not in definition.optional):
            yield f"{word}: {_with_appended(fields, name, definition.append.get(name, ()))}"


def _with_appended(fields: Fields, name: str, others: tuple[str, ...]) -> str:
    """An input, and behind it the texts of others that it doesn't contain."""
    text = text_of(fields, name)
    words = f" {normalize(text)} "
    texts = [text_of(fields, other) for other in others]
    return ", ".join([text, *(each for each in texts if normalize(each) and f" {normalize(each)} " not in words)])


def _hint_lines(definition: TaskDefinition, fields: Fields) -> Iterator[str]:
    if "missing_words" in definition.hints:
        yield f"Missing: {missing_words(definition, fields)}"


def missing_words(definition: TaskDefinition, fields: Fields) -> str:
    """The first input's words that the others lack, which small models don't find reliably by comparing the texts."""
    first, *others = definition.inputs
    known = {word for name in others for word in words_of(text_of(fields, name))}
    return " ".join(word for word in words_of(text_of(fields, first)) if word not in known) or "none"

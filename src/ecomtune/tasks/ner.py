"""Named entity recognition: the entity type of each word of a text.

The answer form is ours: one line per word, the word and a short word for its type; ``+`` continues the entity before it,
``none`` means O. Type words that begin with different tokens let constrained decoding choose a tag in one step.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from ecomtune.core.config.definition import CONTINUE, OUTSIDE
from ecomtune.core.records import EntityPair, Reference
from ecomtune.tasks.base import PromptForm, Task
from ecomtune.tasks.row_text import Fields, texts_of


@dataclass(frozen=True)
class Ner(Task):
    """Input: the words of a text. Reference: one IOB2 tag per word."""

    metric = "entities"

    def instruction(self, form: PromptForm) -> str:
        """The instruction, and behind it the type words and the form of answers where it doesn't name them."""
        text = super().instruction(form)
        named = set(re.findall(r"[^\s,.;:()]+", text))
        type_words = self.definition.type_words.values()
        lines = [text] if named.issuperset(type_words) else [text, f"Types: {', '.join(type_words)}."]
        if not named.issuperset((OUTSIDE, CONTINUE)):
            lines.append(
                f"Write one line a word: the word, a space, its type; {CONTINUE} for a word that continues the entity before "
                f"it, {OUTSIDE} for a word outside any entity."
            )
        return "\n".join(lines)

    def words(self, fields: Fields) -> list[str]:
        return texts_of(fields, self.definition.words)

    def target(self, fields: Fields, reference: Reference) -> str:
        words = self.words(fields)
        if not isinstance(reference, list) or len(words) != len(reference):
            raise ValueError(f"{len(words)} words but {len(reference)} tags")
        return "\n".join(f"{word} {tag}" for word, tag in zip(words, self.tag_words(reference), strict=True))

    def tag_words(self, tags: Sequence[str]) -> list[str]:
        """Answer words of IOB2 tags. Raises ValueError for an unknown tag or an I- that continues no entity."""
        type_words = self.definition.type_words
        words = []
        previous = "O"
        for tag in tags:
            kind = tag[2:]
            if tag == "O":
                words.append(OUTSIDE)
            elif tag.startswith("B-") and kind in type_words:
                words.append(type_words[kind])
            elif tag.startswith("I-") and previous[2:] == kind and kind in type_words:
                words.append(CONTINUE)
            else:
                raise ValueError(_tag_error(tag, previous, type_words))
            previous = tag
        return words

    def answer_choices(self, previous: str | None) -> list[str]:
        start = [*self.definition.type_words.values(), OUTSIDE]
        return start if previous in (None, OUTSIDE) else [*start, CONTINUE]

    def parse(self, answer: str, fields: Fields) -> list[str] | None:
        words = self.words(fields)
        if (pairs := self.recorded_pairs(answer)) is not None:
            return self._placed(pairs, words)
        lines = answer.strip().split("\n")
        if len(lines) != len(words):
            return None
        tags = []
        for line, word in zip(lines, words, strict=True):
            first, space, tag = line.strip().rpartition(" ")
            if not space or first != word:
                return None
            tags.append(tag)
        return self.tags_of(tags)

    def recorded_pairs(self, answer: str) -> list[EntityPair] | None:
        if not answer.lstrip().startswith("["):
            return None
        try:
            return TypeAdapter(list[EntityPair]).validate_json(answer)
        except ValidationError:
            return None

    def _placed(self, pairs: Sequence[EntityPair], words: Sequence[str]) -> list[str]:
        """IOB2 tags of the first place where the words spell each pair's text, blanks aside; others have none."""
        tags = ["O"] * len(words)
        for kind, text in pairs:
            if kind in self.definition.types and (place := _place_of(text, words, tags)):
                tags[place] = [f"B-{kind}", *[f"I-{kind}"] * (place.stop - place.start - 1)]
        return tags

    def tags_of(self, words: Sequence[str]) -> list[str] | None:
        """IOB2 tags of answer words, or None where a word is unknown or ``+`` continues no entity."""
        types = {word: name for name, word in self.definition.type_words.items()}
        tags: list[str] = []
        for word in words:
            if word == OUTSIDE:
                tags.append("O")
            elif word in types:
                tags.append(f"B-{types[word]}")
            elif word == CONTINUE and tags and tags[-1] != "O":
                tags.append(f"I-{tags[-1][2:]}")
            else:
                return None
        return tags


def _place_of(text: str, words: Sequence[str], tags: Sequence[str]) -> slice | None:
    """The first run of untagged words that spell ``text``, blanks aside."""
    wanted = "".join(text.split())
    for start in range(len(words)):
        spelled = ""
        for end in range(start, len(words)):
            if tags[end] != "O" or len(spelled) >= len(wanted):
                break
            spelled += words[end]
            if spelled == wanted:
                return slice(start, end + 1)
    return None


def _tag_error(tag: str, previous: str, types: Collection[str]) -> str:
    if tag[:2] in ("B-", "I-") and tag[2:] not in types:
        return f"the type of tag {tag!r} is not one of {', '.join(types)}"
    if tag[:2] == "I-":
        return f"tag {tag!r} after {previous!r} is not valid IOB2: it continues no entity of its type; write B-{tag[2:]}"
    return f"tag {tag!r} is not an IOB2 tag: these are O, B-TYPE and I-TYPE"

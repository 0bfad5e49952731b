"""Query NER: the entity type of each word of a search query.

Types and IOB2 tags are QueryNER's (arXiv 2405.09507, table of types). The answer form is ours: one line per word, the word
and a short word for its type; ``+`` continues the entity before it, ``none`` means O. Each type word starts with a different
token, so that constrained decoding chooses a tag in one step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ecomtune.core.records import Reference
from ecomtune.core.task_inputs import TASK_INPUTS
from ecomtune.tasks.base import Fields, Task, texts_of

#: The word for each QueryNER type in prompts and answers.
TYPE_WORDS: Final[Mapping[str, str]] = {
    "UoM": "unit",
    "color": "color",
    "condition": "condition",
    "content": "content",
    "core_product_type": "product",
    "creator": "brand",
    "department": "department",
    "material": "material",
    "modifier": "modifier",
    "occasion": "occasion",
    "origin": "origin",
    "price": "price",
    "product_name": "name",
    "product_number": "number",
    "quantity": "quantity",
    "shape": "shape",
    "time": "time",
}
OUTSIDE: Final = "none"
CONTINUE: Final = "+"
_TYPES: Final = {word: name for name, word in TYPE_WORDS.items()}


def tag_words(tags: Sequence[str]) -> list[str]:
    """Answer words of IOB2 tags. Raises ValueError for an unknown tag or an I- that continues no entity."""
    words = []
    previous = "O"
    for tag in tags:
        kind = tag[2:]
        if tag == "O":
            words.append(OUTSIDE)
        elif tag.startswith("B-") and kind in TYPE_WORDS:
            words.append(TYPE_WORDS[kind])
        elif tag.startswith("I-") and previous[2:] == kind and kind in TYPE_WORDS:
            words.append(CONTINUE)
        else:
            raise ValueError(_tag_error(tag, previous))
        previous = tag
    return words


def _tag_error(tag: str, previous: str) -> str:
    if tag[:2] in ("B-", "I-") and tag[2:] not in TYPE_WORDS:
        return f"the type of tag {tag!r} is not one of {', '.join(TYPE_WORDS)}"
    if tag[:2] == "I-":
        return f"tag {tag!r} after {previous!r} is not valid IOB2: it continues no entity of its type; write B-{tag[2:]}"
    return f"tag {tag!r} is not an IOB2 tag: these are O, B-TYPE and I-TYPE"


def tags_of(words: Sequence[str]) -> list[str] | None:
    """IOB2 tags of answer words, or None where a word is unknown or ``+`` continues no entity."""
    tags: list[str] = []
    for word in words:
        if word == OUTSIDE:
            tags.append("O")
        elif word in _TYPES:
            tags.append(f"B-{_TYPES[word]}")
        elif word == CONTINUE and tags and tags[-1] != "O":
            tags.append(f"I-{tags[-1][2:]}")
        else:
            return None
    return tags


class Ner(Task):
    """Inputs: ``words`` (the query, split at white space). Reference: one IOB2 tag per word."""

    name = "ner"
    version = 1
    required_fields = TASK_INPUTS["ner"].required
    decoder = TASK_INPUTS["ner"].answer
    metric = "entities"
    main_metric = "f1"
    instructions = {
        "compact": (
            "Label each word of a shop's search query with its entity type, one word a line. "
            f"Types: {', '.join(TYPE_WORDS.values())}. "
            f"Write {CONTINUE} for a word that continues the entity before it, {OUTSIDE} for a word outside any entity."
        ),
        "long": (
            "You are an expert annotator of product search queries in an online shop. Find the entities in the query and "
            "give the type of each word.\n"
            "Types: unit (a measure or size with its unit), color, condition (used, refurbished), content (what a book, "
            "film or print shows), product (the kind of thing searched for), brand (maker, author or artist), department "
            "(for whom), material, modifier (any other wanted property), occasion, origin (country or region), price, "
            "name (the name of a product line or model), number (a part or model number), quantity, shape, time.\n"
            f"Output one line a word: the word, a space, its type. Write {CONTINUE} for a word that continues the entity "
            f"before it and {OUTSIDE} for a word that belongs to no entity. Keep the words in order and change nothing.\n"
            "Example\nQuery: acme mens trail running shoes\nTags:\n"
            "acme brand\nmens department\ntrail modifier\nrunning product\nshoes +"
        ),
    }

    def body(self, fields: Fields) -> str:
        return f"Query: {' '.join(texts_of(fields, 'words'))}\nTags:"

    def target(self, fields: Fields, reference: Reference) -> str:
        words = texts_of(fields, "words")
        if not isinstance(reference, list) or len(words) != len(reference):
            raise ValueError(f"{len(words)} words but {len(reference)} tags")
        return "\n".join(f"{word} {tag}" for word, tag in zip(words, tag_words(reference), strict=True))

    def answer_choices(self, previous: str | None) -> list[str]:
        start = [*TYPE_WORDS.values(), OUTSIDE]
        return start if previous in (None, OUTSIDE) else [*start, CONTINUE]

    def parse(self, answer: str, fields: Fields) -> list[str] | None:
        words = texts_of(fields, "words")
        lines = answer.strip().split("\n")
        if len(lines) != len(words):
            return None
        tags = []
        for line, word in zip(lines, words, strict=True):
            first, space, tag = line.strip().rpartition(" ")
            if not space or first != word:
                return None
            tags.append(tag)
        return tags_of(tags)


TASK = Ner()

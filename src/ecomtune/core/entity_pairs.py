"""The entities of tagged words as pairs of type and text, which is what attribute extraction looks for."""

from __future__ import annotations

from collections.abc import Sequence

from ecomtune.core.records import EntityPair


def pairs_of(words: Sequence[str], tags: Sequence[str]) -> list[EntityPair]:
    """Type and text of each entity, in the order of the words; its text is its words, joined by spaces.

    The tags are IOB2: an I- tag that continues no entity of its type starts none, as in seqeval's strict mode.
    """
    found: list[tuple[str, list[str]]] = []
    open_type = None
    for word, tag in zip(words, tags, strict=True):
        prefix, _, kind = tag.partition("-")
        if prefix == "B":
            found.append((kind, [word]))
            open_type = kind
        elif prefix == "I" and kind == open_type:
            found[-1][1].append(word)
        else:
            open_type = None
    return [(kind, " ".join(parts)) for kind, parts in found]

"""What a metric is given of a prediction: its answer and gold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ecomtune.core.records import EntityPair, Prediction, Reference


@dataclass(frozen=True)
class Tagged:
    """The tags of a row's words, and the row's entities as pairs of type and text."""

    tags: Sequence[str]
    pairs: Sequence[EntityPair]


#: One side of a row: a label, tags (with or without pairs) or texts.
Graded: TypeAlias = Reference | Tagged


def graded(prediction: Prediction) -> tuple[Graded | None, Graded]:
    """The answer, which is None if it is invalid, and gold."""
    parsed, gold = prediction.parsed, prediction.reference
    if prediction.gold_pairs is None:
        return parsed, gold
    answer = None if parsed is None else Tagged(parsed, prediction.pairs or [])
    return answer, Tagged(gold, prediction.gold_pairs)

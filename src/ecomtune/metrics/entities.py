"""Strict entity F1, typed and untyped: an entity is correct if its words (and its type) are exactly those of gold.

seqeval reads the entities, in mode strict with scheme IOB2, and the sums yield seqeval's own micro average (a test checks
it). A row without entities in gold and answer adds nothing; if no row has any, F1 is 0, as in seqeval.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from seqeval.scheme import IOB2, Entities

from ecomtune.core.records import Reference
from ecomtune.metrics.bootstrap import Counts
from ecomtune.metrics.counted import CountedMetric, harmonic_mean, ratio

Span = tuple[int, int, str]


class EntityF1(CountedMetric):
    """A row's counts: typed hits, untyped hits, entities in the answer and in gold. An invalid answer has no entities."""

    description = "strict entity precision, recall and F1 (seqeval, mode strict, IOB2), and F1 without types"

    def count(self, predictions: Sequence[Reference | None], references: Sequence[Reference]) -> Counts:
        counts = np.zeros((len(references), 4))
        for row, (answer, gold) in enumerate(zip(predictions, references, strict=True)):
            found, expected = spans(answer or []), spans(gold)
            untyped = {span[:2] for span in found} & {span[:2] for span in expected}
            counts[row] = len(found & expected), len(untyped), len(found), len(expected)
        return counts

    def values(self, counts: Counts) -> dict[str, Counts]:
        hits, untyped, answered, gold = np.moveaxis(counts, -1, 0)
        precision, recall = ratio(hits, answered), ratio(hits, gold)
        return {
            "precision": precision,
            "recall": recall,
            "f1": harmonic_mean(precision, recall),
            "f1_untyped": harmonic_mean(ratio(untyped, answered), ratio(untyped, gold)),
        }


def spans(tags: Reference) -> set[Span]:
    """Start, end (exclusive) and type of every entity in a tag sequence."""
    found = Entities([list(tags)], IOB2).entities[0]
    return {(entity.start, entity.end, entity.tag) for entity in found}


METRIC = EntityF1

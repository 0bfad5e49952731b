"""Strict entity F1, typed and untyped, and F1 of the pairs of type and text.

An entity is correct if its words (and its type) are exactly those of gold. seqeval reads the entities, in mode strict with
scheme IOB2, and the sums yield seqeval's own micro average (a test checks it). A row without entities in gold and answer adds
nothing; if no row has any, F1 is 0, as in seqeval.

Pairs count as in published attribute extraction: the answer has one value of each type in a row (of several, the first), which
is correct if it is, to the letter, any of the values that gold has of this type; a type of gold without a correct value counts
as missed once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from seqeval.scheme import IOB2, Entities

from ecomtune.core.records import EntityPair
from ecomtune.metrics.bootstrap import Counts
from ecomtune.metrics.counted import CountedMetric, harmonic_mean, ratio
from ecomtune.metrics.graded import Graded, Tagged

Span = tuple[int, int, str]
_BESIDE_MARKS = re.compile(r"\s*([^\w\s])\s*")


class EntityF1(CountedMetric):
    """A row's counts: typed hits, untyped hits, entities in the answer and in gold. An invalid answer has no entities.

    If each row's gold has pairs, three more: correct types, types in the answer and in gold.
    """

    description = (
        "strict entity precision, recall and F1 (seqeval, mode strict, IOB2), F1 without types, and precision, recall and F1 "
        "of pairs of type and text"
    )

    def count(self, predictions: Sequence[Graded | None], references: Sequence[Graded]) -> Counts:
        has_pairs = all(isinstance(gold, Tagged) for gold in references)
        counts = np.zeros((len(references), 7 if has_pairs else 4))
        for row, (answer, gold) in enumerate(zip(predictions, references, strict=True)):
            found, expected = spans(_tags(answer)), spans(_tags(gold))
            untyped = {span[:2] for span in found} & {span[:2] for span in expected}
            counts[row, :4] = len(found & expected), len(untyped), len(found), len(expected)
            if has_pairs:
                counts[row, 4:] = _pair_counts(_pairs(answer), _pairs(gold))
        return counts

    def values(self, counts: Counts) -> dict[str, Counts]:
        hits, untyped, answered, gold, *pairs = np.moveaxis(counts, -1, 0)
        found = {
            **_precision_recall_f1("", hits, answered, gold),
            "f1_untyped": harmonic_mean(ratio(untyped, answered), ratio(untyped, gold)),
        }
        return {**found, **_precision_recall_f1("pairs_", *pairs)} if pairs else found


def _precision_recall_f1(prefix: str, hits: Counts, answered: Counts, gold: Counts) -> dict[str, Counts]:
    precision, recall = ratio(hits, answered), ratio(hits, gold)
    return {f"{prefix}precision": precision, f"{prefix}recall": recall, f"{prefix}f1": harmonic_mean(precision, recall)}


def spans(tags: Sequence[str]) -> set[Span]:
    """Start, end (exclusive) and type of every entity in a tag sequence."""
    found = Entities([list(tags)], IOB2).entities[0]
    return {(entity.start, entity.end, entity.tag) for entity in found}


def _tags(side: Graded | None) -> Sequence[str]:
    return side.tags if isinstance(side, Tagged) else side or []


def _pairs(side: Graded | None) -> Sequence[EntityPair]:
    return side.pairs if isinstance(side, Tagged) else []


def _pair_counts(answer: Sequence[EntityPair], gold: Sequence[EntityPair]) -> tuple[int, int, int]:
    """Correct types, types in the answer, types in gold."""
    first = {kind: _joined(text) for kind, text in reversed(answer)}  # of several values of a type, the first one
    right = {(kind, _joined(text)) for kind, text in gold} & first.items()
    return len(right), len(first), len(dict(gold))


def _joined(text: str) -> str:
    """``text`` without blanks beside punctuation marks, since a tagged text's marks are words of their own."""
    return _BESIDE_MARKS.sub(r"\1", text).strip()


METRIC = EntityF1

"""Accuracy, macro, micro and weighted F1 of a closed set of labels, and precision, recall and F1 of each label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from ecomtune.metrics.bootstrap import Counts
from ecomtune.metrics.counted import CountedMetric, harmonic_mean, ratio
from ecomtune.metrics.graded import Graded


class Classification(CountedMetric):
    """A row's counts are three 0s or 1s for each label: whether it is gold and answered, is gold, is answered.

    They are sparse, since of hundreds of labels at most two are not 0 in a row. Macro F1 is the mean over the labels that
    occur in gold or in the answers (scikit-learn's default). Without invalid answers micro F1 equals accuracy. An invalid
    answer is a false negative of its gold label and a false positive of no label, so that micro F1 is then above accuracy.

    ``f1_of`` is the label whose precision, recall and F1 are values of their own, for example the one that is searched for.
    """

    description = "accuracy, macro, micro and weighted F1, and F1 of each label; an invalid answer is wrong"

    def __init__(self, f1_of: str | None = None) -> None:
        self.f1_of = f1_of

    def count(self, predictions: Sequence[Graded | None], references: Sequence[Graded]) -> csr_array:
        labels = self._labels(predictions, references)
        column = {label: place for place, label in enumerate(labels)}
        size = len(labels)
        cells: list[tuple[int, int]] = []
        for row, (answer, gold) in enumerate(zip(predictions, references, strict=True)):
            cells.append((row, size + column[str(gold)]))
            if answer is not None:
                cells.append((row, 2 * size + column[str(answer)]))
                cells += [(row, column[str(gold)])] if str(answer) == str(gold) else []
        rows, columns = np.array(cells, dtype=np.int64).reshape(-1, 2).T
        return csr_array((np.ones(len(cells)), (rows, columns)), shape=(len(references), 3 * size))

    def _labels(self, predictions: Sequence[Graded | None], references: Sequence[Graded]) -> list[str]:
        """The labels of both sides in the order of their columns: sorted, but ``f1_of`` first, whether it occurs or not."""
        found = {str(label) for label in [*references, *predictions] if label is not None}
        first = [] if self.f1_of is None else [self.f1_of]
        return [*first, *sorted(found.difference(first))]

    def values(self, counts: Counts) -> dict[str, Counts]:
        hits, gold, answered = _parts(counts)
        precision, recall, each = _of_each_label(counts)
        present = (gold + answered) > 0
        right, total = hits.sum(axis=-1), gold.sum(axis=-1)
        found = {
            "accuracy": ratio(right, total),
            "macro_f1": ratio(each.sum(axis=-1), present.sum(axis=-1).astype(float)),
            "micro_f1": harmonic_mean(ratio(right, answered.sum(axis=-1)), ratio(right, total)),
            "weighted_f1": ratio((each * gold).sum(axis=-1), total),
        }
        own = {"f1": each, "precision": precision, "recall": recall}
        return found if self.f1_of is None else {**found, **{name: of_each[..., 0] for name, of_each in own.items()}}

    def details(self, predictions: Sequence[Graded | None], references: Sequence[Graded]) -> dict[str, Any]:
        """Precision, recall and F1 of each label that occurs, and the number of rows that have it (support)."""
        counts = self.count(predictions, references).sum(axis=0)
        _, gold, answered = _parts(counts)
        columns = zip(*_of_each_label(counts), gold, gold + answered, strict=True)
        classes = {
            label: {"f1": float(f1), "precision": float(precision), "recall": float(recall), "support": int(support)}
            for label, (precision, recall, f1, support, occurs) in zip(
                self._labels(predictions, references), columns, strict=True
            )
            if occurs
        }
        return {"classes": dict(sorted(classes.items()))}


def _parts(counts: Counts) -> tuple[Counts, Counts, Counts]:
    """Hits, gold and answered rows of each label [..., labels], from counts [..., 3 * labels]."""
    hits, gold, answered = np.split(counts, 3, axis=-1)
    return hits, gold, answered


def _of_each_label(counts: Counts) -> tuple[Counts, Counts, Counts]:
    """Precision, recall and F1 of each label."""
    hits, gold, answered = _parts(counts)
    precision, recall = ratio(hits, answered), ratio(hits, gold)
    return precision, recall, harmonic_mean(precision, recall)


METRIC = Classification

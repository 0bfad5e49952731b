"""Accuracy, macro and micro F1 of a closed set of labels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ecomtune.core.records import Reference
from ecomtune.metrics.bootstrap import Counts
from ecomtune.metrics.counted import CountedMetric, harmonic_mean, ratio


class Classification(CountedMetric):
    """A row's counts are its cell of the confusion matrix [gold label, predicted label or invalid].

    Macro F1 is the mean over the labels that occur in gold or in the answers (scikit-learn's default). Without invalid
    answers micro F1 equals accuracy. An invalid answer is a false negative of its gold label and a false positive of no
    label, so that micro F1 is then above accuracy.
    """

    description = "accuracy, macro F1 and micro F1; an invalid answer is wrong"

    def count(self, predictions: Sequence[Reference | None], references: Sequence[Reference]) -> Counts:
        labels = sorted({str(label) for label in [*references, *predictions] if label is not None})
        size = len(labels)
        counts = np.zeros((len(references), size, size + 1))
        for row, (answer, gold) in enumerate(zip(predictions, references, strict=True)):
            column = size if answer is None else labels.index(str(answer))
            counts[row, labels.index(str(gold)), column] = 1
        return counts.reshape(len(references), -1)

    def values(self, counts: Counts) -> dict[str, Counts]:
        size = (math.isqrt(1 + 4 * counts.shape[-1]) - 1) // 2  # counts are size x (size + 1) cells
        matrix = counts.reshape(*counts.shape[:-1], size, size + 1)
        right = np.diagonal(matrix, axis1=-2, axis2=-1)
        gold, answered = matrix.sum(axis=-1), matrix[..., :size].sum(axis=-2)
        each = harmonic_mean(ratio(right, answered), ratio(right, gold))
        present = (gold + answered) > 0
        hits, total = right.sum(axis=-1), gold.sum(axis=-1)
        return {
            "accuracy": ratio(hits, total),
            "macro_f1": ratio(each.sum(axis=-1), present.sum(axis=-1).astype(float)),
            "micro_f1": harmonic_mean(ratio(hits, answered.sum(axis=-1)), ratio(hits, total)),
        }


METRIC = Classification

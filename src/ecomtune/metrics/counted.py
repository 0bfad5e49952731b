"""The base of all metrics: each row has counts, counts are summed, and the values follow from the sums.

So a resample costs one sum instead of a call of the metric, and a metric can't drop a row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np
from scipy.sparse import csr_array

from ecomtune.metrics.bootstrap import PLACES, Counts, Resampling, RowCounts, intervals
from ecomtune.metrics.graded import Graded

#: A thousand resamples and 95% intervals.
DEFAULT: Final = Resampling()


class CountedMetric(ABC):
    """A metric whose values follow from summed counts; ``evaluate_metric.py`` makes an ``evaluate.Metric`` of it."""

    description: ClassVar[str]
    citation: ClassVar[str] = ""

    @abstractmethod
    def count(self, predictions: Sequence[Graded | None], references: Sequence[Graded]) -> RowCounts:
        """The counts [rows, k] of each row by itself; a prediction of None is an invalid answer."""

    @abstractmethod
    def values(self, counts: Counts) -> dict[str, Counts]:
        """The metric's values by name, from summed counts [..., k]; a ratio of 0 to 0 is 0."""

    def details(self, predictions: Sequence[Graded | None], references: Sequence[Graded]) -> dict[str, Any]:
        """What the scores hold besides values with intervals, unrounded; by default nothing."""
        return {}

    def row_values(self, predictions: Sequence[Graded | None], references: Sequence[Graded]) -> dict[str, Counts]:
        """The metric's values [rows] of each row by itself."""
        counts = self.count(predictions, references)
        return self.values(counts.toarray() if isinstance(counts, csr_array) else counts)

    def score(
        self,
        predictions: Sequence[Graded | None],
        references: Sequence[Graded],
        groups: Sequence[str],
        resampling: Resampling = DEFAULT,
    ) -> dict[str, Any]:
        """Each value and its interval, rounded, with the details and the numbers of rows, groups and invalid answers."""
        counts = self.count(predictions, references)
        found = self.values(counts.sum(axis=0))
        bounds = intervals(counts, groups, self.values, resampling)
        return {
            **_rounded(self.details(predictions, references)),
            **{name: round(float(value), PLACES) for name, value in found.items()},
            **{f"{name}_ci": [round(bound, PLACES) for bound in bounds[name]] for name in found},
            "n": len(references),
            "groups": len(set(groups)),
            "invalid": sum(prediction is None for prediction in predictions),
        }


def _rounded(details: Any) -> Any:
    if isinstance(details, dict):
        return {key: _rounded(value) for key, value in details.items()}
    return round(details, PLACES) if isinstance(details, float) else details


def ratio(numerator: Counts, denominator: Counts) -> Counts:
    """Element-wise quotient; 0 where the denominator is 0."""
    result: Counts = np.divide(numerator, denominator, out=np.zeros_like(numerator, dtype=float), where=denominator != 0)
    return result


def harmonic_mean(precision: Counts, recall: Counts) -> Counts:
    """F1; 0 where both are 0."""
    return ratio(2 * precision * recall, precision + recall)

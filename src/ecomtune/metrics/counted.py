"""The base of all metrics: each row gives counts, counts are summed, values follow from the sums.

So a resample costs one sum instead of one call of the metric, and a metric can't drop a row.
"""

from __future__ import annotations

import importlib
import json
import sys
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import datasets
import numpy as np

from ecomtune.core.records import Reference
from ecomtune.metrics.bootstrap import PLACES, Counts, intervals


def _import_evaluate() -> Any:
    """evaluate without its evaluators' pipelines, which nothing here uses: they are optional, and most of its import time."""
    hidden = {"transformers": sys.modules.get("transformers")}
    sys.modules["transformers"] = None  # type: ignore[assignment]  # Python's own way to say that there is none
    try:
        return importlib.import_module("evaluate")
    finally:
        del sys.modules["transformers"]
        sys.modules.update({name: module for name, module in hidden.items() if module is not None})


if TYPE_CHECKING:
    import evaluate
else:
    evaluate = _import_evaluate()


class CountedMetric(evaluate.Metric):
    """An ``evaluate.Metric`` whose values follow from summed counts.

    ``compute(predictions, references, groups)`` takes JSON texts or None (an invalid answer) as predictions, because
    evaluate's features know no union of types; :meth:`score` takes the records' own values.
    """

    description: ClassVar[str]
    citation: ClassVar[str] = ""

    def __init__(self, **options: Any) -> None:
        super().__init__(keep_in_memory=True, **options)

    @abstractmethod
    def count(self, predictions: Sequence[Reference | None], references: Sequence[Reference]) -> Counts:
        """Counts [rows, k] of each row alone."""

    @abstractmethod
    def values(self, counts: Counts) -> dict[str, Counts]:
        """Values by name from summed counts [..., k]; a ratio of nothing to nothing is 0."""

    def score(
        self,
        predictions: Sequence[Reference | None],
        references: Sequence[Reference],
        groups: Sequence[str],
        *,
        resamples: int = 1000,
        confidence: float = 0.95,
        seed: int = 0,
    ) -> dict[str, Any]:
        """Each value and its interval, rounded, with the numbers of rows, groups and invalid answers."""
        counts = self.count(predictions, references)
        found = self.values(counts.sum(axis=0))
        bounds = intervals(counts, groups, self.values, resamples=resamples, confidence=confidence, seed=seed)
        return {
            **{name: round(float(value), PLACES) for name, value in found.items()},
            **{f"{name}_ci": [round(bound, PLACES) for bound in bounds[name]] for name in found},
            "n": len(references),
            "groups": len(set(groups)),
            "invalid": sum(prediction is None for prediction in predictions),
        }

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=self.description,
            citation=self.citation,
            inputs_description="predictions and references as JSON texts (null: an invalid answer); groups: names",
            features=datasets.Features({"predictions": text, "references": text, "groups": text}),
        )

    def _compute(
        self, predictions: Sequence[str], references: Sequence[str], groups: Sequence[str], **options: Any
    ) -> dict[str, Any]:
        return self.score(
            [json.loads(each or "null") for each in predictions], [json.loads(each) for each in references], groups, **options
        )


def ratio(numerator: Counts, denominator: Counts) -> Counts:
    """Element-wise quotient; 0 where the denominator is 0."""
    result: Counts = np.divide(numerator, denominator, out=np.zeros_like(numerator, dtype=float), where=denominator != 0)
    return result


def harmonic_mean(precision: Counts, recall: Counts) -> Counts:
    """F1; 0 where both are 0."""
    return ratio(2 * precision * recall, precision + recall)

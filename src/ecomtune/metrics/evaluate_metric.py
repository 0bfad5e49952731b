"""The project's metrics as ``evaluate.Metric`` modules, for users of that package.

A module of its own: evaluate imports transformers and torch where they are installed, which takes several times as long as
scoring a system, and no stage needs it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from ecomtune.metrics.bootstrap import Resampling
from ecomtune.metrics.counted import CountedMetric
from ecomtune.metrics.registry import load_metric


class EvaluateMetric(evaluate.Metric):
    """A metric with evaluate's interface: ``compute`` returns what :meth:`CountedMetric.score` returns.

    ``compute(predictions=..., references=..., groups=...)`` takes predictions and references as JSON texts, because evaluate's
    features have no union types; tags have no pairs here. A prediction of None, or of JSON's null, is an invalid answer. The
    fields of :class:`Resampling` are further options.
    """

    def __init__(self, metric: CountedMetric, **options: Any) -> None:
        self.metric = metric
        super().__init__(keep_in_memory=True, **options)

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=self.metric.description,
            citation=self.metric.citation,
            inputs_description="predictions and references as JSON texts (null: an invalid answer); groups: names",
            features=datasets.Features({"predictions": text, "references": text, "groups": text}),
        )

    def _compute(
        self, predictions: Sequence[str | None], references: Sequence[str], groups: Sequence[str], **options: Any
    ) -> dict[str, Any]:
        return self.metric.score(
            [json.loads(each or "null") for each in predictions],
            [json.loads(each) for each in references],
            groups,
            Resampling(**options),
        )


def load_evaluate_metric(name: str, **options: Any) -> evaluate.Metric:
    """The metric called ``name``, made with these options, as an ``evaluate.Metric``. Raises UserError like ``load_metric``."""
    return EvaluateMetric(load_metric(name, **options))

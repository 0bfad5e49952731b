"""Metrics as ``evaluate.Metric`` modules of the package: no hub, an invalid answer always counts as wrong."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ecomtune.messages.errors import UserError

if TYPE_CHECKING:
    from ecomtune.metrics.counted import CountedMetric


def load_metric(name: str) -> CountedMetric:
    """The metric module called ``name``, ready to compute."""
    try:
        module = importlib.import_module(f"ecomtune.metrics.{name}")
        metric: CountedMetric = module.METRIC()
    except (ModuleNotFoundError, AttributeError) as error:
        raise UserError(f"no metric called {name!r}; each is a module src/ecomtune/metrics/NAME.py") from error
    return metric

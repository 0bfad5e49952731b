"""Metrics by name: each is a module of this folder, so that none comes from a hub."""

from __future__ import annotations

import importlib

from ecomtune.messages.errors import UserError
from ecomtune.metrics.counted import CountedMetric


def load_metric(name: str) -> CountedMetric:
    """The metric of the module called ``name``. Raises UserError if there is no such module, or it has no metric."""
    try:
        module = importlib.import_module(f"ecomtune.metrics.{name}")
        metric: CountedMetric = module.METRIC()
    except (ModuleNotFoundError, AttributeError) as error:
        raise UserError(f"no metric called {name!r}; each is a module src/ecomtune/metrics/NAME.py") from error
    return metric

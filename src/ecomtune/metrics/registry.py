"""Metrics by name: each is a module of this folder, so that none comes from a hub."""

from __future__ import annotations

from ecomtune.core.modules import load_module
from ecomtune.metrics.counted import CountedMetric


def load_metric(name: str) -> CountedMetric:
    """The metric of the module called ``name``. Raises UserError if there is no such module, or it has no metric."""
    unknown = f"no metric called {name!r}; each is a module src/ecomtune/metrics/NAME.py"
    metric: CountedMetric = load_module("ecomtune.metrics", name, "METRIC", unknown).METRIC()
    return metric

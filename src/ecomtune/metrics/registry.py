"""Metrics by name: each is a module of this folder, so that none comes from a hub."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Protocol

from ecomtune.core.modules import load_module
from ecomtune.messages.errors import UserError
from ecomtune.metrics.counted import CountedMetric


class Scored(Protocol):
    """What a task says about its metric."""

    @property
    def metric(self) -> str:
        """The name of the metric's module."""

    @property
    def metric_options(self) -> Mapping[str, Any]:
        """What the metric is made with, besides its defaults."""


def load_metric(name: str, **options: Any) -> CountedMetric:
    """The metric of the module called ``name``, made with these options.

    Raises UserError if there is no such module, if it has no metric, or if its metric has no such option or value of one.
    """
    missing = f"no metric called {name!r}; each is a module src/ecomtune/metrics/NAME.py"
    kind = load_module("ecomtune.metrics", name, "METRIC", missing).METRIC
    known = list(inspect.signature(kind).parameters)
    if unknown := sorted(options.keys() - set(known)):
        raise UserError(f"metric {name} has no option {unknown[0]!r}; its options: {', '.join(known) or 'none'}")
    metric: CountedMetric = kind(**options)
    return metric


def metric_of(task: Scored) -> CountedMetric:
    """The metric of a task, made with the task's options. Raises UserError like :func:`load_metric`."""
    return load_metric(task.metric, **task.metric_options)

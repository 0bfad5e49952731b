"""Metrics by name, and the options that they are made with."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ecomtune.messages.errors import UserError
from ecomtune.metrics import entities
from ecomtune.metrics.entities import EntityF1
from ecomtune.metrics.evaluate_metric import EvaluateMetric, load_evaluate_metric
from ecomtune.metrics.registry import load_metric, metric_of


class Optional(EntityF1):
    """A metric with options, which it keeps."""

    def __init__(self, first: str = "a", second: str = "b") -> None:
        if second == "wrong":
            raise AttributeError("a mistake in the metric itself")
        self.kept = first, second


@pytest.fixture
def optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entities, "METRIC", Optional)


@pytest.mark.usefixtures("optional")
def test_a_metric_is_made_with_its_options() -> None:
    metric = load_metric("entities", second="c")
    assert isinstance(metric, Optional) and metric.kept == ("a", "c")
    package = load_evaluate_metric("entities", first="d")
    assert isinstance(package, EvaluateMetric)
    assert isinstance(package.metric, Optional) and package.metric.kept == ("d", "b")


@pytest.mark.usefixtures("optional")
def test_a_tasks_metric_is_made_with_the_tasks_options_if_it_has_any() -> None:
    made = metric_of(SimpleNamespace(metric="entities", metric_options={"first": "e"}))
    assert isinstance(made, Optional) and made.kept == ("e", "b")
    plain = metric_of(SimpleNamespace(metric="entities", metric_options={}))
    assert isinstance(plain, Optional) and plain.kept == ("a", "b")


@pytest.mark.usefixtures("optional")
def test_an_option_that_a_metric_does_not_have_is_refused_with_those_it_has() -> None:
    with pytest.raises(UserError, match=r"^metric entities has no option 'frist'; its options: first, second$"):
        load_metric("entities", frist="e")


def test_a_metric_without_options_refuses_every_option() -> None:
    with pytest.raises(UserError, match=r"^metric entities has no option 'types'; its options: none$"):
        load_metric("entities", types=3)


@pytest.mark.usefixtures("optional")
def test_a_mistake_in_a_metric_is_not_taken_for_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="a mistake in the metric itself"):
        load_metric("entities", second="wrong")

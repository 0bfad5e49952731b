"""How a task's main metric depends on a parameter, over the commit's run and the experiments that differ in nothing else."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from ecomtune.core.metadata import Score
from ecomtune.messages.errors import UserError
from ecomtune.report.plots import new_figure, save
from ecomtune.runs.revisions import Run, main_metric, value_at

#: A system's metric, its interval and number of rows at each value of the parameter.
Curve = dict[float, dict[str, Any]]


def learning_curves(runs: Sequence[Run], params: Mapping[str, Any], parameter: str, task: str) -> dict[str, Curve]:
    """By system, the task's main metric and interval at each value of ``parameter`` (a dotted path in params.yaml).

    Only runs whose other parameters equal those of ``params`` count. Raises UserError if the parameter is not a number there,
    or if fewer than two of its values have been run.
    """
    metric = main_metric(params, task)
    if _number(params, parameter) is None:
        raise UserError(f"params.yaml has no number at {parameter}; name one, for example tasks.ner.train_size")
    others = _without(params, parameter)
    curves: dict[str, Curve] = {}
    for run in runs:
        at = _number(run.params, parameter)
        if at is None or _without(run.params, parameter) != others:
            continue
        for system, scores in run.metrics.items():
            if cell := scores.get(task):
                curves.setdefault(system, {}).setdefault(at, _point(cell, metric, f"{system}, {task} at {parameter} {at:g}"))
    values = {at for curve in curves.values() for at in curve}
    if len(values) < 2:
        raise UserError(
            f"a curve needs two values of {parameter} with nothing else changed, and this commit's runs of {task} have "
            f"{len(values)}; run more, for example: ecomtune sweep -S {parameter}=100,200"
        )
    return {system: dict(sorted(curve.items())) for system, curve in curves.items()}


def _point(cell: Mapping[str, Any], metric: str, what: str) -> dict[str, Any]:
    try:
        return Score.model_validate({"value": cell[metric], "ci": cell[f"{metric}_ci"], "n": cell["n"]}).model_dump()
    except (KeyError, TypeError, ValueError) as error:
        problem = f"the metrics of {what} don't have the form that this version writes"
        raise UserError(f"{problem}; remove the experiment: dvc exp remove") from error


def _number(params: Mapping[str, Any], parameter: str) -> float | None:
    value = value_at(params, parameter)
    return None if isinstance(value, bool) or not isinstance(value, int | float) else value


def _without(params: Mapping[str, Any], parameter: str) -> dict[str, Any]:
    """A copy of ``params`` without one of them."""
    rest = copy.deepcopy(dict(params))
    *path, last = parameter.split(".")
    parent = value_at(rest, ".".join(path)) if path else rest
    if isinstance(parent, dict):
        parent.pop(last, None)
    return rest


def is_flat(curve: Curve) -> bool:
    """Whether a system has several values that are all equal: it doesn't depend on the parameter."""
    return len(curve) > 1 and len({point["value"] for point in curve.values()}) == 1


def table(curves: dict[str, Curve], parameter: str, title: str) -> Table:
    """The curves for a terminal: a row for each value of the parameter, a column for each system."""
    grid = Table(title=title)
    grid.add_column(parameter, justify="right")
    for system in curves:
        grid.add_column(system, justify="right")
    for at in sorted({at for curve in curves.values() for at in curve}):
        grid.add_row(f"{at:g}" if at < 1 else f"{at:,}", *(_cell(curve.get(at)) for curve in curves.values()))
    return grid


def _cell(point: dict[str, Any] | None) -> str:
    return "–" if point is None else f"{point['value']:.3f} {point['ci'][0]:.2f}–{point['ci'][1]:.2f}"


def plot(curves: dict[str, Curve], parameter: str, metric: str, path: Path) -> None:
    """Draw a line with its interval for each system; a dashed one if the system doesn't depend on the parameter."""
    figure, axis = new_figure(6.4, 4.2)
    for place, (system, curve) in enumerate(curves.items()):
        values, color = [point["value"] for point in curve.values()], f"C{place}"
        if is_flat(curve):
            axis.axhline(values[0], color=color, linestyle="--", linewidth=1, label=system)
            axis.axhspan(*next(iter(curve.values()))["ci"], color=color, alpha=0.08)
            continue
        axis.plot(list(curve), values, "o-", color=color, label=system)
        axis.fill_between(list(curve), *zip(*(point["ci"] for point in curve.values()), strict=True), color=color, alpha=0.15)
    axis.set_xlabel(parameter)
    axis.set_ylabel(metric)
    places = sorted({at for curve in curves.values() for at in curve})
    if places[0] > 0 and places[-1] >= 8 * places[0]:
        axis.set_xscale("log")
    axis.set_xticks(places, [f"{at:g}" for at in places])
    axis.minorticks_off()
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    save(figure, path)

"""How a parameter moves a task's main metric: the commit's run and DVC's experiments that differ in nothing else."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from ecomtune.core.metadata import Score
from ecomtune.messages.errors import UserError
from ecomtune.report.plots import new_figure, save
from ecomtune.runs.revisions import WORKSPACE, Run, run_at
from ecomtune.tasks.registry import load_task

#: A system's value and interval at each value of the parameter.
Curve = dict[float, dict[str, Any]]


@dataclass(frozen=True)
class Runs:
    """The runs of the current commit and of its experiments that have ended, and the names of the other experiments."""

    ended: dict[str, Run]
    others: list[str]


def runs() -> Runs:
    """The current commit's runs by name, and its experiments that have failed, are running, or are still queued.

    The working tree is none: its metrics may be older than its parameters, and what ``dvc exp run`` leaves there is an
    experiment. Raises UserError where DVC can't tell, as outside a git repository, or a run's files are broken.
    """
    done = subprocess.run(["dvc", "exp", "show", "--json", "--no-pager"], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"dvc exp show failed ({reason}); run it in the repository's root to see more")
    found = list(_revisions(json.loads(done.stdout)))
    ended = {name: run_at(revision) for name, revision, has_ended in found if has_ended}
    return Runs(ended, sorted(name for name, _, has_ended in found if not has_ended))


def _revisions(shown: list[dict[str, Any]]) -> Iterator[tuple[str, str, bool]]:
    """Every run's name and commit, and whether it has ended: dvc gives the others' parameters beside the commit's metrics."""
    for commit in shown:
        experiments = [(each.get("executor") or {}, run) for each in commit.get("experiments") or [] for run in each["revs"]]
        for executor, run in ({}, commit), *experiments:
            if run["rev"] != WORKSPACE:
                ended = executor.get("state", "success") == "success" and isinstance(run.get("data"), dict)
                yield run.get("name") or run["rev"][:7], run["rev"], ended


def learning_curves(found: Sequence[Run], params: Mapping[str, Any], parameter: str, task: str) -> dict[str, Curve]:
    """By system, the task's main metric and interval at each value of ``parameter`` (a dotted path in params.yaml).

    Only runs count whose other parameters are those of ``params``. Raises UserError where the parameter is no number there,
    or fewer than two of its values have been run.
    """
    metric = load_task(task).main_metric
    if _number(params, parameter) is None:
        raise UserError(f"params.yaml has no number at {parameter}; name one as in tasks.ner.train_size")
    same = _without(params, parameter)
    curves: dict[str, Curve] = {}
    for run in found:
        at = _number(run.params, parameter)
        if at is None or _without(run.params, parameter) != same:
            continue
        for system, scores in run.metrics.items():
            if cell := scores.get(task):
                curves.setdefault(system, {}).setdefault(at, _point(cell, metric, f"{system}, {task} at {parameter} {at:g}"))
    values = {at for curve in curves.values() for at in curve}
    if len(values) < 2:
        raise UserError(
            f"a curve needs two values of {parameter} with nothing else changed, and this commit's runs of {task} have "
            f"{len(values)}; run more, as in: ecomtune sweep -S {parameter}=100,200"
        )
    return {system: dict(sorted(curve.items())) for system, curve in curves.items()}


def _point(cell: Mapping[str, Any], metric: str, what: str) -> dict[str, Any]:
    try:
        return Score.model_validate({"value": cell[metric], "ci": cell[f"{metric}_ci"], "n": cell["n"]}).model_dump()
    except (KeyError, TypeError, ValueError) as error:
        problem = f"the metrics of {what} are not as this version writes them"
        raise UserError(f"{problem}; remove the experiment: dvc exp remove") from error


def _number(params: Mapping[str, Any], parameter: str) -> float | None:
    value: Any = params
    for key in parameter.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return None if isinstance(value, bool) or not isinstance(value, int | float) else value


def _without(params: Mapping[str, Any], parameter: str) -> dict[str, Any]:
    """``params`` without one of them."""
    rest = copy.deepcopy(dict(params))
    *path, last = parameter.split(".")
    inner: Any = rest
    for key in path:
        inner = inner.get(key) if isinstance(inner, dict) else None
    if isinstance(inner, dict):
        inner.pop(last, None)
    return rest


def is_flat(curve: Curve) -> bool:
    """Whether a system has several values, all the same: the parameter doesn't concern it."""
    return len(curve) > 1 and len({point["value"] for point in curve.values()}) == 1


def table(curves: dict[str, Curve], parameter: str, title: str) -> Table:
    """The curves for a terminal: one row a value, one column a system."""
    grid = Table(title=title)
    grid.add_column(parameter, justify="right")
    for system in curves:
        grid.add_column(system, justify="right")
    for at in sorted({at for curve in curves.values() for at in curve}):
        grid.add_row(f"{at:g}" if at < 1 else f"{at:,}", *(_text(curve.get(at)) for curve in curves.values()))
    return grid


def _text(point: dict[str, Any] | None) -> str:
    return "–" if point is None else f"{point['value']:.3f} {point['ci'][0]:.2f}–{point['ci'][1]:.2f}"


def plot(curves: dict[str, Curve], parameter: str, metric: str, path: Path) -> None:
    """A line a system with its interval; dashed where the parameter doesn't concern the system."""
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

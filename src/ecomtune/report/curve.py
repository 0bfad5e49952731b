"""How a parameter moves a task's main metric: the workspace's run and DVC's experiments that differ from it in nothing else."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.table import Table

from ecomtune import tasks
from ecomtune.errors import UserError
from ecomtune.report.plots import new_figure, save

#: A system's value and interval at each value of the parameter.
Curve = dict[float, dict[str, Any]]


@dataclass(frozen=True)
class Run:
    """One run: its params.yaml, and the metrics of each system that it has scored."""

    params: dict[str, Any]
    metrics: dict[str, Any]


def runs() -> list[Run]:
    """The workspace's run (first), the current commit's, and those of its experiments that have ended.

    Raises UserError where DVC can't tell, as outside a git repository.
    """
    done = subprocess.run(["dvc", "exp", "show", "--json", "--no-pager"], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"dvc exp show failed ({reason}); run it in the repository's root to see more")
    return [_run(revision) for revision in _revisions(json.loads(done.stdout))]


def _revisions(shown: list[dict[str, Any]]) -> Iterator[str]:
    for commit in shown:
        for run in (commit, *(run for experiment in commit.get("experiments") or [] for run in experiment["revs"])):
            if isinstance(run.get("data"), dict):  # others have failed, or are still queued
                yield run["rev"]


def _run(revision: str) -> Run:
    """The files of a run as git has them: ``dvc exp show`` tells no intervals, which are lists."""
    params = yaml.safe_load(_file(revision, "params.yaml") or "{}")
    systems = params.get("systems", {}) if isinstance(params, dict) else {}
    texts = {system: _file(revision, f"metrics/{system}.json") for system in systems}
    return Run(params if isinstance(params, dict) else {}, {system: json.loads(text) for system, text in texts.items() if text})


def _file(revision: str, path: str) -> str:
    """A file of a commit or of the workspace; empty where there is none."""
    if revision == "workspace":
        return Path(path).read_text(encoding="utf-8") if Path(path).is_file() else ""
    return subprocess.run(["git", "show", f"{revision}:./{path}"], capture_output=True, text=True, check=False).stdout


def learning_curves(found: Sequence[Run], parameter: str, task: str) -> dict[str, Curve]:
    """By system, the task's main metric and interval at each value of ``parameter`` (a dotted path in params.yaml).

    Only runs count whose other parameters are those of the first. Raises UserError where the parameter is no number, or
    fewer than two of its values have been run.
    """
    metric = tasks.load(task).main_metric
    same = _without(found[0].params, parameter)
    curves: dict[str, Curve] = {}
    for run in found:
        if _without(run.params, parameter) != same:
            continue
        at = _number(run.params, parameter)
        for system, scores in run.metrics.items():
            if cell := scores.get(task):
                point = {"value": cell[metric], "ci": cell[f"{metric}_ci"], "n": cell["n"]}
                curves.setdefault(system, {}).setdefault(at, point)
    values = {at for curve in curves.values() for at in curve}
    if len(values) < 2:
        raise UserError(
            f"{len(values)} value of {parameter} has been run for {task} where all other parameters are those of params.yaml; "
            f"run more, as in: dvc exp run -S {parameter}=100"
        )
    return {system: dict(sorted(curve.items())) for system, curve in curves.items()}


def _number(params: Mapping[str, Any], parameter: str) -> float:
    value: Any = params
    for key in parameter.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"params.yaml has no number at {parameter}; name one as in tasks.ner.train_size")
    return value


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
    """Whether a system's value is the same everywhere: the parameter doesn't concern it."""
    return len({point["value"] for point in curve.values()}) == 1


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

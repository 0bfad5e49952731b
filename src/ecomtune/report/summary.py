"""Every system by task, side by side."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from rich.table import Table

from ecomtune.core.config.params import Params, model_folder
from ecomtune.core.files import read_json
from ecomtune.core.metadata import COST_NAMES, Costs, Count, Score, missing_scores
from ecomtune.core.paths import METRICS
from ecomtune.core.records import FEW_GROUPS
from ecomtune.tasks.registry import load_task


class _Cell(Score):
    """What is shown of a system and task."""

    groups: Count
    invalid: Count
    costs: Costs


def summarize(params: Params, metrics: Path = METRICS) -> dict[str, Any]:
    """Main metric, interval, counts and model of every system and task that params name, and the files that they don't.

    Raises UserError where a system's metrics are missing or of another shape.
    """
    known = {f"{system}.json" for system in params.systems}
    systems: dict[str, Any] = {}
    for name, system in params.systems.items():
        file = metrics / f"{name}.json"
        scores = read_json(file)
        for task in system.tasks:
            try:
                cell = _cell(task, scores[task])
            except (KeyError, TypeError, ValueError) as error:
                raise missing_scores(file, task, name) from error
            systems.setdefault(name, {})[task] = {**cell, "model": model_folder(system, task, params)}
    return {
        "confidence": params.score.confidence,
        "left_over": sorted(file.name for file in metrics.glob("*.json") if file.name not in known),
        "main_metric": {task: load_task(task).main_metric for task in params.tasks},
        "systems": systems,
    }


def _cell(task: str, scores: dict[str, Any]) -> dict[str, Any]:
    metric = load_task(task).main_metric
    counts = {name: scores[name] for name in ("n", "groups", "invalid")}
    costs = {name: scores[name] for name in COST_NAMES if name in scores}
    cell = _Cell.model_validate({"value": scores[metric], "ci": scores[f"{metric}_ci"], **counts, "costs": costs})
    return {"metric": metric, **cell.model_dump()}


def warnings(summary: dict[str, Any]) -> list[str]:
    """A line for each task whose test rows are of too few groups."""
    counted = [(task, counts) for task in summary["main_metric"] if (counts := _counts(summary, task))]
    return [
        f"{task}: too few groups ({counts['groups']}, of at least {FEW_GROUPS}) for its intervals and p-values to be reliable; "
        f"take more rows with tasks.{task}.test_size, or more data where its test split has no more groups"
        for task, counts in counted
        if counts["groups"] < FEW_GROUPS
    ]


def left_out(summary: dict[str, Any]) -> list[str]:
    """The line that tells of files of metrics/ which belong to no system, and how to remove them; none where there are none."""
    files = [f"{METRICS}/{name}" for name in summary["left_over"]]
    return [f"of no system in params.yaml, and left out; remove with: {shlex.join(['rm', *files])}"] if files else []


def _counts(summary: dict[str, Any], task: str) -> dict[str, Any] | None:
    """Rows and groups of a task, which are the same for all systems; None where none answers it."""
    return next((cells[task] for cells in summary["systems"].values() if task in cells), None)


def interval(summary: dict[str, Any]) -> str:
    """The name of the intervals, as in "95% interval"."""
    return f"{100 * summary['confidence']:g}% interval"


def table(summary: dict[str, Any]) -> Table:
    """The summary for a terminal: one row a system, one column a task, the best value of a column in bold."""
    columns = list(summary["main_metric"])
    grid = Table(title=f"Main metric and {interval(summary)} by system and task")
    grid.add_column("system")
    for task in columns:
        counts = _counts(summary, task)
        size = f"\n{counts['n']} rows, {counts['groups']} groups" if counts else ""
        grid.add_column(f"{task}\n{summary['main_metric'][task]}{size}", justify="right")
    best = {
        task: max((cells[task]["value"] for cells in summary["systems"].values() if task in cells), default=0)
        for task in columns
    }
    for system, cells in summary["systems"].items():
        grid.add_row(system, *(_text(cells.get(task), best[task]) for task in columns))
    return grid


def _text(cell: dict[str, Any] | None, best: float) -> str:
    if cell is None:
        return "–"
    value = f"{cell['value']:.3f}"
    value = f"[bold]{value}[/bold]" if cell["value"] == best else value
    invalid = f" ({cell['invalid']} invalid)" if cell["invalid"] else ""
    return f"{value} {cell['ci'][0]:.2f}–{cell['ci'][1]:.2f}{invalid}"

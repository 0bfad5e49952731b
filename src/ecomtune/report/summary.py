"""Every system by task, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from ecomtune import tasks
from ecomtune.errors import UserError
from ecomtune.files import read_json
from ecomtune.params import Params


def summarize(params: Params, metrics: Path = Path("metrics")) -> dict[str, Any]:
    """Main metric, interval and counts of every system and task that params name, and the files that they don't.

    Raises UserError where a system's metrics are missing.
    """
    known = {f"{system}.json" for system in params.systems}
    systems: dict[str, Any] = {}
    for name, system in params.systems.items():
        scores = read_json(metrics / f"{name}.json")
        missing = [task for task in system.tasks if task not in scores]
        if missing:
            raise UserError(f"{metrics / name}.json has no task {missing[0]}; run dvc repro score@{name}")
        systems[name] = {task: _cell(task, scores[task]) for task in system.tasks}
    return {
        "left_over": sorted(file.name for file in metrics.glob("*.json") if file.name not in known),
        "main_metric": {task: tasks.load(task).main_metric for task in params.tasks},
        "systems": systems,
    }


def _cell(task: str, scores: dict[str, Any]) -> dict[str, Any]:
    metric = tasks.load(task).main_metric
    return {
        "metric": metric,
        "value": scores[metric],
        "ci": scores[f"{metric}_ci"],
        **{name: scores[name] for name in ("n", "groups", "invalid")},
    }


def table(summary: dict[str, Any]) -> Table:
    """The summary for a terminal: one row a system, one column a task, the best value of a column in bold."""
    columns = list(summary["main_metric"])
    grid = Table(title="Main metric and 95% interval by system and task")
    grid.add_column("system")
    for task in columns:
        counts = next((cells[task] for cells in summary["systems"].values() if task in cells), None)
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

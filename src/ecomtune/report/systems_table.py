"""The scores for a terminal, with the warnings that belong to them."""

from __future__ import annotations

import shlex

from rich.table import Table

from ecomtune.core.paths import METRICS
from ecomtune.core.records import FEW_GROUPS
from ecomtune.report.summary import Cell, Scores


def systems_table(scores: Scores) -> Table:
    """A row for each system, a column for each task; the best value of a column is bold."""
    grid = Table(title=f"Main metric and {scores.interval} by system and task")
    grid.add_column("system")
    best = {}
    for task, metric in scores.main_metric.items():
        cells = scores.cells(task)
        size = next((f"\n{cell.n} rows, {cell.groups} groups" for cell in cells.values()), "")
        grid.add_column(f"{task}\n{metric}{size}", justify="right")
        best[task] = max((cell.value for cell in cells.values()), default=0.0)
    for system, own in scores.systems.items():
        grid.add_row(system, *(_text(own.get(task), best[task]) for task in scores.main_metric))
    return grid


def _text(cell: Cell | None, best: float) -> str:
    if cell is None:
        return "–"
    value = f"{cell.value:.3f}"
    value = f"[bold]{value}[/bold]" if cell.value == best else value
    invalid = f" ({cell.invalid} invalid)" if cell.invalid else ""
    return f"{value} {cell.ci[0]:.2f}–{cell.ci[1]:.2f}{invalid}"


def few_groups_warnings(scores: Scores) -> list[str]:
    """A sentence for each task whose test rows form too few groups.

    The page and the answers quote it, so it can't be the one in messages, on which no stage's output may depend.
    """
    groups = {task: next((cell.groups for cell in scores.cells(task).values()), None) for task in scores.main_metric}
    return [
        f"{task}: too few groups ({number}, of at least {FEW_GROUPS}) for its intervals and p-values to be reliable; "
        f"raise tasks.{task}.test_size, or use more data if its test split has no more groups"
        for task, number in groups.items()
        if number is not None and number < FEW_GROUPS
    ]


def left_over_metrics(scores: Scores) -> list[str]:
    """A line with the metrics files that belong to no system and the command that removes them; none if there are none."""
    files = [f"{METRICS}/{name}" for name in scores.left_over]
    return (
        [f"ignored metrics files that belong to no system in params.yaml; remove them with: {shlex.join(['rm', *files])}"]
        if files
        else []
    )

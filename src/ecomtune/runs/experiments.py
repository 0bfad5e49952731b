"""DVC's experiments side by side, with only the columns in which they differ; ``dvc exp show`` has one for every number."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from ecomtune.messages.errors import UserError
from ecomtune.runs.revisions import Run, leaves, main_metric, text_of

#: The maximum number of columns of parameters and of metrics: runs of two profiles differ in hundreds of parameters.
PARAMETER_COLUMNS, METRIC_COLUMNS = 6, 8


def table(runs: Mapping[str, Run]) -> Table:
    """A row for each run, a column for each parameter and main metric in which runs differ; the best metric in bold.

    If there are more columns than PARAMETER_COLUMNS and METRIC_COLUMNS, those that most runs have are kept, and the caption
    says how many are left out. Raises UserError if there is only one run.
    """
    if len(runs) < 2:
        raise UserError("this commit has no finished experiments; run some: ecomtune sweep -S train.shared.rank=4,8")
    all_parameters = _differing({name: dict(leaves(run.params)) for name, run in runs.items()})
    all_metrics = _differing({name: dict(_main_metrics(run)) for name, run in runs.items()})
    parameters, metrics = _most_common(all_parameters, PARAMETER_COLUMNS), _most_common(all_metrics, METRIC_COLUMNS)
    left_out = len(all_parameters) - len(parameters), len(all_metrics) - len(metrics)
    grid = Table(title="Experiments of this commit, where they differ")
    if any(left_out):
        grid.caption = "left out: {} more parameters and {} more metrics in which they differ".format(*left_out)
    grid.add_column("run")
    for column in (*parameters, *metrics):
        grid.add_column(column, justify="right")
    best = {column: max(value for value in values.values() if value is not None) for column, values in metrics.items()}
    for name in runs:
        shown = [_number(values[name], best[column]) for column, values in metrics.items()]
        grid.add_row(name, *(text_of(values[name], "–") for values in parameters.values()), *shown)
    return grid


def _differing(by_run: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Values by column and run, for the columns in which runs differ; None if a run has no such value."""
    columns = sorted({column for values in by_run.values() for column in values})
    by_column = {column: {name: values.get(column) for name, values in by_run.items()} for column in columns}
    return {column: values for column, values in by_column.items() if len(set(map(json.dumps, values.values()))) > 1}


def _most_common(columns: dict[str, dict[str, Any]], most: int) -> dict[str, dict[str, Any]]:
    """The at most ``most`` columns that the fewest runs lack a value of, in their order."""
    lacking = {column: list(values.values()).count(None) for column, values in columns.items()}
    kept = sorted(columns, key=lambda column: lacking[column])[:most]
    return {column: values for column, values in columns.items() if column in kept}


def _main_metrics(run: Run) -> Iterator[tuple[str, float]]:
    """The main metric of every system and task of a run."""
    for system, scores in run.metrics.items():
        for task, values in scores.items():
            metric = main_metric(run.params, task)
            if isinstance(values, Mapping) and isinstance(values.get(metric), int | float):
                yield f"{system} {task}", values[metric]


def _number(value: float | None, best: float) -> str:
    if value is None:
        return "–"
    return f"[bold]{value:.3f}[/bold]" if value == best else f"{value:.3f}"

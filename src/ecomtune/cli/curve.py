"""``ecomtune curve``: how a parameter moves a task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ecomtune.core.paths import CURVE_PLOTS


def curve(
    parameter: Annotated[str, typer.Argument(help="a number of params.yaml, as in tasks.ner.train_size")],
    task: Annotated[str, typer.Argument(help="the task whose main metric is drawn")],
    out: Annotated[Path, typer.Option(help="a folder for curve.json and curve.png")] = CURVE_PLOTS,
) -> None:
    """Print and draw how a parameter moves a task, from this commit's run and dvc's experiments."""
    from ecomtune.core.files import dump_json, write_text
    from ecomtune.messages.console import show
    from ecomtune.runs import curve as report
    from ecomtune.runs.revisions import WORKSPACE, run_at
    from ecomtune.tasks.registry import load_task

    metric = load_task(task).main_metric
    curves = report.learning_curves(list(report.runs().ended.values()), run_at(WORKSPACE).params, parameter, task)
    drawn = {"metric": metric, "parameter": parameter, "systems": curves, "task": task}
    write_text(out / "curve.json", dump_json(drawn))
    report.plot(curves, parameter, f"{task}: {metric}", out / "curve.png")
    show(report.table(curves, parameter, f"{task}: {metric}"))

"""``ecomtune curve``: how a metric depends on a parameter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ecomtune.core.paths import CURVE_PLOTS


def curve(
    parameter: Annotated[str, typer.Argument(help="a number in params.yaml, for example tasks.ner.train_size")],
    task: Annotated[str, typer.Argument(help="the task whose main metric is drawn")],
    out: Annotated[Path, typer.Option(help="the folder for curve.json and curve.png")] = CURVE_PLOTS,
) -> None:
    """Print and draw how a task's main metric depends on a parameter, over this commit's run and dvc's experiments."""
    from ecomtune.core.files import dump_json, write_text
    from ecomtune.messages.console import show
    from ecomtune.runs.curve import learning_curves, plot, table
    from ecomtune.runs.revisions import WORKSPACE, main_metric, run_at, runs_of_commit

    runs = list(runs_of_commit().finished.values())
    params = run_at(WORKSPACE).params
    metric = main_metric(params, task)
    curves = learning_curves(runs, params, parameter, task)
    content = {"metric": metric, "parameter": parameter, "systems": curves, "task": task}
    write_text(out / "curve.json", dump_json(content))
    plot(curves, parameter, f"{task}: {metric}", out / "curve.png")
    show(table(curves, parameter, f"{task}: {metric}"))

"""The command line: what a user does in addition to dvc."""

from __future__ import annotations

import typer

from ecomtune.cli import (
    answers,
    check,
    curve,
    experiments,
    export,
    fresh,
    pin,
    plan,
    pr_report,
    predict,
    profile,
    publish,
    sweep,
    table,
)
from ecomtune.cli.commands import Commands

app = typer.Typer(cls=Commands, help="Choose, on evidence, how to solve an e-commerce language task.", no_args_is_help=True)


@app.callback()
def commands() -> None:
    """Commands in addition to dvc; run them in the repository's root."""


for command in (
    profile.profile,
    check.check,
    pin.pin,
    plan.plan,
    table.table,
    answers.answers,
    curve.curve,
    experiments.experiments,
    sweep.sweep,
    pr_report.pr_report,
    predict.predict,
    export.export,
    fresh.fresh,
    publish.publish,
):
    app.command()(command)

if __name__ == "__main__":
    app()

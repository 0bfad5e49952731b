"""``ecomtune sweep``: an experiment for each combination of values."""

from __future__ import annotations

from typing import Annotated

import typer


def sweep(
    values: Annotated[
        list[str], typer.Option("--set-param", "-S", help="a parameter and its values, for example train.shared.rank=4,8")
    ],
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, help="experiments at a time; if there are several GPUs, each has its own")
    ] = 1,
) -> None:
    """Queue a dvc experiment for each combination of values, and run them all."""
    from ecomtune.runs.sweep import run_sweep

    run_sweep(values, jobs, print)

"""``ecomtune sweep``: many experiments, queued and run."""

from __future__ import annotations

from typing import Annotated

import typer


def sweep(
    values: Annotated[list[str], typer.Option("--set-param", "-S", help="a parameter's values, as in train.shared.rank=4,8")],
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, help="experiments at a time; of several GPUs each has its own")
    ] = 1,
) -> None:
    """Queue a dvc experiment for each combination of values, and run them all."""
    from ecomtune.runs import sweep as sweeping

    sweeping.sweep(values, jobs, print)

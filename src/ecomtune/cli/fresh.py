"""``ecomtune fresh``: whether the results belong to this checkout."""

from __future__ import annotations

import sys

import typer

from ecomtune.cli.common import problems_here


def fresh() -> None:
    """Check whether dvc.lock and metrics/ belong to this code and these parameters."""
    found = problems_here()
    for problem in found:
        print(f"error: {problem}", file=sys.stderr)
    if found:
        raise typer.Exit(1)
    print("dvc.lock and metrics/ are fresh")

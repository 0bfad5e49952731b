"""``ecomtune plan``: what a run would cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ecomtune.cli.common import profile_file
from ecomtune.core.paths import PARAMS_FILE


def plan(
    name: Annotated[str, typer.Argument(help="a file of profiles/, without .yaml; default: params.yaml")] = "",
    teraflops: Annotated[float, typer.Option(min=0, help="peak of the machine to plan for; 0: measure this one")] = 0,
) -> None:
    """Print what a run would download and cost, stage by stage; nothing is run."""
    from ecomtune.checks.parameters import load_params
    from ecomtune.plan.printed import show

    show(load_params(profile_file(name) if name else PARAMS_FILE), Path(), teraflops)

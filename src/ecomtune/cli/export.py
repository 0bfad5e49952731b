"""``ecomtune export``: an adapter, or a whole model, for use elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    system: Annotated[str, typer.Option(help="a system of kind adapter in params.yaml")],
    out: Annotated[Path, typer.Option(help="a folder that is empty, or not there yet")],
    task: Annotated[str | None, typer.Option(help="a task that it answers, where it has an adapter for each")] = None,
    merged: Annotated[bool, typer.Option(help="the whole model, its adapter merged in, in place of the adapter alone")] = False,
) -> None:
    """Write a trained adapter, or the model with it, as plain peft and transformers load it, with a model card."""
    from ecomtune.checks.parameters import load_params
    from ecomtune.cli import adapter_export as exporting
    from ecomtune.core.config.params import model_folder
    from ecomtune.runs.stale_outputs import warn_if_stale

    params = load_params()
    first, *_ = exporting.tasks_of(params, system, task)
    warn_if_stale(Path(), model_folder(params.systems[system], first, params))
    exporting.export(params, system, task, out, merged)
    print(out)

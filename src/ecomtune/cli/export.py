"""``ecomtune export``: an adapter, or a complete model, for use elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    system: Annotated[str, typer.Option(help="a system of kind adapter in params.yaml")],
    out: Annotated[Path, typer.Option(help="a folder that is empty or doesn't exist yet")],
    task: Annotated[str | None, typer.Option(help="one of the system's tasks, if it has an adapter for each")] = None,
    merged: Annotated[bool, typer.Option(help="the complete model, with the adapter merged into it")] = False,
) -> None:
    """Write a trained adapter, or the model with it, as plain peft and transformers load it, with a model card."""
    from ecomtune.checks.parameters import load_params
    from ecomtune.cli.adapter_export import export_adapter, tasks_of
    from ecomtune.core.config.params import model_folder
    from ecomtune.runs.stale_outputs import warn_if_stale

    params = load_params()
    first, *_ = tasks_of(params, system, task)
    warn_if_stale(Path(), model_folder(params.systems[system], first, params))
    export_adapter(params, system, task, out, merged)
    print(out)

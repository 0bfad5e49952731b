"""``ecomtune predict``: answers to inputs of the user's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def predict(
    task: Annotated[str, typer.Option(help="a task that the system answers")],
    system: Annotated[str, typer.Option(help="a system of params.yaml that has been trained")],
    texts: Annotated[list[str] | None, typer.Argument(help="inputs of a task with one field, as the queries of ner")] = None,
    field: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, a field of one input; several times for several")] = None,
    file: Annotated[Path | None, typer.Option(help="JSON lines of fields, or plain lines where the task has one field")] = None,
) -> None:
    """Answer inputs of your own with a trained system: JSON lines on standard output; without any, standard input is read."""
    from ecomtune.checks.parameters import load_params
    from ecomtune.cli import predict_inputs as predicting
    from ecomtune.core.config.params import model_folder
    from ecomtune.models.process import is_main_process
    from ecomtune.runs.stale_outputs import warn_if_stale

    params = load_params()
    asked = predicting.task_of(params, system, task)
    warn_if_stale(Path(), model_folder(params.systems[system], task, params))
    inputs = predicting.as_inputs(asked, texts or [], field or [], file)
    for told in predicting.predict(params, system, asked, inputs):
        if is_main_process():
            print(json.dumps(told, ensure_ascii=False))

"""``ecomtune predict``: answers to inputs of the user's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def predict(
    task: Annotated[str, typer.Option(help="a task that the system answers")],
    system: Annotated[str, typer.Option(help="a trained system of params.yaml")],
    texts: Annotated[list[str] | None, typer.Argument(help="inputs of a task with one field, such as queries of ner")] = None,
    field: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, a field of one input; repeat it for more fields")] = None,
    file: Annotated[Path | None, typer.Option(help="JSON lines of fields, or plain lines if the task has one field")] = None,
) -> None:
    """Answer inputs of your own with a trained system, as JSON lines on standard output; by default, read standard input."""
    from ecomtune.checks.parameters import load_params
    from ecomtune.cli.predict_inputs import answer_inputs, read_inputs, task_of
    from ecomtune.core.config.params import model_folder
    from ecomtune.models.process import is_main_process
    from ecomtune.runs.stale_outputs import warn_if_stale

    params = load_params()
    asked = task_of(params, system, task)
    warn_if_stale(Path(), model_folder(params.systems[system], task, params))
    inputs = read_inputs(asked, texts or [], field or [], file)
    for result in answer_inputs(params, system, asked, inputs):
        if is_main_process():
            print(json.dumps(result, ensure_ascii=False))

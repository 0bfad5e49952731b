"""Reading the definitions of tasks: the user's files in tasks/, and the copies next to formatted examples."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from ecomtune.core.config import TaskSettings
from ecomtune.core.config.definition import TaskDefinition
from ecomtune.core.config.params import Params
from ecomtune.core.files import read_json, read_yaml
from ecomtune.core.paths import TASKS, formatted_definition
from ecomtune.messages.advice import describe, nearest
from ecomtune.messages.errors import UserError


def definition_name(key: str, settings: TaskSettings) -> str:
    """The name of a task's definition: its own, unless it names another's."""
    return settings.definition or key


def definition_of(params: Params, key: str) -> TaskDefinition:
    """The definition of a task of params.yaml. Raises UserError, which names the file, where it is missing or wrong."""
    return read_definition(definition_name(key, params.tasks[key]))


def read_definition(name: str, root: Path = Path()) -> TaskDefinition:
    """The definition in tasks/NAME.yaml. Raises UserError where there is none, or it is wrong."""
    path = TASKS / f"{name}.yaml"
    if not (root / path).is_file():
        known = sorted(file.stem for file in (root / TASKS).glob("*.yaml"))
        near = nearest(name, known)
        hint = f" (did you mean {near}?)" if near else ""
        raise UserError(
            f"{path} is missing{hint}; write the task's definition there, or name another one (there: "
            f"{', '.join(known) or 'none'}) in tasks.{name}.definition"
        )
    return _validated(path, read_yaml(root / path))


def formatted_task_definition(key: str) -> TaskDefinition:
    """The definition that a task's examples were formatted by. Raises UserError where it is missing or broken."""
    path = formatted_definition(key)
    if not path.is_file():
        raise UserError(f"{path} is missing; run dvc repro format@{key}, which writes it")
    return _validated(path, read_json(path))


def _validated(path: Path, values: object) -> TaskDefinition:
    if not isinstance(values, dict):
        raise UserError(f"{path}: it must be a mapping of keys to values; begin with kind, inputs and instruction")
    try:
        return TaskDefinition.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}: {describe(error, TaskDefinition)}") from error


def dump_definition(definition: TaskDefinition, form: str) -> str:
    """The part of a definition that examples and answers depend on, as JSON: of the instruction only the ``form`` that is used.

    Scoring is left out, so that another main metric retrains nothing.
    """
    values = definition.model_dump(mode="json", exclude={"metric", "f1_of", "tokenizer", "version"}, exclude_defaults=True)
    instruction = definition.instruction
    values["instruction"] = instruction.long or instruction.compact if form == "long" else instruction.compact
    # unsorted: the order of inputs and labels is part of prompts
    return json.dumps(values, ensure_ascii=False, indent=2) + "\n"

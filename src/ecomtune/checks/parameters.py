"""Loading of params.yaml: first the types and bounds of each key, then the rules across keys, before any stage runs."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ecomtune.checks.items import check_items
from ecomtune.checks.references import check_references, check_tasks_of_baselines
from ecomtune.checks.rules import check_folders_of_baselines, check_rules
from ecomtune.core.config.params import Params
from ecomtune.core.files import read_yaml
from ecomtune.core.paths import PARAMS_FILE
from ecomtune.messages.advice import describe
from ecomtune.messages.errors import UserError


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check a parameter file. Raises UserError, one sentence that names the key and what to change."""
    if not path.is_file():
        raise UserError(f"{path} is missing; run in the repository's root, or write it with: ecomtune profile demo")
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: it must be a mapping of keys to values; write it again with: ecomtune profile demo")
    try:
        return validate(values)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


def validate(values: object) -> Params:
    """The parameters of a parsed file. Raises ValueError, in one sentence, for the first problem."""
    try:
        params = Params.model_validate(values)
    except ValidationError as error:
        raise ValueError(describe(error, Params)) from error
    check_items(params)
    check_tasks_of_baselines(params)
    check_folders_of_baselines(params)
    check_references(params)
    check_rules(params)
    return params

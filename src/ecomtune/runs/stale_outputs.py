"""Outputs that were made with other parameters than params.yaml has now, told by dvc.lock in a moment."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ecomtune.core.files import read_yaml
from ecomtune.core.paths import LOCK_FILE, PARAMS_FILE
from ecomtune.messages.errors import UserError
from ecomtune.runs.freshness import problems, stage_names
from ecomtune.runs.revisions import leaves


def note_model(repository: Path, model: str) -> None:
    """Print, on standard error, where a model that is used was made with other parameters."""
    if other := made_with_others(repository, model):
        print(f"note: {model} isn't that of {PARAMS_FILE}: {other}", file=sys.stderr)


def stale_numbers(repository: Path) -> list[str]:
    """Why metrics/ isn't what code and parameters of now give, and which parameter is another; empty where it is."""
    found = problems(repository, left_over=False)[:1]
    other = made_with_others(repository, "metrics") if found else None
    return [*found, *([other] if other else [])]


def made_with_others(repository: Path, out: str) -> str | None:
    """How the stage that wrote ``out``, or one before it, ran with another parameter than params.yaml has; None: none did.

    A folder is that of all stages that write into it. None also where dvc.lock has no such output: what wrote it isn't
    known. Raises UserError where dvc.lock isn't as dvc writes it, or dvc.yaml isn't valid.
    """
    file = repository / LOCK_FILE
    if not file.is_file():
        return None
    params, locked, present = read_yaml(repository / PARAMS_FILE), read_yaml(file), stage_names(repository)
    try:
        return _first_difference(locked["stages"], out, present, params)
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(
            f"{file} doesn't hold stages as dvc writes them; restore it: git checkout HEAD -- {LOCK_FILE}"
        ) from error


def _first_difference(stages: Mapping[str, Any], out: str, present: Sequence[str], params: Mapping[str, Any]) -> str | None:
    """From the stage that wrote ``out`` back to the first ones, so that the parameter named is the nearest."""
    writers = [name for name, stage in stages.items() if _writes(stage, out)]
    if writers and not set(present) & set(writers):
        return f"stage {writers[0]} of {LOCK_FILE} wrote {out}, and {PARAMS_FILE} has no such stage"
    waiting, left = [out], [name for name in present if name in stages]  # what other parameters left behind is read by none
    for path in waiting:
        for name in [name for name in left if _writes(stages[name], path)]:
            left.remove(name)
            for key, then in stages[name].get("params", {}).get(str(PARAMS_FILE), {}).items():
                if difference := _difference(key, then, _value(params, key)):
                    return f"stage {name} of {LOCK_FILE} ran with {difference}"
            waiting += [each["path"] for each in stages[name].get("deps", []) if not each["path"].startswith("src/")]
    return None


def _writes(stage: Mapping[str, Any], path: str) -> bool:
    """Whether a stage writes ``path``, or a part of it where it is a folder."""
    return any(f"{each['path']}/".startswith(f"{path}/") for each in stage.get("outs", []))


def _difference(key: str, then: Any, now: Any) -> str | None:
    before, after = dict(leaves(then, key)), dict(leaves({} if now is None else now, key))
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            return f"{name} {_text(before.get(name))}, and {PARAMS_FILE} has {_text(after.get(name))}"
    return None


def _value(params: Any, key: str) -> Any:
    """The parameter of a dotted path; None where there is none."""
    for part in key.split("."):
        params = params.get(part) if isinstance(params, Mapping) else None
    return params


def _text(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

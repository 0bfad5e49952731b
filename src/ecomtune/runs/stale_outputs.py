"""Outputs that were made with other parameters than params.yaml has now: dvc.lock says so at once, without DVC."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ecomtune.core.files import read_yaml
from ecomtune.core.paths import LOCK_FILE, METRICS, PARAMS_FILE
from ecomtune.messages.errors import UserError
from ecomtune.runs.freshness import problems, stage_names
from ecomtune.runs.revisions import leaves, text_of, value_at


def warn_if_stale(repository: Path, model: str) -> None:
    """Print a warning on standard error if a model that is about to be used was made with other parameters."""
    if difference := parameter_difference(repository, model):
        print(f"warning: {model} was made with other parameters than {PARAMS_FILE} has: {difference}", file=sys.stderr)


def stale_numbers(repository: Path) -> list[str]:
    """Why metrics/ doesn't belong to the present code and parameters, and which parameter has changed; empty if it does."""
    found = problems(repository, leftovers=False)[:1]
    difference = parameter_difference(repository, str(METRICS)) if found else None
    return [*found, *([difference] if difference else [])]


def parameter_difference(repository: Path, out: str) -> str | None:
    """The first parameter with which the stage that wrote ``out``, or one before it, ran otherwise than params.yaml says.

    A folder belongs to all stages that write into it. None if no parameter differs, and also if dvc.lock has no such output,
    since nothing is known of the stage that wrote it. Raises UserError if dvc.lock isn't as DVC writes it, or dvc.yaml isn't
    valid.
    """
    file = repository / LOCK_FILE
    if not file.is_file():
        return None
    params, locked, present = read_yaml(repository / PARAMS_FILE), read_yaml(file), stage_names(repository)
    try:
        return _first_difference(locked["stages"], out, present, params)
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(
            f"{file} doesn't hold stages as DVC writes them; restore it: git checkout HEAD -- {LOCK_FILE}"
        ) from error


def _first_difference(stages: Mapping[str, Any], out: str, present: Sequence[str], params: Mapping[str, Any]) -> str | None:
    """The nearest one: stages are searched from the one that wrote ``out`` back to those that it depends on."""
    writers = [name for name, stage in stages.items() if _writes(stage, out)]
    if writers and not set(present) & set(writers):
        return f"stage {writers[0]} of {LOCK_FILE} wrote {out}, and {PARAMS_FILE} has no such stage"
    # stages that params.yaml no longer has are left out: none of the others reads their outputs
    waiting, unvisited = [out], [name for name in present if name in stages]
    for path in waiting:
        for name in [name for name in unvisited if _writes(stages[name], path)]:
            unvisited.remove(name)
            for key, then in stages[name].get("params", {}).get(str(PARAMS_FILE), {}).items():
                if difference := _difference(key, then, value_at(params, key)):
                    return f"stage {name} of {LOCK_FILE} ran with {difference}"
            waiting += [each["path"] for each in stages[name].get("deps", []) if not each["path"].startswith("src/")]
    return None


def _writes(stage: Mapping[str, Any], path: str) -> bool:
    """Whether a stage writes ``path``, or something inside it if it is a folder."""
    return any(f"{each['path']}/".startswith(f"{path}/") for each in stage.get("outs", []))


def _difference(key: str, then: Any, now: Any) -> str | None:
    before, after = dict(leaves(then, key)), dict(leaves({} if now is None else now, key))
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            return f"{name} {text_of(before.get(name), 'none')}, and {PARAMS_FILE} has {text_of(after.get(name), 'none')}"
    return None

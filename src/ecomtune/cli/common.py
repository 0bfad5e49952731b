"""What several commands share."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from ecomtune.cli.commands import OUTSIDE, is_outside
from ecomtune.core.paths import PROFILES
from ecomtune.messages.errors import UserError

if TYPE_CHECKING:  # importing them takes longer than all that --help needs
    from ecomtune.core.config import System
    from ecomtune.core.config.params import Params


def profile_file(name: str) -> Path:
    """profiles/NAME.yaml. Raises UserError if there is none, so that no NAME leads out of profiles/ or results/."""
    source = PROFILES / f"{name}.yaml"
    if not re.fullmatch(r"\w[\w-]*", name) or not source.is_file():
        known = ", ".join(sorted(file.stem for file in PROFILES.glob("*.yaml"))) or "none"
        raise UserError(f"{f'there is no profile {name!r}' if name else 'no profile is named'}; name one of: {known}")
    return source


def report_left_overs(params: Params) -> None:
    """Print which outputs of other profiles are left: stages that read complete folders would read them."""
    from ecomtune.checks.leftovers import left_overs

    if folders := left_overs(params, Path()):
        command = shlex.join(["rm", "-r", *map(str, folders)])
        print(f"found outputs of an earlier configuration; remove them before dvc repro with: {command}")


def problems_here() -> list[str]:
    """Why the results don't belong to this checkout. Raises UserError in a folder that isn't a checkout."""
    from ecomtune.runs.freshness import problems

    found = problems(Path())
    if found and is_outside():
        raise UserError(OUTSIDE)
    return found


def check_task(system: str, config: System, task: str) -> None:
    """Raise UserError if a system doesn't answer a task."""
    if task not in config.tasks:
        raise UserError(f"system {system} doesn't answer {task!r}; name one of its tasks: {', '.join(config.tasks)}")


def missing_model(folder: Path) -> UserError:
    """The error for a model that is not on disk."""
    return UserError(f"{folder} is missing; run dvc repro, or dvc checkout if it has been run before")

"""What several commands share."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from ecomtune.cli.commands import OUTSIDE, is_outside
from ecomtune.core.config.params import Params
from ecomtune.core.paths import PROFILES
from ecomtune.messages.errors import UserError


def profile_file(name: str) -> Path:
    """profiles/NAME.yaml. Raises UserError where there is none, so that no NAME leads out of profiles/ or results/."""
    source = PROFILES / f"{name}.yaml"
    if not re.fullmatch(r"\w[\w-]*", name) or not source.is_file():
        have = ", ".join(sorted(file.stem for file in PROFILES.glob("*.yaml"))) or "none"
        raise UserError(f"{f'there is no profile {name!r}' if name else 'no profile is named'}; name one of: {have}")
    return source


def report_left_overs(params: Params) -> None:
    """Name outputs of other profiles: stages that read whole folders would read them, and dvc.lock would hold them."""
    from ecomtune.checks.leftovers import left_overs

    found = left_overs(params, Path())
    if found:
        print(f"left over from other parameters; before dvc repro, remove with: {shlex.join(['rm', '-r', *map(str, found)])}")


def problems_here() -> list[str]:
    """Why the results don't belong to this checkout. Raises UserError in a folder that is none."""
    from ecomtune.runs.freshness import problems

    found = problems(Path())
    if found and is_outside():
        raise UserError(OUTSIDE)
    return found

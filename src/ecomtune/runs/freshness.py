"""Whether dvc.lock and metrics/ are what the code and the parameters of this checkout give; from git alone."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import Any

from ecomtune.checks.parameters import load_params
from ecomtune.core.files import read_yaml
from ecomtune.core.paths import METRICS, PARAMS_FILE
from ecomtune.messages.errors import UserError

UP_TO_DATE = "Data and pipelines are up to date."


def problems(repository: Path, left_over: bool = True) -> list[str]:
    """Every reason why the results don't belong to this checkout; empty where they do.

    ``left_over=False`` lets pass what a run of other parameters has left behind in dvc.lock and metrics/.
    ``dvc repro --dry`` alone isn't enough: it calls a new stage a success, and never looks at a removed stage or at an
    edited or deleted metrics file (measured with dvc 3.67).
    """
    try:
        locked, present = _locked_metrics(repository), set(stage_names(repository))
    except UserError as error:
        return [str(error)]
    expected = {path: md5 for stage, outs in locked.items() if stage in present for path, md5 in outs.items()}
    found = {f"{METRICS}/{file.name}": _md5(file) for file in sorted((repository / METRICS).glob("*.json"))}
    return [
        *_changed_metrics(expected, found),
        *_stale_stages(repository),
        *(_left_over(locked.keys() - present, found.keys() - expected.keys()) if left_over else []),
    ]


def stage_names(repository: Path) -> list[str]:
    """The stages that dvc.yaml has with these parameters, in its order (dvc itself takes seconds to list them).

    Raises UserError where params.yaml or dvc.yaml isn't valid.
    """
    params = load_params(repository / PARAMS_FILE).model_dump()
    with _stages_in(repository / "dvc.yaml") as stages:
        return [f"{name}{item}" for name, stage in stages.items() for item in _items(stage, params)]


def _items(stage: Mapping[str, Any], params: dict[str, Any]) -> list[str]:
    """What stands behind a stage's name: nothing, or each item of the section that it is over."""
    if "foreach" not in stage:
        return [""]
    over = stage["foreach"]  # a section of params.yaml by its name, or in a stage of one's own the items themselves
    section: Any = over if isinstance(over, list | dict) else reduce(lambda part, key: part[key], over[2:-1].split("."), params)
    return [f"@{item}" for item in section]


@contextmanager
def _stages_in(file: Path) -> Iterator[Mapping[str, Any]]:
    """The stages of dvc.yaml or dvc.lock. Raises UserError where it holds none, or the block finds them of another shape."""
    try:
        yield read_yaml(file)["stages"]
    except FileNotFoundError as error:
        raise UserError(f"{file} is missing; restore it: git checkout HEAD -- {file.name}") from error
    except (UserError, AttributeError, KeyError, TypeError) as error:
        reason = str(error) if isinstance(error, UserError) else f"{file} doesn't hold stages as dvc knows them"
        raise UserError(f"{reason}; restore it (git checkout HEAD -- {file.name}), then run dvc repro") from error


def _locked_metrics(repository: Path) -> dict[str, dict[str, str]]:
    """The metrics files of each stage of dvc.lock with their md5."""
    file = repository / "dvc.lock"
    if not file.is_file():
        raise UserError(f"{file} is missing; run dvc repro and commit it")
    with _stages_in(file) as stages:
        return {
            name: {out["path"]: out["md5"] for out in stage.get("outs", []) if out["path"].startswith(f"{METRICS}/")}
            for name, stage in stages.items()
        }


def _stale_stages(repository: Path) -> list[str]:
    """What dvc would rerun, judged in a copy without data: with only a part of the data on disk it stumbles over the rest."""
    command = ["dvc", "repro", "--dry", "--allow-missing"]
    with tempfile.TemporaryDirectory() as copy:
        for name in ("dvc.yaml", "dvc.lock", "params.yaml", ".dvcignore", "src", "metrics"):
            if (repository / name).is_dir():
                shutil.copytree(repository / name, Path(copy) / name, ignore=shutil.ignore_patterns("__pycache__", ".#*"))
            elif (repository / name).is_file():
                shutil.copyfile(repository / name, Path(copy) / name)
        (Path(copy) / ".dvc").mkdir()
        # what dvc keeps beside a repository stays in the copy, and goes with it
        config = f"[core]\n    no_scm = true\n    analytics = false\n    site_cache_dir = {copy}/.dvc/site\n"
        (Path(copy) / ".dvc/config").write_text(config, encoding="utf-8")
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    if done.returncode == 0 and UP_TO_DATE in done.stdout and "Running stage" not in done.stdout:
        return []
    output = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    stages = [match[1] for line in output if (match := re.search(r"(?:Running stage|failed to reproduce) '([^']+)'", line))]
    lines = [f"stage {stage} would run" for stage in stages] or [line for line in output if line.startswith("ERROR")]
    reason = "; ".join(lines[:3]) or "dvc repro --dry says so"
    return [f"dvc.lock is stale ({reason}); run dvc repro and commit dvc.lock and metrics/"]


def _changed_metrics(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    return [
        *(f"{path} is missing; run dvc repro and commit it" for path in sorted(expected.keys() - found.keys())),
        *(
            f"{path} isn't what dvc.lock says; run dvc repro and commit both"
            for path in sorted(expected.keys() & found.keys())
            if expected[path] != found[path]
        ),
    ]


def _left_over(stages: set[str], metrics: set[str]) -> list[str]:
    """One sentence each for all stages and for all metrics files that belong to other parameters."""
    found = []
    back = "or go back to the profile that wrote it"
    if stages:
        found.append(
            f"dvc.lock still holds stage {_some(stages)}, which params.yaml no longer has; remove dvc.lock and run dvc repro, "
            f"which takes from its cache what it has run before, {back}"
        )
    if metrics:
        found.append(f"{METRICS}/ holds {_some(metrics)}, of no stage of params.yaml; remove what isn't wanted, {back}")
    return found


def _some(names: set[str]) -> str:
    first, *others = sorted(map(str, names))  # YAML's keys may be numbers
    return f"{first} and {len(others)} more" if others else first


def _md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()

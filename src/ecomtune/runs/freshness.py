"""Whether dvc.lock and metrics/ belong to the code and the parameters of this checkout, judged without any data."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ecomtune.checks.parameters import load_params
from ecomtune.core.files import read_yaml
from ecomtune.core.paths import LOCK_FILE, METRICS, PARAMS_FILE, PIPELINE_FILE
from ecomtune.messages.errors import UserError
from ecomtune.runs.revisions import value_at

#: What ``dvc repro`` prints if no stage has to run.
UP_TO_DATE = "Data and pipelines are up to date."


def problems(repository: Path, leftovers: bool = True) -> list[str]:
    """Every reason why the results don't belong to this checkout; empty if they do.

    ``leftovers=False`` accepts what a run of other parameters has left behind in dvc.lock and metrics/.
    ``dvc repro --dry`` alone isn't enough: it exits with status 0 if a stage is new, and ignores removed stages and edited or
    deleted metrics files (measured with dvc 3.67).
    """
    try:
        locked, stages = _locked_metrics(repository), set(stage_names(repository))
    except UserError as error:
        return [str(error)]
    expected = {path: md5 for stage, outs in locked.items() if stage in stages for path, md5 in outs.items()}
    found = {f"{METRICS}/{file.name}": md5_file(file) for file in sorted((repository / METRICS).glob("*.json"))}
    return [
        *_changed_metrics(expected, found),
        *_stale_stages(repository),
        *(_leftovers(locked.keys() - stages, found.keys() - expected.keys()) if leftovers else []),
    ]


def stage_names(repository: Path) -> list[str]:
    """The stages of dvc.yaml with the parameters of params.yaml, in order (DVC itself takes seconds to list them).

    Raises UserError if params.yaml or dvc.yaml isn't valid.
    """
    params = load_params(repository / PARAMS_FILE).model_dump()
    with _stages_in(repository / PIPELINE_FILE) as stages:
        return [f"{name}{item}" for name, stage in stages.items() for item in _items(stage, params)]


def _items(stage: Mapping[str, Any], params: dict[str, Any]) -> list[str]:
    """What follows a stage's name: nothing, or ``@`` and each item of its foreach."""
    if "foreach" not in stage:
        return [""]
    items = stage["foreach"]  # ${a key of params.yaml}; a stage of the user's own may list the items themselves
    return [f"@{item}" for item in (value_at(params, items[2:-1]) if isinstance(items, str) else items)]


@contextmanager
def _stages_in(file: Path) -> Iterator[Mapping[str, Any]]:
    """The stages of dvc.yaml or dvc.lock. Raises UserError if it has none, or if the block finds them malformed."""
    try:
        yield read_yaml(file)["stages"]
    except FileNotFoundError as error:
        raise UserError(f"{file} is missing; restore it: git checkout HEAD -- {file.name}") from error
    except (UserError, AttributeError, KeyError, TypeError) as error:
        reason = str(error) if isinstance(error, UserError) else f"{file} doesn't hold stages as DVC defines them"
        raise UserError(f"{reason}; restore it (git checkout HEAD -- {file.name}), then run dvc repro") from error


def _locked_metrics(repository: Path) -> dict[str, dict[str, str]]:
    """The metrics files that each stage of dvc.lock wrote, with their md5."""
    file = repository / LOCK_FILE
    if not file.is_file():
        raise UserError(f"{file} is missing; run dvc repro and commit it")
    with _stages_in(file) as stages:
        return {
            name: {out["path"]: out["md5"] for out in stage.get("outs", []) if out["path"].startswith(f"{METRICS}/")}
            for name, stage in stages.items()
        }


def _stale_stages(repository: Path) -> list[str]:
    """The stages that DVC would run again, as a list of at most one sentence.

    DVC judges a copy of the repository that has no data. In a complete clone, or in a fresh one without any data, it would
    come to the same result in place; but if only a part of a collection is on disk (after ``dvc pull`` of one adapter of
    two, say), it takes the collection for modified and fails at the files that are missing. In the copy everything is
    missing, which ``--allow-missing`` accepts, and what counts is what git tracks: code, parameters, dvc.lock, metrics.
    """
    command = ["dvc", "repro", "--dry", "--allow-missing"]
    with tempfile.TemporaryDirectory() as copy:
        for name in (PIPELINE_FILE, LOCK_FILE, PARAMS_FILE, Path(".dvcignore"), Path("src"), METRICS):
            if (repository / name).is_dir():
                shutil.copytree(repository / name, Path(copy) / name, ignore=shutil.ignore_patterns("__pycache__", ".#*"))
            elif (repository / name).is_file():
                shutil.copyfile(repository / name, Path(copy) / name)
        (Path(copy) / ".dvc").mkdir()
        # what DVC keeps outside of a repository stays inside the copy and is deleted with it
        config = f"[core]\n    no_scm = true\n    analytics = false\n    site_cache_dir = {copy}/.dvc/site\n"
        (Path(copy) / ".dvc/config").write_text(config, encoding="utf-8")
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    if done.returncode == 0 and UP_TO_DATE in done.stdout and "Running stage" not in done.stdout:
        return []
    output = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    stages = [match[1] for line in output if (match := re.search(r"(?:Running stage|failed to reproduce) '([^']+)'", line))]
    lines = [f"stage {stage} would run" for stage in stages] or [line for line in output if line.startswith("ERROR")]
    reason = "; ".join(lines[:3]) or "by dvc repro --dry"
    return [f"dvc.lock is stale ({reason}); run dvc repro and commit dvc.lock and metrics/"]


def _changed_metrics(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    return [
        *(f"{path} is missing; run dvc repro and commit it" for path in sorted(expected.keys() - found.keys())),
        *(
            f"{path} differs from its hash in dvc.lock; run dvc repro and commit both"
            for path in sorted(expected.keys() & found.keys())
            if expected[path] != found[path]
        ),
    ]


def _leftovers(stages: set[str], metrics: set[str]) -> list[str]:
    """One sentence about the stages, and one about the metrics files, that belong to other parameters."""
    found = []
    if stages:
        found.append(
            f"dvc.lock still holds stage {_summarized(stages)}, which params.yaml no longer has; remove dvc.lock and run dvc "
            "repro, which takes from its cache what it has run before, or go back to the profile that wrote it"
        )
    if metrics:
        found.append(
            f"{METRICS}/ holds {_summarized(metrics)}, which no stage of params.yaml writes; remove what you don't need, or go "
            "back to the profile that wrote it"
        )
    return found


def _summarized(names: set[str]) -> str:
    first, *others = sorted(map(str, names))  # YAML's keys may be numbers
    return f"{first} and {len(others)} more" if others else first


def md5_file(file: Path) -> str:
    """Hex digest of a file's bytes, by which DVC knows it."""
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()

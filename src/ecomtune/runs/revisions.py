"""Runs in git: params.yaml and metrics/ of a commit or of the working tree."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecomtune.core.config.definition import TaskDefinition
from ecomtune.core.definitions import read_definition
from ecomtune.core.files import parse_json, parse_yaml
from ecomtune.core.paths import PARAMS_FILE, metrics_file
from ecomtune.messages.errors import UserError

#: The name of the working tree in place of a commit, which is also the one in ``dvc exp show``.
WORKSPACE = "workspace"


@dataclass(frozen=True)
class Run:
    """One run: its params.yaml, and its metrics by system, task and metric."""

    params: dict[str, Any]
    metrics: dict[str, Any]


@dataclass(frozen=True)
class Runs:
    """By name, the run of the current commit and those of its finished experiments; and the names of its other experiments."""

    finished: dict[str, Run]
    unfinished: list[str]


def run_at(revision: str) -> Run:
    """The run of a commit or of the working tree. Raises UserError if its files are not as the stages write them."""
    file = str(PARAMS_FILE)
    try:
        params = parse_yaml(file_at(revision, file) or "{}", f"{file} of {revision}")
        metrics = {}
        for system in params.get("systems", {}):
            file = str(metrics_file(system))
            if text := file_at(revision, file):
                metrics[system] = dict(parse_json(text))
        return Run(params, metrics)
    except (AttributeError, TypeError, UserError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        advice = "correct it, or run dvc repro" if revision == WORKSPACE else "name a commit of this project"
        raise UserError(f"{file} of {revision} can't be read ({reason}); {advice}") from error


def runs_of_commit() -> Runs:
    """The current commit's run, and its experiments: finished ones, and those that failed, are running or are queued.

    The working tree is left out: its metrics may be older than its parameters, and what ``dvc exp run`` writes there is an
    experiment too. Raises UserError if DVC fails, as it does outside a git repository, or if a run's files are broken.
    """
    done = subprocess.run(["dvc", "exp", "show", "--json", "--no-pager"], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"dvc exp show failed ({reason}); run it in the repository's root to see more")
    found = list(_revisions(json.loads(done.stdout)))
    finished = {name: run_at(revision) for name, revision, is_finished in found if is_finished}
    return Runs(finished, sorted(name for name, _, is_finished in found if not is_finished))


def _revisions(shown: list[dict[str, Any]]) -> Iterator[tuple[str, str, bool]]:
    """Each run's name and commit, and whether it is finished.

    DVC shows unfinished experiments too, with their own parameters and the metrics of the commit that they started from.
    """
    for commit in shown:
        experiments = [(each.get("executor") or {}, run) for each in commit.get("experiments") or [] for run in each["revs"]]
        for executor, run in ({}, commit), *experiments:
            if run["rev"] != WORKSPACE:
                is_finished = executor.get("state", "success") == "success" and isinstance(run.get("data"), dict)
                yield run.get("name") or run["rev"][:7], run["rev"], is_finished


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each parameter with its dotted path; a list is one value."""
    if isinstance(value, Mapping) and (value or not path):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def value_at(params: Any, path: str) -> Any:
    """The parameter, or mapping of parameters, at a dotted path; None if there is none."""
    for key in path.split("."):
        params = params.get(key) if isinstance(params, Mapping) else None
    return params


def text_of(value: Any, missing: str) -> str:
    """A parameter as text: a string as it is, anything else as JSON, None as ``missing``."""
    return missing if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def file_at(revision: str, path: str) -> str:
    """The text of a file; empty if there is no such file. Raises UserError if git has the file and can't read it."""
    if revision == WORKSPACE:
        return Path(path).read_text(encoding="utf-8") if Path(path).is_file() else ""
    try:
        found = _run_git("ls-tree", "--name-only", revision, "--", path).stdout
        return _run_git("show", f"{revision}:./{path}").stdout if found else ""
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"git can't read it: {reason}") from error


def git(*arguments: str) -> str:
    """What a git command prints; empty if it fails."""
    with suppress(subprocess.CalledProcessError):
        return _run_git(*arguments).stdout
    return ""


def _run_git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Raises CalledProcessError if the command fails, and UserError if git is not installed or prints no text."""
    try:
        return subprocess.run(["git", *arguments], capture_output=True, encoding="utf-8", check=True)
    except FileNotFoundError as error:
        raise UserError("git, which other commits are read with, is not installed; install it and run this again") from error
    except UnicodeDecodeError as error:
        raise UserError(f"git {arguments[0]} prints something other than UTF-8 text ({error}); name another commit") from error


def definition_at(params: Mapping[str, Any], task: str) -> TaskDefinition:
    """The definition of a run's task, as the working tree has it. Raises UserError where it is missing or wrong."""
    definition = value_at(params, f"tasks.{task}.definition")
    return read_definition(definition if isinstance(definition, str) and definition else task)


def main_metric(params: Mapping[str, Any], task: str) -> str:
    """The main metric of a run's task. Raises UserError where the working tree has no definition of it."""
    return definition_at(params, task).main_metric

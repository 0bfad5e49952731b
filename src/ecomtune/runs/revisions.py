"""Runs as git has them: params.yaml and metrics/ of a commit, or of the working tree."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecomtune.core.files import parse_json, parse_yaml
from ecomtune.core.paths import metrics_file
from ecomtune.messages.errors import UserError

#: The working tree in place of a commit, as ``dvc exp show`` calls it.
WORKSPACE = "workspace"


@dataclass(frozen=True)
class Run:
    """One run: its params.yaml, and the metrics of each system that it has scored, by task and name."""

    params: dict[str, Any]
    metrics: dict[str, Any]


def run_at(revision: str) -> Run:
    """The run of a commit or of the working tree. Raises UserError where its files are not as the stages write them."""
    file = "params.yaml"
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
        mend = "correct it, or run dvc repro" if revision == WORKSPACE else "name a commit of this project"
        raise UserError(f"{file} of {revision} can't be read ({reason}); {mend}") from error


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each parameter by its dotted path; a list is one value."""
    if isinstance(value, Mapping) and (value or not path):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def file_at(revision: str, path: str) -> str:
    """The text of a file; empty where there is none. Raises UserError where git knows the file and can't read it."""
    if revision == WORKSPACE:
        return Path(path).read_text(encoding="utf-8") if Path(path).is_file() else ""
    try:
        found = _git("ls-tree", "--name-only", revision, "--", path).stdout
        return _git("show", f"{revision}:./{path}").stdout if found else ""
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"git can't read it: {reason}") from error


def git(*arguments: str) -> str:
    """What a git command prints; empty where it fails."""
    with suppress(subprocess.CalledProcessError):
        return _git(*arguments).stdout
    return ""


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Raises CalledProcessError where the command fails, and UserError where there is no git."""
    try:
        return subprocess.run(["git", *arguments], capture_output=True, encoding="utf-8", check=True)
    except FileNotFoundError as error:
        raise UserError("git isn't there, and tells what other commits hold; install it, and run this again") from error
    except UnicodeDecodeError as error:
        raise UserError(f"git {arguments[0]} gives no UTF-8 text ({error}); name another commit") from error

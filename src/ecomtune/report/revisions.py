"""Runs as git has them: params.yaml and metrics/ of a commit, or of the working tree."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecomtune.errors import UserError
from ecomtune.files import parse_json, parse_yaml

#: The working tree in place of a commit, as ``dvc exp show`` calls it.
WORKSPACE = "workspace"


@dataclass(frozen=True)
class Run:
    """One run: its params.yaml, and the metrics of each system that it has scored, by task and name."""

    params: dict[str, Any]
    metrics: dict[str, Any]


def run_at(revision: str) -> Run:
    """The run of a commit or of the working tree. Raises UserError where its files are not as the stages write them."""
    try:
        params = parse_yaml(file_at(revision, "params.yaml") or "{}", f"params.yaml of {revision}")
        systems = params.get("systems", {})
        texts = {system: file_at(revision, f"metrics/{system}.json") for system in systems}
        return Run(params, {system: dict(parse_json(text)) for system, text in texts.items() if text})
    except (AttributeError, TypeError, UserError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"params.yaml or metrics/ of {revision} can't be read ({reason}); name a commit of this project"
        ) from error


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each parameter by its dotted path; a list is one value."""
    if isinstance(value, Mapping) and (value or not path):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def file_at(revision: str, path: str) -> str:
    """The text of a file; empty where there is none."""
    if revision == WORKSPACE:
        return Path(path).read_text(encoding="utf-8") if Path(path).is_file() else ""
    return git("show", f"{revision}:./{path}")


def git(*arguments: str) -> str:
    """What a git command prints; empty where it fails."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""

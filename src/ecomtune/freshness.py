"""Whether dvc.lock and metrics/ are what the code and the parameters of this checkout give; from git alone."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any

import yaml

UP_TO_DATE = "Data and pipelines are up to date."


def problems(repository: Path) -> list[str]:
    """Every reason why the committed results don't belong to this checkout; empty where they do.

    ``dvc repro --dry`` alone isn't enough: it calls a new stage a success, and never looks at a removed stage or at an
    edited or deleted metrics file (measured with dvc 3.67).
    """
    lock_file = repository / "dvc.lock"
    if not lock_file.is_file():
        return ["dvc.lock is missing; run dvc repro and commit it"]
    locked = yaml.safe_load(lock_file.read_text(encoding="utf-8"))["stages"]
    return [*_stale_stages(repository), *_removed_stages(repository, locked), *_changed_metrics(repository, locked)]


def _dvc(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["dvc", *arguments], cwd=repository, capture_output=True, text=True, check=False)


def _stale_stages(repository: Path) -> list[str]:
    done = _dvc(repository, "repro", "--dry", "--allow-missing")
    if done.returncode == 0 and UP_TO_DATE in done.stdout and "Running stage" not in done.stdout:
        return []
    lines = [
        line for line in [*done.stdout.splitlines(), *done.stderr.splitlines()] if "stage" in line.lower() or "ERROR" in line
    ]
    reason = "; ".join(lines[:3]) or "dvc repro --dry says so"
    return [f"dvc.lock is stale ({reason}); run dvc repro and commit dvc.lock and metrics/"]


def _removed_stages(repository: Path, locked: dict[str, Any]) -> list[str]:
    present = set(_dvc(repository, "stage", "list", "--name-only").stdout.split())
    gone = sorted(set(locked) - present)
    return [f"dvc.lock still holds stage {name}, which params.yaml no longer has; remove its entry" for name in gone]


def _changed_metrics(repository: Path, locked: dict[str, Any]) -> list[str]:
    expected = {
        out["path"]: out["md5"]
        for stage in locked.values()
        for out in stage.get("outs", [])
        if out["path"].startswith("metrics/")
    }
    found = {f"metrics/{file.name}": _md5(file) for file in sorted((repository / "metrics").glob("*.json"))}
    return [
        *(f"{path} is missing; run dvc repro and commit it" for path in sorted(expected.keys() - found.keys())),
        *(f"{path} belongs to no stage of dvc.lock; delete it" for path in sorted(found.keys() - expected.keys())),
        *(
            f"{path} isn't what dvc.lock says; run dvc repro and commit both"
            for path in sorted(expected.keys() & found.keys())
            if expected[path] != found[path]
        ),
    ]


def _md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()

"""Scratch clones: a copy of this working tree, committed in a new repository, in which the real DVC runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.warm_python import warm_python

REPOSITORY = Path(__file__).resolve().parents[2]


def make_clone(folder: Path, profile: str | None = None) -> Path:
    """A repository at ``folder`` with all files of this working tree that git doesn't ignore, committed.

    With ``profile``, params.yaml is that profile, and nothing has run: no dvc.lock, no metrics.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    if profile:
        shutil.copy(folder / "profiles" / f"{profile}.yaml", folder / "params.yaml")
        (folder / "dvc.lock").unlink(missing_ok=True)
        for metrics in (folder / "metrics").glob("*.json"):
            metrics.unlink()
    for command in (
        ["git", "init", "-q", "-b", "main"],
        ["git", "config", "user.name", "Test"],
        ["git", "config", "user.email", "test@example.org"],
        ["git", "add", "-A"],
        ["git", "commit", "-qm", "Start"],
    ):
        subprocess.run(command, cwd=folder, check=True)
    return folder


def run(clone: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a clone, with its own copy of the package and, first on PATH, a Python that starts stages fast."""
    python = warm_python()
    if command[0] == sys.executable:
        command = (str(python), *command[1:])
    env = {
        **os.environ,
        "PATH": os.pathsep.join([str(python.parent), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(clone / "src"),
        "COLUMNS": "200",
        **environment,
    }
    return subprocess.run(command, cwd=clone, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def commit(clone: Path, message: str) -> None:
    """Commit everything in a clone."""
    subprocess.run(["git", "add", "-A"], cwd=clone, check=True)
    subprocess.run(["git", "commit", "-qm", message], cwd=clone, check=True)

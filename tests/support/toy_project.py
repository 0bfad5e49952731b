"""A small repository with real git and DVC, whose toy stages have the names of the real ones."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.tasks import define_tasks

#: Folders that DVC keeps, or nobody.
IGNORED = "/.scratch/\n/data/\n/plots/\n/reports/\n"


def make_repository(folder: Path) -> None:
    """Make ``folder`` a repository of git, on branch main, and of DVC."""
    identity = ("git config user.name Test", "git config user.email test@example.org")
    run(folder, "git init -q -b main", *identity, "dvc init -q")


def make_toy_project(folder: Path, files: Mapping[str, str]) -> Path:
    """A repository at ``folder`` of these files by their paths, in which ``dvc repro`` has been run and committed.

    ``files`` hold at least params.yaml and dvc.yaml, and the scripts that its stages run.
    """
    for name, text in {".gitignore": IGNORED, **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    define_tasks(folder)
    (folder / "metrics").mkdir()
    make_repository(folder)
    run(folder, "dvc repro -q")
    commit(folder, "Run")
    return folder


def copy_project(project: Path, folder: Path) -> Path:
    """A copy for one test that changes it; links into DVC's cache stay links."""
    return shutil.copytree(project, folder, symlinks=True)


def run(folder: Path, *commands: str) -> str:
    """Run commands in a folder, one after another, and return what the last one prints."""
    printed = ""
    for command in commands:
        done = subprocess.run(shlex.split(command), cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        printed = done.stdout
    return printed


def commit(folder: Path, message: str) -> None:
    """Commit everything."""
    run(folder, "git add -A", f"git commit -qm {shlex.quote(message)}")

"""The hashes of a stage's code change with every file that can change the stage's output, and with no other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecomtune.core import code
from ecomtune.core.code import CODE, code_hashes

FOLDERS = sorted(folder.parent.name for folder in code.PACKAGE.glob("*/__init__.py"))
WITHOUT_EFFECT = ("messages", "checks", "plan", "runs", "cli")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package, whose code is hashed in place of the real one."""
    copy = tmp_path / "ecomtune"
    shutil.copytree(code.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "PACKAGE", copy)
    code_hashes.cache_clear()
    yield copy
    code_hashes.cache_clear()


def stages_changed_by(file: Path) -> set[str]:
    """The stages whose hashes differ after a comment is added to ``file``, which may be new."""
    before = {stage: code_hashes(stage) for stage in CODE}
    with file.open("a", encoding="utf-8") as opened:
        opened.write("# changed\n")
    code_hashes.cache_clear()
    return {stage for stage in CODE if code_hashes(stage) != before[stage]}


@pytest.mark.parametrize("name", ["__init__.py", "new.py", "deeper/new.py"])
def test_a_change_in_a_folder_changes_the_hashes_of_the_stages_that_list_it(package: Path, name: str) -> None:
    for folder in FOLDERS:
        file = package / folder / name
        file.parent.mkdir(exist_ok=True)
        assert stages_changed_by(file) == {stage for stage in CODE if folder in CODE[stage]}, folder


def test_a_change_of_a_stage_changes_its_own_hashes_alone(package: Path) -> None:
    for stage in CODE:
        assert stages_changed_by(package / "stages" / f"{stage}.py") == {stage}
    assert stages_changed_by(package / "stages" / "runner.py") == set()


@pytest.mark.parametrize("folder", WITHOUT_EFFECT)
def test_a_change_of_what_can_only_stop_a_stage_or_print_changes_no_hashes(package: Path, folder: str) -> None:
    for file in (package / folder).rglob("*.py"):
        assert stages_changed_by(file) == set(), file

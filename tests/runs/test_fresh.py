"""The committed results belong to the committed code and parameters."""

from __future__ import annotations

import subprocess

from ecomtune.runs.freshness import problems, stage_names
from tests.support.scratch_clone import REPOSITORY


def test_dvc_lock_and_metrics_are_fresh() -> None:
    assert problems(REPOSITORY) == []


def test_the_stages_are_those_that_dvc_lists() -> None:
    listed = subprocess.run(["dvc", "stage", "list", "--name-only"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert stage_names(REPOSITORY) == listed.stdout.split()

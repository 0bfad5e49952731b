"""The committed results belong to the committed code and parameters."""

from __future__ import annotations

from ecomtune.freshness import problems
from tests.conftest import REPOSITORY


def test_dvc_lock_and_metrics_are_fresh() -> None:
    assert problems(REPOSITORY) == []

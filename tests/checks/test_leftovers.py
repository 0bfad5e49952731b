"""Outputs of another profile are found, since a stage that depends on their parent folder would read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecomtune.checks.leftovers import left_overs
from ecomtune.checks.parameters import load_params
from tests.support.scratch_clone import REPOSITORY

QUERYNER = load_params(REPOSITORY / "profiles" / "queryner.yaml")
#: Folders that profile queryner writes.
OWN = [
    "data/raw/queryner",
    "data/examples/ner",
    "data/predictions/single",
    "models/pretrained/smollm2",
    "models/adapters/single/ner",
    "models/baselines/encoder/ner",
]


def make(root: Path, folders: list[str]) -> None:
    for folder in folders:
        (root / folder / "inside").mkdir(parents=True)
        (root / folder / "file.json").write_text("{}", encoding="utf-8")


def test_the_outputs_of_a_profile_are_not_left_over(tmp_path: Path) -> None:
    assert left_overs(QUERYNER, tmp_path) == []
    make(tmp_path, OWN)
    (tmp_path / "data/README.md").touch()
    assert left_overs(QUERYNER, tmp_path) == []


@pytest.mark.parametrize(
    "folder",
    [
        "data/raw/demo_shop",
        "data/examples/relevance",
        "data/predictions/mixed",
        "models/pretrained/pico",
        "models/adapters/single/relevance",
        "models/adapters/mixed",
        "models/adapters/merged",
        "models/baselines/encoder/relevance",
        "models/baselines/floor",
    ],
)
def test_the_outputs_of_another_profile_are_found(tmp_path: Path, folder: str) -> None:
    make(tmp_path, [*OWN, folder])
    assert left_overs(QUERYNER, tmp_path) == [Path(folder)]

"""The picture of losses has a panel for each adapter that has a training record."""

from __future__ import annotations

from pathlib import Path

from ecomtune.core.files import dump_json
from ecomtune.report.losses import plot_losses, read_losses

RECORD = {
    "loss": [[1, 2.0], [2, 1.5], [3, 1.0]],
    "steps": 3,
    "validation": [{"step": 3, "ner": 1.2, "relevance": 0.7}],
}


def test_losses_are_found_by_the_adapters_paths(tmp_path: Path) -> None:
    for name in ("single/ner", "mixed", "merged/all"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("single/ner", "mixed"):
        (tmp_path / name / "training.json").write_text(dump_json(RECORD))
    assert read_losses(tmp_path) == {"mixed": RECORD, "single/ner": RECORD}


def test_equal_losses_make_equal_pictures_and_others_do_not(tmp_path: Path) -> None:
    five = {f"adapter {number}": RECORD for number in range(5)}
    for name, found in (
        ("one.png", five),
        ("again.png", five),
        ("other.png", {**five, "adapter 0": {**RECORD, "validation": []}}),
    ):
        plot_losses(found, tmp_path / name)
    pictures = [(tmp_path / name).read_bytes() for name in ("one.png", "again.png", "other.png")]
    assert pictures[0] == pictures[1] != pictures[2]

"""The floor for descriptions: the product's title as it stands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ecomtune.checkpoints import Checkpoints
from ecomtune.files import dump_json, write_text
from ecomtune.records import Example
from ecomtune.sections import Baseline
from ecomtune.tasks.base import Task, text_of


def fit(
    settings: Baseline,
    task: Task,
    train: Sequence[Example],
    validation: Sequence[Example],
    folder: Path,
    seed: int,
    checkpoints: Checkpoints,
) -> None:
    """Nothing to learn; the folder says which field is copied."""
    write_text(folder / "title.json", dump_json({"field": "title"}))


def answer(settings: Baseline, task: Task, folder: Path, examples: Sequence[Example]) -> list[str]:
    """Each example's title."""
    return [text_of(example.fields, "title").strip() for example in examples]

"""The floor for descriptions: the product's title, unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ecomtune.baselines.job import Job
from ecomtune.core.config import Baseline
from ecomtune.core.files import dump_json, write_text
from ecomtune.core.records import Example
from ecomtune.tasks.base import Task, text_of


def fit(job: Job) -> None:
    """There is nothing to train; the folder records which input is copied."""
    write_text(job.folder / "title.json", dump_json({"field": "title"}))


def answer(settings: Baseline, task: Task, folder: Path, examples: Sequence[Example]) -> list[str]:
    """Each example's title."""
    return [text_of(example.fields, "title").strip() for example in examples]

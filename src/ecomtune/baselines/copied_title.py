"""The floor for texts: the row's first required input, unchanged (a product's title, say)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ecomtune.baselines.job import Job
from ecomtune.core.config import Baseline
from ecomtune.core.files import dump_json, write_text
from ecomtune.core.records import Example
from ecomtune.tasks.base import Task
from ecomtune.tasks.row_text import text_of


def fit(job: Job) -> None:
    """There is nothing to train; the folder records which input is copied."""
    write_text(job.folder / "title.json", dump_json({"field": job.task.required_fields[0]}))


def answer(settings: Baseline, task: Task, folder: Path, examples: Sequence[Example]) -> list[str]:
    """Each example's first required input."""
    return [text_of(example.fields, task.required_fields[0]).strip() for example in examples]

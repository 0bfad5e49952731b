"""The floor for texts: the first sentence of what is summarized or described (the first review, the first bullet)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ecomtune.baselines.job import Job
from ecomtune.core.config import Baseline
from ecomtune.core.files import dump_json, write_text
from ecomtune.core.records import Example
from ecomtune.tasks.base import Task
from ecomtune.tasks.row_text import texts_of


def fit(job: Job) -> None:
    """There is nothing to train; the folder records which input is read."""
    write_text(job.folder / "lead.json", dump_json({"field": job.task.required_fields[-1], "sentences": 1}))


def answer(settings: Baseline, task: Task, folder: Path, examples: Sequence[Example]) -> list[str]:
    """The first sentence of each example's last required input."""
    texts = [texts_of(example.fields, task.required_fields[-1])[0].strip() for example in examples]
    return [re.split(r"(?<=[.!?])\s", text, maxsplit=1)[0] for text in texts]

"""Conventional models that the LLM is held against: an encoder or seq2seq model of its own per task, and simple floors.

``fit`` trains one into a folder, ``answer`` reads that folder and answers; both choose by family and kind of task.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from ecomtune.errors import UserError
from ecomtune.records import Example, Reference
from ecomtune.sections import Baseline
from ecomtune.tasks.base import Task

_MODULES = {
    ("encoder", "label"): "encoder_classifier",
    ("encoder", "tags"): "encoder_tagger",
    ("seq2seq", "text"): "seq2seq",
    ("floor", "label"): "bag_of_words",
    ("floor", "text"): "lead_sentence",
}


def _module(family: str, task: Task) -> ModuleType:
    name = _MODULES.get((family, task.decoder))
    if name is None:
        raise UserError(f"baselines: family {family} has no model for task {task.name}; choose another family")
    return importlib.import_module(f"ecomtune.baselines.{name}")


def fit(
    settings: Baseline, task: Task, train: Sequence[Example], validation: Sequence[Example], folder: Path, seed: int
) -> None:
    """Train the baseline on a task's examples and write all that answering needs into ``folder``."""
    _module(settings.family, task).fit(settings, task, train, validation, folder, seed)


def answer(settings: Baseline, task: Task, folder: Path, examples: Sequence[Example]) -> list[tuple[str, Reference | None]]:
    """For each example the raw answer and its task-typed meaning (None where malformed)."""
    answers: list[tuple[str, Reference | None]] = _module(settings.family, task).answer(settings, task, folder, examples)
    return answers

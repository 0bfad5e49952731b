"""Conventional models that LoRA is held against: an encoder, seq2seq or causal model of its own per task, and simple floors.

``fit`` trains one into a folder, ``answer`` reads that folder and answers; both choose by family and kind of task. A causal
model's folder is answered by prompts instead (ecomtune/systems.py).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from threadpoolctl import threadpool_limits

from ecomtune.answer_cache import remembered
from ecomtune.baselines import token_counts
from ecomtune.baselines.job import Job
from ecomtune.errors import UserError
from ecomtune.files import sha256_file, sha256_folder
from ecomtune.records import Example
from ecomtune.runtime import prepare
from ecomtune.sections import Baseline
from ecomtune.tasks.base import Task

_FAMILIES = ("encoder", "seq2seq", "causal", "floor")
#: The module of each family, or method of family floor, for each kind of answer.
_MODULES = {
    ("encoder", "label"): "encoder_classifier",
    ("encoder", "tags"): "encoder_tagger",
    ("seq2seq", "text"): "seq2seq",
    ("causal", "label"): "causal",
    ("causal", "tags"): "causal",
    ("causal", "text"): "causal",
    ("floor", "label"): "bag_of_words",
    ("floor", "text"): "lead_sentence",
    ("tfidf", "label"): "bag_of_words",
    ("majority", "label"): "majority",
    ("majority", "tags"): "majority",
    ("lead", "text"): "lead_sentence",
    ("title", "text"): "copied_title",
}


def module_name(settings: Baseline, task: Task, where: str = "baselines") -> str:
    """The module that fits and answers. Raises UserError, naming ``where``, where the task has none such."""
    way, chosen = ("method", settings.method) if settings.method else ("family", settings.family)
    name = _MODULES.get((chosen, task.decoder))
    if name is None:
        *others, last = [
            f"family {each}" if each in _FAMILIES else f"method {each} of family floor"
            for each, decoder in _MODULES
            if decoder == task.decoder and each != settings.family and (each != "title" or "title" in task.required_fields)
        ]
        fits = f"{', '.join(others)} or {last}"
        raise UserError(f"{where}: {way} {chosen} has no model for task {task.name}; choose {fits}, or remove the baseline")
    if settings.crf and task.decoder != "tags":
        raise UserError(f"{where}: crf goes with a task of tags, and task {task.name} has none; remove the key")
    if chosen == "title" and "title" not in task.required_fields:
        raise UserError(f"{where}: method title copies a title, and rows of task {task.name} have none; choose method lead")
    return name


def _module(settings: Baseline, task: Task) -> ModuleType:
    return importlib.import_module(f"ecomtune.baselines.{module_name(settings, task)}")


def _threads(settings: Baseline) -> AbstractContextManager[Any]:
    """One thread for a floor, whose sums would differ with the machine's cores; torch's are set by ``prepare``."""
    return threadpool_limits(limits=1) if settings.model is None else nullcontext()


def fit(job: Job, threads: int) -> None:
    """Train the baseline on its task's examples."""
    if job.settings.model is not None:
        prepare(threads)  # before the module: transformers reads the environment
    module = _module(job.settings, job.task)
    with _threads(job.settings):
        module.fit(job)


def answer(
    settings: Baseline, task: Task, folder: Path, examples: Sequence[Example], threads: int
) -> tuple[list[str], tuple[int, int]]:
    """The raw answer to each example, and the tokens read and written for all of them.

    From scratch where the same model and code have answered the same examples before.
    """

    def ask() -> list[str]:
        if settings.model is not None:
            prepare(threads)
        module = _module(settings, task)
        with _threads(settings):
            answers: list[str] = module.answer(settings, task, folder, examples)
        return answers

    package = Path(__file__).parent.parent
    code = [
        *sorted(package.glob("baselines/*.py")),
        package / "text.py",
        *(package / "tasks" / f"{n}.py" for n in ("base", task.name)),
    ]
    decides = {
        "code": [sha256_file(file) for file in code],
        "fields": [dict(example.fields) for example in examples],
        "libraries": [version(name) for name in ("numpy", "scikit-learn", "tokenizers", "torch", "transformers")],
        "model": sha256_folder(folder),
        "settings": settings.model_dump(),
        "task": task.name,
        "threads": threads,
    }
    answers = remembered(decides, len(examples), ask)
    return answers, token_counts.count(settings, task, folder, examples, answers)

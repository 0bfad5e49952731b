"""Which module trains a conventional model and answers with it, by family and by the kind of answer of its task.

Each module has ``fit(job)``, which trains into a folder, and ``answer(settings, task, folder, examples)``, which reads that
folder. A causal model is written as an ordinary pretrained folder and answers prompts (inference/answering.py), so its module
has no ``answer``.
"""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any, get_args

from threadpoolctl import threadpool_limits

from ecomtune.baselines.job import Job
from ecomtune.core.config import Baseline
from ecomtune.core.config.systems import Family, Method
from ecomtune.messages.errors import UserError
from ecomtune.models.process import prepare
from ecomtune.tasks.base import Task

#: The module of each family, or of each method of family floor, for each kind of answer; without a method, a floor has the
#: default one.
MODULES: dict[tuple[Family | Method, str], str] = {
    ("encoder", "label"): "encoder_classifier",
    ("encoder", "tags"): "encoder_tagger",
    ("seq2seq", "text"): "seq2seq",
    ("causal", "label"): "fitting.causal",
    ("causal", "tags"): "fitting.causal",
    ("causal", "text"): "fitting.causal",
    ("floor", "label"): "bag_of_words",
    ("floor", "text"): "lead_sentence",
    ("tfidf", "label"): "bag_of_words",
    ("majority", "label"): "majority",
    ("majority", "tags"): "majority",
    ("lead", "text"): "lead_sentence",
    ("title", "text"): "copied_title",
}


def module_name(settings: Baseline, task: Task, where: str = "baselines") -> str:
    """The module that trains a baseline and answers with it. Raises UserError, naming ``where``, where the task has none."""
    key, chosen = ("method", settings.method) if settings.method else ("family", settings.family)
    has_title = task.required_fields[0] not in task.definition.lists
    name = MODULES.get((chosen, task.decoder))
    if name is None:
        *others, last = [
            f"family {each}" if each in get_args(Family) else f"method {each} of family floor"
            for each, decoder in MODULES
            if decoder == task.decoder and each != settings.family and (each != "title" or has_title)
        ]
        choices = f"{', '.join(others)} or {last}"
        raise UserError(f"{where}: {key} {chosen} has no model for task {task.name}; choose {choices}, or remove the baseline")
    if settings.crf and task.decoder != "tags":
        raise UserError(f"{where}: crf works only for tagging tasks, unlike {task.name}; remove the key")
    if chosen == "title" and not has_title:
        raise UserError(
            f"{where}: method title copies the first input, which is a list in task {task.name}; choose method lead"
        )
    return name


def module_of(settings: Baseline, task: Task) -> ModuleType:
    """The imported module, see :func:`module_name`."""
    return importlib.import_module(f"ecomtune.baselines.{module_name(settings, task)}")


def limited_threads(settings: Baseline) -> AbstractContextManager[Any]:
    """One thread for a floor, whose sums would depend on the machine's cores; ``prepare`` sets torch's threads."""
    return threadpool_limits(limits=1) if settings.model is None else nullcontext()


def fit_baseline(job: Job, threads: int) -> None:
    """Train a baseline on its task's examples."""
    if job.settings.model is not None:
        prepare(threads)  # before the module: transformers reads the environment
    module = module_of(job.settings, job.task)
    with limited_threads(job.settings):
        module.fit(job)

"""How a conventional model answers a task's examples."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from ecomtune.baselines.registry import limited_threads, module_of
from ecomtune.baselines.token_counts import count_baseline_tokens
from ecomtune.core.code import code_hashes
from ecomtune.core.config import Baseline
from ecomtune.core.files import sha256_folder
from ecomtune.core.records import Example
from ecomtune.inference.prediction_cache import cached
from ecomtune.models.process import prepare
from ecomtune.tasks.base import Task


def answer_baseline(
    settings: Baseline, task: Task, folder: Path, examples: Sequence[Example], threads: int
) -> tuple[list[str], tuple[int, int]]:
    """The raw answer to each example, and the tokens read and written for all of them.

    The answers come from the prediction cache where the same model and code have answered the same examples before.
    """

    def compute() -> list[str]:
        if settings.model is not None:
            prepare(threads)
        module = module_of(settings, task)
        with limited_threads(settings):
            answers: list[str] = module.answer(settings, task, folder, examples)
        return answers

    key = {
        "code": code_hashes("predict"),
        "fields": [dict(example.fields) for example in examples],
        "libraries": [version(name) for name in ("numpy", "scikit-learn", "tokenizers", "torch", "transformers")],
        "model": sha256_folder(folder),
        "settings": settings.model_dump(),
        "definition": task.definition.model_dump(),
        "task": task.name,
        "threads": threads,
    }
    answers = cached(key, len(examples), compute)
    return answers, count_baseline_tokens(settings, task, folder, examples, answers)

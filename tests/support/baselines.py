"""Small baselines, the examples that train them, and their answers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
from safetensors.numpy import load_file, save_file

from ecomtune.baselines.fitting.full_training import train_model
from ecomtune.baselines.job import Job
from ecomtune.baselines.registry import fit_baseline
from ecomtune.core.config import Baseline
from ecomtune.core.config.systems import Method
from ecomtune.core.paths import SCRATCH
from ecomtune.core.records import Example, Reference
from ecomtune.inference.baseline_answers import answer_baseline
from ecomtune.training.checkpoints import Checkpoints
from tests.support.tasks import load_task

Answer = tuple[str, Reference | None]

#: Every model by its family or method, and one task that it answers.
BASELINES = [
    ("encoder", "relevance"),
    ("encoder", "ner"),
    ("seq2seq", "summarization"),
    ("floor", "relevance"),
    ("floor", "summarization"),
    ("floor", "description"),
    ("majority", "relevance"),
    ("majority", "ner"),
    ("title", "description"),
]
#: Those whose network is trained.
TRAINED = [each for each in BASELINES if each[0] in ("encoder", "seq2seq")]
METHODS = get_args(Method)


def baseline(family: str, task: str, **changes: Any) -> Baseline:
    """The baseline of a family, or the floor of a method."""
    if family in METHODS:
        return baseline("floor", task, method=family, out=f"floor_{family}/{task}", **changes)
    values: dict[str, Any] = {"family": family, "task": task, "out": f"{family}/{task}"}
    if family != "floor":
        values |= {"model": "pico", "epochs": 1, "batch_size": 4}
    return Baseline.model_validate({**values, **changes})


def example(task: str, fields: dict[str, str | list[str]], reference: Reference) -> Example:
    loaded = load_task(task)
    target, prompt = loaded.target(fields, reference), loaded.prompt(fields, "compact")
    return Example(
        id="1", task=task, prompt=prompt, target=target, reference=reference, fields=fields, group="g", source="shop:1"
    )


def examples(task: str) -> list[Example]:
    """Eight examples, two of each label."""
    labels = load_task("relevance").labels
    made: dict[str, Callable[[int], tuple[dict[str, str | list[str]], Reference]]] = {
        "relevance": lambda n: (
            {"query": "red shoes", "title": f"{['running', 'red', 'pack', 'men'][n % 4]} {n}"},
            labels[n % 4],
        ),
        "ner": lambda n: (
            {"words": ["red", "running", "shoes"][: 1 + n % 3]},
            ["B-color", "B-modifier", "I-modifier"][: 1 + n % 3],
        ),
        "summarization": lambda n: ({"reviews": [f"Red shoes {n}! For men.", "Good."]}, ["running shoes for men"]),
        "description": lambda n: ({"title": "Shoes", "bullets": [f"Red {n}", "For men"]}, ["running shoes for men"]),
    }
    return [example(task, *made[task](number)) for number in range(8)]


def with_another_answer(task: str, row: Example) -> Example:
    """The row with another answer, so that a model trained on the other rows gets worse at it."""
    labels = load_task("relevance").labels
    if task == "relevance":
        return row.model_copy(update={"reference": labels[(labels.index(str(row.reference)) + 1) % len(labels)]})
    if task == "ner":
        return row.model_copy(update={"reference": ["O"] * len(row.reference)})
    return row.model_copy(update={"target": "a pack of twelve"})


def link_encoder(folder: Path, encoder: Path) -> Path:
    (folder / "models" / "pretrained").mkdir(parents=True)
    (folder / "models" / "pretrained" / "pico").symlink_to(encoder)
    (folder / SCRATCH).mkdir()
    return folder


def fit(settings: Baseline, train: Sequence[Example], folder: Path, seed: int = 7, validation: Sequence[Example] = ()) -> None:
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        train_weights = partial(train_model, settings=settings, seed=seed, checkpoints=Checkpoints(Path(scratch)))
        fit_baseline(Job(settings, load_task(settings.task), train, validation, folder, seed, train_weights), threads=1)


def answer(settings: Baseline, folder: Path, asked: Sequence[Example]) -> list[Answer]:
    """The raw answers and what they mean."""
    task = load_task(settings.task)
    raw, _ = answer_baseline(settings, task, folder, asked, threads=1)
    return [(answer, task.parse(answer, each.fields)) for answer, each in zip(raw, asked, strict=True)]


def spoil_weights(folder: Path, value: float) -> None:
    file = folder / "model.safetensors"
    save_file({name: np.full_like(tensor, value) for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})

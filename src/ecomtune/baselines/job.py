"""What a baseline is trained from, and where to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecomtune.core.config import Baseline
from ecomtune.core.records import Example
from ecomtune.tasks.base import Task

#: A row's token ids and its other model inputs, by name.
Encoded = dict[str, Any]
#: The loss of a model's outputs against labels, in the form that Trainer calls.
Loss = Callable[..., Any]


@dataclass(frozen=True)
class TrainingData:
    """Encoded rows for training and validation, and how a batch of them is collated.

    ``loss``, if given, replaces the model's own.
    """

    rows: Sequence[Encoded]
    validation: Sequence[Encoded]
    collate: Callable[[list[Encoded]], Any]
    loss: Loss | None = None


@dataclass(frozen=True)
class Job:
    """The training of one baseline, which writes to ``folder`` what answering needs.

    ``train_weights`` trains all weights of a network and returns the training record. The job carries this function, so that a
    baseline's module answers without importing the code that trains.
    """

    settings: Baseline
    task: Task
    train: Sequence[Example]
    validation: Sequence[Example]
    folder: Path
    seed: int
    train_weights: Callable[[Any, TrainingData], dict[str, Any]]

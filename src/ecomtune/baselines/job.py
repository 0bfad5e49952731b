"""What a baseline is fitted from, and where to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecomtune.core.config import Baseline
from ecomtune.core.records import Example
from ecomtune.tasks.base import Task

#: A row's token ids, and what else its model takes, by name.
Encoded = dict[str, Any]
#: The loss of a model's outputs against labels, as Trainer calls it.
Loss = Callable[..., Any]


@dataclass(frozen=True)
class TrainingData:
    """Encoded rows to train on and to validate on, and how a batch of them is collated.

    ``loss`` takes the place of the model's own.
    """

    rows: Sequence[Encoded]
    held_out: Sequence[Encoded]
    collate: Callable[[list[Encoded]], Any]
    loss: Loss | None = None


@dataclass(frozen=True)
class Job:
    """One baseline's training; what answering needs is written to ``folder``.

    ``train_weights`` trains all weights of a model and gives the record of the training. It is a part of the job, so that
    baselines can be read for answering without the code that trains them.
    """

    settings: Baseline
    task: Task
    train: Sequence[Example]
    validation: Sequence[Example]
    folder: Path
    seed: int
    train_weights: Callable[[Any, TrainingData], dict[str, Any]]

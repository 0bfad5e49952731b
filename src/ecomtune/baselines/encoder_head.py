"""What the encoder baselines share once their rows are encoded: weighing classes, and training encoder and head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from ecomtune.baselines.job import Job
from ecomtune.baselines.trainer import Encoded, Loss, class_weights, train_model, weighted_loss
from ecomtune.errors import UserError
from ecomtune.trainer_callbacks import IGNORED


def classes_of(model: PreTrainedModel) -> list[str]:
    """The names of a trained head's classes, in the order of its scores. Raises ValueError where two are the same."""
    names = [str(model.config.id2label[index]) for index in range(model.config.num_labels)]
    if len(set(names)) < len(names):
        raise ValueError("two of its classes are the same")
    return names


def train_head(
    model: PreTrainedModel,
    rows: Sequence[Encoded],
    held_out: Sequence[Encoded],
    collate: Callable[[list[Encoded]], Any],
    job: Job,
    loss: Loss | None = None,
) -> dict[str, Any]:
    """Train on ``rows``, whose ``labels`` are a class or one a token, by ``loss`` or else cross-entropy; the training's record.

    Raises UserError where no row has anything to learn.
    """
    if not rows:
        raise UserError(f"tasks.{job.settings.task}: no training row holds a word that the model reads; correct its data set")
    if loss is None and job.settings.class_weights:
        classes = [int(label) for row in rows for label in np.ravel(row["labels"]) if label != IGNORED]
        loss = weighted_loss(class_weights(classes, model.config.num_labels))
    return train_model(model, rows, held_out, collate, job, loss)

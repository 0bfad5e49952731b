"""What the encoder baselines share once their rows are encoded: weighing classes, training encoder and head, writing both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from ecomtune.baselines.job import Job
from ecomtune.baselines.trainer import Encoded, class_weights, save, train_model, weighted_loss
from ecomtune.errors import UserError
from ecomtune.trainer_callbacks import IGNORED


def train_head(
    tokenizer: Any,
    model: PreTrainedModel,
    rows: Sequence[Encoded],
    held_out: Sequence[Encoded],
    collate: Callable[[list[Encoded]], Any],
    job: Job,
) -> None:
    """Train on ``rows``, whose ``labels`` are a class or one a token, and write all of it into the job's folder.

    Raises UserError where no row has anything to learn.
    """
    if not rows:
        raise UserError(f"tasks.{job.settings.task}: no training row holds a word that the model reads; correct its data set")
    classes = [int(label) for row in rows for label in np.ravel(row["labels"]) if label != IGNORED]
    loss = weighted_loss(class_weights(classes, model.config.num_labels)) if job.settings.class_weights else None
    record = train_model(model, rows, held_out, collate, job, loss)
    save(tokenizer, model, record, job.folder)

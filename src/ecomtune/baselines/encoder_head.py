"""What the encoder baselines share once their rows are encoded: weighing classes, training encoder and head, writing both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from ecomtune.baselines.trainer import Encoded, class_weights, save, train_model, weighted_loss
from ecomtune.checkpoints import Checkpoints
from ecomtune.errors import UserError
from ecomtune.sections import Baseline
from ecomtune.trainer_callbacks import IGNORED


def train_head(
    tokenizer: Any,
    model: PreTrainedModel,
    rows: Sequence[Encoded],
    held_out: Sequence[Encoded],
    collate: Callable[[list[Encoded]], Any],
    settings: Baseline,
    seed: int,
    checkpoints: Checkpoints,
    folder: Path,
) -> None:
    """Train on ``rows``, whose ``labels`` are a class or one a token, and write model, tokenizer and record into ``folder``.

    Raises UserError where no row has anything to learn.
    """
    if not rows:
        raise UserError(f"tasks.{settings.task}: no training row holds a word that the model reads; correct its data set")
    classes = [int(label) for row in rows for label in np.ravel(row["labels"]) if label != IGNORED]
    loss = weighted_loss(class_weights(classes, model.config.num_labels)) if settings.class_weights else None
    record = train_model(model, rows, held_out, collate, settings, seed, checkpoints, loss)
    save(tokenizer, model, record, folder)

"""What the encoder baselines share once their rows are encoded: class weights, and training encoder and head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from ecomtune.baselines.job import Job, Loss, TrainingData
from ecomtune.messages.errors import UserError
from ecomtune.models.tokenization import IGNORED


def classes_of(model: PreTrainedModel) -> list[str]:
    """The names of a trained head's classes, in the order of its scores. Raises ValueError where two are the same."""
    names = [str(model.config.id2label[index]) for index in range(model.config.num_labels)]
    if len(set(names)) < len(names):
        raise ValueError("two of its classes are the same")
    return names


def train_head(model: PreTrainedModel, data: TrainingData, job: Job) -> dict[str, Any]:
    """Train encoder and head on rows whose ``labels`` are one class, or one for each token; returns the training record.

    The loss is cross-entropy unless ``data`` has another. Raises UserError where no row has a label.
    """
    if not data.rows:
        raise UserError(f"tasks.{job.settings.task}: no training row holds a word that the model reads; correct its data set")
    if data.loss is None and job.settings.class_weights:
        classes = [int(label) for row in data.rows for label in np.ravel(row["labels"]) if label != IGNORED]
        data = replace(data, loss=weighted_loss(class_weights(classes, model.config.num_labels)))
    return job.train_weights(model, data)


def class_weights(classes: Sequence[int], number: int) -> Tensor:
    """Weights [number] by which every class that occurs counts the same: rows / (classes that occur * rows of the class)."""
    counts = torch.bincount(torch.tensor(list(classes)), minlength=number).float()
    return torch.where(counts > 0, counts.sum() / ((counts > 0).sum() * counts.clamp(min=1)), 0.0)


def weighted_loss(weights: Tensor) -> Loss:
    """Cross-entropy over logits [..., C] and labels [...] with a weight for each class; IGNORED labels don't count."""

    def loss(outputs: Any, labels: Tensor, num_items_in_batch: Any = None) -> Tensor:
        logits = outputs.logits.flatten(0, -2)
        return cross_entropy(logits, labels.flatten(), weights.to(logits.device), ignore_index=IGNORED)

    return loss

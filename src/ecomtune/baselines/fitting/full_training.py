"""Training all weights of a baseline's model with transformers' Trainer."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, Trainer, set_seed

from ecomtune.baselines.fitting.adversarial import AdversarialTrainer
from ecomtune.baselines.job import TrainingData
from ecomtune.baselines.trained_model import batches
from ecomtune.core.config import Baseline
from ecomtune.messages.errors import UserError
from ecomtune.training.arguments import training_arguments
from ecomtune.training.callbacks import Validation
from ecomtune.training.checkpoints import Checkpoints
from ecomtune.training.loop import loss_history, train


def train_model(
    model: PreTrainedModel,
    data: TrainingData,
    settings: Baseline,
    seed: int,
    checkpoints: Checkpoints,
    live: Path | None = None,
) -> dict[str, Any]:
    """Train all weights of ``model`` (AdamW, linear decay after a tenth of warm-up, the usual BERT recipe).

    The number of epochs follows from ``settings`` and the number of rows; training resumes from the newest complete checkpoint.
    The loss on the validation rows is logged, and determines when to stop if ``settings.patience`` is set. ``live`` is a folder
    for the losses as they are computed. Returns the training record: losses by step, rows, tokens without padding, and
    weights. Raises UserError where the training diverges.
    """
    rows = data.rows
    steps, epochs = -(-len(rows) // settings.batch_size), settings.epochs_of(len(rows))
    set_seed(seed)
    if settings.patience and not data.validation:
        raise UserError("a baseline's patience needs validation rows to stop by; raise validation_size, or set it to 0")
    arguments = training_arguments(
        checkpoints.folder,
        seed,
        num_train_epochs=epochs,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=0.1,
        weight_decay=0.01,
    )
    kind = partial(AdversarialTrainer, settings.adversarial) if settings.adversarial else Trainer
    trainer = kind(
        model=model, args=arguments, train_dataset=list(rows), data_collator=data.collate, compute_loss_func=data.loss
    )
    ends = _validations(settings, steps, epochs) if data.validation else []
    losses = partial(validation_loss, model, data)
    train(trainer, checkpoints, Validation(losses, ends, settings.patience, checkpoints.best), live)
    if not all(weight.isfinite().all() for weight in model.parameters()):
        raise UserError("the training has diverged: its weights are not finite numbers; lower the baseline's learning_rate")
    parameters = sum(weight.numel() for weight in model.parameters())
    seen_epochs = trainer.state.global_step // steps  # complete ones: training stops early only at the end of an epoch
    texts = ("input_ids", "labels") if settings.family == "seq2seq" else ("input_ids",)  # other labels are no text
    tokens = sum(len(row[text]) for row in rows for text in texts)
    seen = {"rows": seen_epochs * len(rows), "tokens": seen_epochs * tokens, "trained_parameters": parameters}
    return {**seen, **loss_history(trainer.state)}


def _validations(settings: Baseline, steps: int, epochs: int) -> list[int]:
    """The steps after which validation rows are read: the end of each epoch; or, where ``min_steps`` raises the number of
    epochs and no early stopping needs them all, only ``settings.epochs`` of these."""
    every = 1 if settings.patience else -(-epochs // settings.epochs)
    return sorted({steps * epoch for epoch in (*range(every, epochs + 1, every), epochs)})


@torch.no_grad()
def validation_loss(model: PreTrainedModel, data: TrainingData) -> dict[str, float]:
    """The mean over the validation rows of the loss that the model is trained with, each batch weighted by its rows."""
    total = 0.0
    model.eval()
    for batch in batches(data.validation):
        inputs = {name: value.to(model.device) for name, value in data.collate([dict(row) for row in batch]).items()}
        outputs = model(**inputs)
        total += len(batch) * float(outputs.loss if data.loss is None else data.loss(outputs, inputs["labels"]))
    model.train()
    return {"loss": total / len(data.validation)}

"""Training one adapter with LoRA: the study's method, from examples to a plain PEFT folder.

Prompts and targets become tokens; batches hold rows of one task, whose common prompt prefix runs once; transformers' Trainer
takes the steps; the loss on validation rows after each epoch is logged, and may stop the training.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, set_seed

from ecomtune.core.adapter_files import write_config
from ecomtune.core.config import Training
from ecomtune.core.files import dump_json, read_json, write_text
from ecomtune.core.paths import ADAPTER_CONFIG, ADAPTER_WEIGHTS, SCRATCH, TRAINING_RECORD
from ecomtune.core.records import Example
from ecomtune.lora.batches import SharedPrefixCollator, plan_batches
from ecomtune.lora.model import lora_model
from ecomtune.lora.planned_trainer import PlannedTrainer, lora_arguments
from ecomtune.lora.shared_prefix import SharedPrefixLora
from ecomtune.lora.validation import validation_losses
from ecomtune.messages.errors import UserError, reading
from ecomtune.models.process import world_size
from ecomtune.models.tokenization import context_of, encode_example
from ecomtune.training.callbacks import Validation
from ecomtune.training.checkpoints import Checkpoints
from ecomtune.training.distributed import trained_weights
from ecomtune.training.loop import loss_history, train


@dataclass(frozen=True)
class AdapterJob:
    """What an adapter is trained on: rows, validation rows, the folder of the base model, settings and seed."""

    rows: Sequence[Example]
    validation: Sequence[Example]
    base: Path
    settings: Training
    seed: int


@dataclass(frozen=True)
class Trained:
    """A trained LoRA model, its adapter's weights, and its record: rows, steps and tokens of the training, losses by step."""

    model: SharedPrefixLora
    weights: dict[str, Tensor]
    record: dict[str, Any]


def train_adapter(job: AdapterJob, checkpoints: Checkpoints, live: Path | None = None) -> Trained:
    """Train an adapter from the newest complete checkpoint on.

    After each epoch the loss on the validation rows is logged by task; where ``settings.patience`` is set, it decides when to
    stop and which epoch's weights to take. Losses are written to the folder ``live`` as they are computed. Raises UserError
    naming the row where an example is too long or empty, and where the training diverges.
    """
    settings = job.settings
    set_seed(job.seed)
    _check_rows(job)
    with reading(job.base):
        tokenizer = AutoTokenizer.from_pretrained(job.base)
    rows = [encode_example(tokenizer, row, settings.max_length) for row in job.rows]
    validation_rows = [encode_example(tokenizer, row, settings.max_length) for row in job.validation]
    model = lora_model(job.base, settings)
    _check_context(model, settings)

    limits = {"batch_size": settings.batch_size, "token_budget": settings.token_budget, "seed": job.seed}
    epochs = [plan_batches(rows, epoch=epoch, **limits) for epoch in range(settings.epochs)]
    plan = [batch for epoch in epochs for batch in epoch]
    collate = SharedPrefixCollator(tokenizer.pad_token_id or 0, share=settings.share_prefix)
    trainer = PlannedTrainer(
        model=model,
        args=lora_arguments(settings, job.seed, checkpoints.folder),
        train_dataset=rows,
        data_collator=collate,
        plan=plan,
    )
    torch.set_num_threads(settings.threads)  # after the trainer's arguments, which set it where several processes train

    batches = [[validation_rows[row] for row in batch] for batch in plan_batches(validation_rows, epoch=0, **limits)]
    losses = partial(validation_losses, model, collate, batches)
    epoch_ends = _last_steps(epochs, settings.accumulation * world_size()) if batches else []
    train(trainer, checkpoints, Validation(losses, epoch_ends, settings.patience, checkpoints.best), live)

    weights = trained_weights(model)
    if not all(weight.isfinite().all() for weight in weights.values()):
        raise UserError("the training has diverged: its weights are not finite numbers; lower train.shared.learning_rate")
    totals = {
        "rows": sum(map(len, plan)),
        "tokens": sum(collate.tokens([rows[row] for row in batch]) for batch in plan),
        "trained_parameters": sum(weight.numel() for weight in weights.values()),
    }
    return Trained(model, weights, {**totals, **loss_history(trainer.state)})


def _check_rows(job: AdapterJob) -> None:
    if not job.rows:
        raise UserError("there are no training examples; raise the adapter's limit, or give it fewer shards")
    if job.settings.patience and not job.validation:
        raise UserError("train.shared.patience needs validation rows to stop by; raise validation_size, or set it to 0")


def _check_context(model: SharedPrefixLora, settings: Training) -> None:
    context = context_of(model.get_base_model().config)
    if settings.max_length > context:
        raise UserError(f"train.shared.max_length {settings.max_length} is beyond the model's context of {context}; lower it")


def _last_steps(epochs: Sequence[Sequence[list[int]]], batches_per_step: int) -> list[int]:
    """The last optimizer step of each epoch's batches, counted from the start of the training."""
    return [-(-batches // batches_per_step) for batches in accumulate(map(len, epochs))]


def save_trained(trained: Trained, folder: Path) -> None:
    """Write the adapter as a plain PEFT folder, together with its record; the same weights give the same bytes."""
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        trained.model.save_pretrained(scratch, state_dict=trained.weights)
        (folder / ADAPTER_WEIGHTS).write_bytes((Path(scratch) / ADAPTER_WEIGHTS).read_bytes())
        write_config(read_json(Path(scratch) / ADAPTER_CONFIG), folder)
    write_text(folder / TRAINING_RECORD, dump_json(trained.record))

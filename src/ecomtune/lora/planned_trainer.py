"""transformers' Trainer over planned batches, and its arguments for LoRA."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

from ecomtune.core.config import Training
from ecomtune.lora.batches import plan_of_process
from ecomtune.models.tokenization import EncodedExample
from ecomtune.training.arguments import training_arguments


class PlannedTrainer(Trainer):
    """Trainer that takes its batches, those of all epochs, from a plan."""

    def __init__(self, *args: Any, plan: Sequence[list[int]], **kwargs: Any) -> None:
        self.plan = plan
        super().__init__(*args, **kwargs)

    def get_train_dataloader(self) -> DataLoader[EncodedExample]:
        """One pass over this process's part of the plan."""
        own = plan_of_process(self.plan, self.accelerator.process_index, self.accelerator.num_processes)
        return DataLoader(self.train_dataset, batch_sampler=PlannedBatches(own), collate_fn=self.data_collator)


class PlannedBatches:
    """A batch sampler that yields the batches of a plan in order."""

    def __init__(self, plan: Sequence[list[int]]) -> None:
        self.plan = plan

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.plan)


def lora_arguments(settings: Training, seed: int, folder: Path) -> TrainingArguments:
    """Trainer's arguments; ``folder`` is for checkpoints. The plan holds all epochs, so Trainer sees a single one."""
    return training_arguments(
        folder,
        seed,
        num_train_epochs=1,
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        bf16=torch.cuda.is_available(),
    )

"""What the trained baselines share: reading a model, training it with transformers' Trainer, batches of answers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, Trainer, TrainingArguments, set_seed

from ecomtune.files import SCRATCH
from ecomtune.sections import Baseline

Encoded = dict[str, Any]


def model_folder(settings: Baseline) -> Path:
    """The pretrained weights that a baseline starts from."""
    return Path("models/pretrained") / str(settings.model)


def train_model(
    model: PreTrainedModel,
    rows: Sequence[Encoded],
    collate: Callable[[list[Encoded]], Any],
    settings: Baseline,
    seed: int,
) -> None:
    """Train all weights of ``model`` on ``rows`` (AdamW, linear decay after a tenth of warm-up, the usual BERT recipe)."""
    set_seed(seed)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=0.1,
            weight_decay=0.01,
            seed=seed,
            use_cpu=not torch.cuda.is_available(),
            save_strategy="no",
            logging_strategy="epoch",
            report_to="none",
            remove_unused_columns=False,
            dataloader_pin_memory=False,
            disable_tqdm=False,  # its default follows the log level
        )
        Trainer(model=model, args=arguments, train_dataset=list(rows), data_collator=collate).train()


def batches(rows: Sequence[Any], size: int = 32) -> Iterator[Sequence[Any]]:
    """``rows`` in their order, ``size`` at a time."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]

"""What the trained baselines share: reading a model, training it with transformers' Trainer, batches of answers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedModel, Trainer, TrainingArguments, set_seed

from ecomtune.errors import UserError, reading
from ecomtune.files import SCRATCH
from ecomtune.sections import Baseline

Encoded = dict[str, Any]


def model_folder(settings: Baseline) -> Path:
    """The pretrained weights that a baseline starts from."""
    return Path("models/pretrained") / str(settings.model)


def load_with_head(kind: Any, settings: Baseline, names: Sequence[str], seed: int) -> tuple[Any, PreTrainedModel]:
    """The tokenizer and the pretrained encoder, with a fresh head of ``kind`` over the named classes.

    Raises UserError where the weights are missing or broken.
    """
    folder = model_folder(settings)
    set_seed(seed)  # the head starts at random
    with reading(folder):
        model = kind.from_pretrained(
            folder,
            num_labels=len(names),
            id2label=dict(enumerate(names)),
            label2id={name: index for index, name in enumerate(names)},
            dtype=torch.float32,
        )
        return AutoTokenizer.from_pretrained(folder), model


def load_trained(kind: Any, folder: Path) -> tuple[Any, PreTrainedModel]:
    """The tokenizer and model of a trained baseline. Raises UserError where they are missing or broken."""
    with reading(folder):
        return AutoTokenizer.from_pretrained(folder), kind.from_pretrained(folder).eval()


def train_model(
    model: PreTrainedModel,
    rows: Sequence[Encoded],
    collate: Callable[[list[Encoded]], Any],
    settings: Baseline,
    seed: int,
) -> None:
    """Train all weights of ``model`` on ``rows`` (AdamW, linear decay after a tenth of warm-up, the usual BERT recipe).

    Raises UserError where the training diverges.
    """
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
    if not all(weight.isfinite().all() for weight in model.parameters()):
        raise UserError("the training has diverged: its weights are not finite numbers; lower the baseline's learning_rate")


def batches(rows: Sequence[Any], size: int = 32) -> Iterator[Sequence[Any]]:
    """``rows`` in their order, ``size`` at a time."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]

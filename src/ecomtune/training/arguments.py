"""The arguments of transformers' Trainer that all trainings share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments


def training_arguments(folder: Path, seed: int, **own: Any) -> TrainingArguments:
    """Trainer's arguments: those that all trainings share, and a training's ``own``; ``folder`` is for checkpoints."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        seed=seed,
        use_cpu=not torch.cuda.is_available(),
        save_strategy="no",
        report_to="none",
        logging_strategy="steps",
        logging_steps=1,  # a loss over several steps would come out differently after a checkpoint between them
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        disable_tqdm=False,  # the default depends on the log level
        **own,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # with more, DataParallel would split batches whose rows share a prefix
    return arguments

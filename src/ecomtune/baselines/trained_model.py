"""What baselines with a neural network share: loading it, saving it, and batches of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedModel, set_seed

from ecomtune.baselines.job import Job
from ecomtune.core.config import Baseline
from ecomtune.core.files import dump_json, write_text
from ecomtune.core.paths import PRETRAINED, TRAINING_RECORD
from ecomtune.messages.errors import reading
from ecomtune.models.loading import load_model
from ecomtune.models.tokenization import check_tokenizer


def model_folder(settings: Baseline) -> Path:
    """The pretrained weights that a baseline starts from."""
    return PRETRAINED / str(settings.model)


def load_with_head(kind: Any, job: Job, names: Sequence[str]) -> tuple[Any, PreTrainedModel]:
    """The tokenizer and the pretrained encoder, with a fresh head of ``kind`` over the named classes.

    Raises UserError where the weights are missing or broken.
    """
    folder = model_folder(job.settings)
    classes = {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}
    set_seed(job.seed)  # the head starts at random
    model = load_model(kind, folder, fresh_head=True, num_labels=len(names), **classes, dtype=torch.float32)
    with reading(folder):
        return AutoTokenizer.from_pretrained(folder), model


def load_trained(kind: Any, folder: Path) -> tuple[Any, PreTrainedModel]:
    """The tokenizer and model of a trained baseline. Raises UserError where they are missing, broken or don't match."""
    model = load_model(kind, folder).eval()
    with reading(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        check_tokenizer(tokenizer, len(model.get_input_embeddings().weight), causal=False)
    return tokenizer, model


def check_finite(scores: Tensor, folder: Path) -> Tensor:
    """The same scores. Raises UserError, naming the model's folder, where they aren't finite numbers."""
    with reading(folder):
        if not scores.isfinite().all():
            raise ValueError("its scores are not finite numbers")
    return scores


def save(tokenizer: Any, model: PreTrainedModel, record: dict[str, Any], folder: Path) -> None:
    """Write a trained model, its tokenizer and its training record."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_text(folder / TRAINING_RECORD, dump_json(record))


def batches(rows: Sequence[Any], size: int = 32) -> Iterator[Sequence[Any]]:
    """``rows`` in their order, ``size`` at a time."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]

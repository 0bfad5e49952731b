"""A seq2seq model for the text tasks: a pretrained one such as T5 or BART, or one built from an encoder's weights.

From an encoder, both halves are warm-started, and the cross-attention between them is initialized at random (arXiv 1907.12461).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from transformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    EncoderDecoderModel,
    GenerationConfig,
    set_seed,
)

from ecomtune.baselines.inputs import input_text
from ecomtune.baselines.job import Encoded, Job, TrainingData
from ecomtune.baselines.trained_model import batches, load_trained, model_folder, save
from ecomtune.core.config import Baseline
from ecomtune.core.records import Example
from ecomtune.messages.errors import reading
from ecomtune.models.loading import load_model
from ecomtune.tasks.base import Task


def fit(job: Job) -> None:
    """Train all weights on the examples' targets."""
    set_seed(job.seed)  # for the random cross-attention
    base = model_folder(job.settings)
    with reading(base):
        tokenizer, model, start = _load(str(base))

    def rows_of(examples: Sequence[Example]) -> list[Encoded]:
        texts, targets = _texts(examples, job.task)
        inputs = [tokenizer(text, truncation=True, max_length=job.settings.max_length) for text in texts]
        labels = [tokenizer(text, truncation=True, max_length=job.settings.max_new_tokens)["input_ids"] for text in targets]
        # no token types: T5 and BART have none, and to others a missing type is 0, which it would be here
        names = ("input_ids", "attention_mask")
        return [
            {**{name: encoded[name] for name in names}, "labels": ids[start:]}
            for encoded, ids in zip(inputs, labels, strict=True)
        ]

    inputs, targets = _texts(job.train, job.task)
    _report_truncated(tokenizer, inputs, job.settings.max_length, f"{job.task.name}: inputs truncated to max_length")
    _report_truncated(tokenizer, targets, job.settings.max_new_tokens, f"{job.task.name}: targets truncated to max_new_tokens")
    collate = DataCollatorForSeq2Seq(tokenizer, model=model)
    record = job.train_weights(model, TrainingData(rows_of(job.train), rows_of(job.validation), collate))
    save(tokenizer, model, record, job.folder)


def _texts(examples: Sequence[Example], task: Task) -> tuple[list[str], list[str]]:
    """The input and the target of each example."""
    return [input_text(example, task) for example in examples], [example.target for example in examples]


def _load(base: str) -> tuple[Any, Any, int]:
    """The tokenizer, the model to train, and how many leading tokens of a target the model itself prepends to its labels."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    if AutoConfig.from_pretrained(base).is_encoder_decoder:
        model = load_model(AutoModelForSeq2SeqLM, Path(base), dtype=torch.float32)
        own = model.generation_config
        # only its special tokens: beams and length rules, which BART's config has, don't belong to a greedy answer
        names = ("bos_token_id", "decoder_start_token_id", "eos_token_id", "pad_token_id")
        model.generation_config = GenerationConfig(**{name: getattr(own, name) for name in names})
        return tokenizer, model, 0
    model = EncoderDecoderModel.from_encoder_decoder_pretrained(base, base)
    for config in (model.config, model.generation_config):
        config.decoder_start_token_id = tokenizer.cls_token_id
        config.eos_token_id = tokenizer.sep_token_id
        config.pad_token_id = tokenizer.pad_token_id
    return tokenizer, model, 1


def _report_truncated(tokenizer: Any, texts: Sequence[str], tokens: int, what: str) -> None:
    """Print how many texts are longer than ``tokens``, if any are."""
    number = sum(len(ids) > tokens for ids in tokenizer(list(texts))["input_ids"])
    if number:
        print(f"{what} ({tokens} tokens): {number} of {len(texts)}")


@torch.inference_mode()
def answer(settings: Baseline, task: Task, folder: Path, examples: Sequence[Example]) -> list[str]:
    """The greedy answer to each example."""
    tokenizer, model = load_trained(AutoModelForSeq2SeqLM, folder)
    answers: list[str] = []
    for batch in track(list(batches(examples)), description=task.name):
        texts = [input_text(example, task) for example in batch]
        encoded = tokenizer(texts, truncation=True, max_length=settings.max_length, padding=True, return_tensors="pt")
        generated = model.generate(
            encoded["input_ids"],
            attention_mask=encoded["attention_mask"],
            max_new_tokens=settings.max_new_tokens,
            do_sample=False,
        )
        answers += tokenizer.batch_decode(generated, skip_special_tokens=True)
    return answers

"""A seq2seq model for the text tasks: an encoder-decoder warm-started from one encoder's weights (arXiv 1907.12461)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from rich.progress import track
from transformers import AutoTokenizer, DataCollatorForSeq2Seq, EncoderDecoderModel, set_seed

from ecomtune.baselines.inputs import input_text
from ecomtune.baselines.trainer import batches, model_folder, train_model
from ecomtune.records import Example, Reference
from ecomtune.sections import Baseline
from ecomtune.tasks.base import Task

#: The longest answer in tokens; the longest target of the text tasks lies below.
MAX_ANSWER = 96


def fit(
    settings: Baseline, task: Task, train: Sequence[Example], validation: Sequence[Example], folder: Path, seed: int
) -> None:
    """Train both halves and the fresh cross-attention on the examples' targets."""
    tokenizer = AutoTokenizer.from_pretrained(model_folder(settings))
    set_seed(seed)  # the cross-attention starts at random
    base = str(model_folder(settings))
    model = EncoderDecoderModel.from_encoder_decoder_pretrained(base, base)
    for config in (model.config, model.generation_config):
        config.decoder_start_token_id = tokenizer.cls_token_id
        config.eos_token_id = tokenizer.sep_token_id
        config.pad_token_id = tokenizer.pad_token_id
    rows = []
    for example in train:
        encoded = tokenizer(input_text(example, task), truncation=True, max_length=settings.max_length)
        target = tokenizer(example.target, truncation=True, max_length=MAX_ANSWER)["input_ids"]
        rows.append({**encoded, "labels": target[1:]})  # the model itself puts the start token before its labels
    train_model(model, rows, DataCollatorForSeq2Seq(tokenizer, model=model), settings, seed)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@torch.inference_mode()
def answer(settings: Baseline, task: Task, folder: Path, examples: Sequence[Example]) -> list[tuple[str, Reference | None]]:
    """The greedy answer to each example."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = EncoderDecoderModel.from_pretrained(folder).eval()
    answers: list[tuple[str, Reference | None]] = []
    for batch in track(list(batches(examples)), description=task.name):
        texts = [input_text(example, task) for example in batch]
        encoded = tokenizer(texts, truncation=True, max_length=settings.max_length, padding=True, return_tensors="pt")
        generated = model.generate(
            encoded["input_ids"], attention_mask=encoded["attention_mask"], max_new_tokens=MAX_ANSWER, do_sample=False
        )
        for example, text in zip(batch, tokenizer.batch_decode(generated, skip_special_tokens=True), strict=True):
            answers.append((text, task.parse(text, example.fields)))
    return answers

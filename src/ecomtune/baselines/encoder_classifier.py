"""A pretrained encoder with a classification head over the pair of query and product."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, DataCollatorWithPadding

from ecomtune.baselines.inputs import input_pair, labels_of
from ecomtune.baselines.trainer import batches, load_trained, load_with_head, train_model
from ecomtune.records import Example
from ecomtune.sections import Baseline
from ecomtune.tasks.base import Task


def fit(
    settings: Baseline, task: Task, train: Sequence[Example], validation: Sequence[Example], folder: Path, seed: int
) -> None:
    """Train encoder and head on the examples' labels."""
    labels = labels_of(train, task)
    tokenizer, model = load_with_head(AutoModelForSequenceClassification, settings, labels, seed)
    rows = []
    for example in train:
        encoded = tokenizer(*input_pair(example, task), truncation=True, max_length=settings.max_length)
        rows.append({**encoded, "labels": labels.index(str(example.reference))})
    train_model(model, rows, DataCollatorWithPadding(tokenizer), settings, seed)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@torch.inference_mode()
def answer(settings: Baseline, task: Task, folder: Path, examples: Sequence[Example]) -> list[str]:
    """The likeliest label of each example."""
    tokenizer, model = load_trained(AutoModelForSequenceClassification, folder)
    answers: list[str] = []
    for batch in batches(examples):
        pairs = [input_pair(example, task) for example in batch]
        encoded = tokenizer(pairs, truncation=True, max_length=settings.max_length, padding=True, return_tensors="pt")
        answers += [model.config.id2label[index] for index in model(**encoded).logits.argmax(dim=-1).tolist()]
    return answers

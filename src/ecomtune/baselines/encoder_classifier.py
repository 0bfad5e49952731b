"""A pretrained encoder with a classification head over the pair of query and product."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, DataCollatorWithPadding

from ecomtune.baselines.encoder_head import classes_of, train_head
from ecomtune.baselines.inputs import input_pair, labels_of
from ecomtune.baselines.job import Encoded, Job, TrainingData
from ecomtune.baselines.trained_model import batches, check_finite, load_trained, load_with_head, save
from ecomtune.core.config import Baseline
from ecomtune.core.records import Example
from ecomtune.messages.errors import reading
from ecomtune.tasks.base import Task


def fit(job: Job) -> None:
    """Train encoder and head on the examples' labels."""
    labels = labels_of(job.train, job.task)
    tokenizer, model = load_with_head(AutoModelForSequenceClassification, job, labels)

    def rows_of(examples: Sequence[Example]) -> list[Encoded]:
        known = [example for example in examples if str(example.reference) in labels]  # the head has no other labels
        pairs = [input_pair(example, job.task) for example in known]
        encoded = [tokenizer(*pair, truncation=True, max_length=job.settings.max_length) for pair in pairs]
        targets = [labels.index(str(example.reference)) for example in known]
        return [{**each, "labels": target} for each, target in zip(encoded, targets, strict=True)]

    data = TrainingData(rows_of(job.train), rows_of(job.validation), DataCollatorWithPadding(tokenizer))
    save(tokenizer, model, train_head(model, data, job), job.folder)


@torch.inference_mode()
def answer(settings: Baseline, task: Task, folder: Path, examples: Sequence[Example]) -> list[str]:
    """The likeliest label of each example."""
    tokenizer, model = load_trained(AutoModelForSequenceClassification, folder)
    with reading(folder):
        labels = classes_of(model)
        if set(labels) - set(task.labels):
            raise ValueError(f"its labels are not those of task {task.name}")
    answers: list[str] = []
    for batch in batches(examples):
        pairs = [input_pair(example, task) for example in batch]
        encoded = tokenizer(
            *map(list, zip(*pairs, strict=True)),
            truncation=True,
            max_length=settings.max_length,
            padding=True,
            return_tensors="pt",
        )
        answers += [labels[index] for index in check_finite(model(**encoded).logits, folder).argmax(dim=-1).tolist()]
    return answers

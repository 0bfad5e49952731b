"""A pretrained encoder that tags the first token of each word, decoded so that every tag sequence is valid IOB2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from torch import Tensor
from transformers import AutoModelForTokenClassification, DataCollatorForTokenClassification

from ecomtune.baselines.crf import Transitions, best_path, negative_log_likelihood
from ecomtune.baselines.encoder_head import classes_of, train_head
from ecomtune.baselines.job import Encoded, Job, TrainingData
from ecomtune.baselines.trained_model import batches, check_finite, load_trained, load_with_head, save
from ecomtune.core.config import Baseline
from ecomtune.core.records import Example
from ecomtune.messages.errors import reading
from ecomtune.models.tokenization import IGNORED
from ecomtune.tasks.base import Task

#: The trained scores of one tag after another, next to the model's weights.
TRANSITIONS = "transitions.safetensors"


def fit(job: Job) -> None:
    """Train encoder and head on the examples' tags: each word's alone or, with ``crf``, each query's as one sequence."""
    tags = sorted({tag for example in job.train for tag in example.reference} | {"O"})
    tokenizer, model = load_with_head(AutoModelForTokenClassification, job, tags)

    def rows_of(examples: Sequence[Example]) -> list[Encoded]:
        rows = []
        for example in examples:
            encoded = _encode(tokenizer, job.task.words(example.fields), job.settings.max_length)
            labels = [IGNORED] * len(encoded["input_ids"])
            for word, place in _first_tokens(encoded).items():
                if example.reference[word] in tags:  # the head has no other tags
                    labels[place] = tags.index(example.reference[word])
            if set(labels) != {IGNORED}:  # otherwise the mean loss of no tag would be NaN
                rows.append({**encoded, "labels": labels})
        return rows

    data = TrainingData(rows_of(job.train), rows_of(job.validation), DataCollatorForTokenClassification(tokenizer))
    if not job.settings.crf:
        save(tokenizer, model, train_head(model, data, job), job.folder)
        return
    model.transitions = transitions = Transitions(len(tags))  # part of the model, so that both are trained and resumed together

    def loss(outputs: Any, labels: Tensor, num_items_in_batch: Any = None) -> Tensor:
        return negative_log_likelihood(outputs.logits, labels, transitions())

    record = train_head(model, replace(data, loss=loss), job)
    del model.transitions  # what remains is a plain token classifier
    save(tokenizer, model, record, job.folder)
    save_file({"transitions": transitions().detach().numpy()}, job.folder / TRANSITIONS)


@torch.inference_mode()
def answer(settings: Baseline, task: Task, folder: Path, examples: Sequence[Example]) -> list[str]:
    """The best valid tag sequence of each example; words beyond ``max_length``, or without any token, are O."""
    tokenizer, model = load_trained(AutoModelForTokenClassification, folder)
    tags = _tags(model, task, folder)
    transitions = _transitions(settings, folder, len(tags))
    answers: list[str] = []
    for batch in batches(examples):
        words = [task.words(example.fields) for example in batch]
        encoded = [_encode(tokenizer, each, settings.max_length) for each in words]
        logits = model(**tokenizer.pad([dict(each) for each in encoded], return_tensors="pt")).logits
        scores = check_finite(logits, folder).log_softmax(dim=-1)
        for row, (example, first) in enumerate(zip(batch, map(_first_tokens, encoded), strict=True)):
            table = np.where(np.array(tags) == "O", 0.0, np.full((len(words[row]), 1), -np.inf))
            table[list(first)] = scores[row, list(first.values())].numpy()
            answers.append(task.target(example.fields, best_path(table, tags, transitions)))
    return answers


def _tags(model: Any, task: Task, folder: Path) -> list[str]:
    """The tags that the head was trained on. Raises UserError where they aren't the task's."""
    with reading(folder):
        tags = classes_of(model)
        for tag in tags:
            valid = [f"B-{tag[2:]}", tag] if tag.startswith("I-") else [tag]  # I- continues an entity of its type
            task.target({task.required_fields[0]: ["-"] * len(valid)}, valid)
        return tags


def _transitions(settings: Baseline, folder: Path, tags: int) -> NDArray[np.floating[Any]]:
    """The score of each tag after each other one; zeros without ``crf``."""
    if not settings.crf:
        return np.zeros((tags + 1, tags))
    with reading(folder):
        transitions: NDArray[np.floating[Any]] = load_file(folder / TRANSITIONS)["transitions"]
        if transitions.shape != (tags + 1, tags) or not np.isfinite(transitions).all():
            raise ValueError(f"{TRANSITIONS} does not hold {tags + 1} times {tags} finite numbers")
        return transitions


def _encode(tokenizer: Any, words: Sequence[str], max_length: int) -> Any:
    return tokenizer(list(words), is_split_into_words=True, truncation=True, max_length=max_length)


def _first_tokens(encoded: Any) -> dict[int, int]:
    """The position of each word's first token; a word without any (zero-width characters) has none."""
    words = encoded.word_ids()
    return {word: words.index(word) for word in words if word is not None}

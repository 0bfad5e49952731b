"""A pretrained encoder with a tag for the first piece of each word, decoded so that every tag sequence is valid IOB2."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForTokenClassification, DataCollatorForTokenClassification

from ecomtune.baselines.encoder_head import train_head
from ecomtune.baselines.job import Job
from ecomtune.baselines.trainer import Encoded, batches, load_trained, load_with_head
from ecomtune.records import Example
from ecomtune.sections import Baseline
from ecomtune.tasks.base import Task, texts_of
from ecomtune.trainer_callbacks import IGNORED


def fit(job: Job) -> None:
    """Train encoder and head on the examples' tags."""
    tags = sorted({tag for example in job.train for tag in example.reference} | {"O"})
    tokenizer, model = load_with_head(AutoModelForTokenClassification, job, tags)

    def rows_of(examples: Sequence[Example]) -> list[Encoded]:
        rows = []
        for example in examples:
            encoded = _encode(tokenizer, texts_of(example.fields, "words"), job.settings.max_length)
            labels = [IGNORED] * len(encoded["input_ids"])
            for word, place in _first_pieces(encoded).items():
                if example.reference[word] in tags:  # a head knows its own tags only
                    labels[place] = tags.index(example.reference[word])
            if set(labels) != {IGNORED}:  # else there is nothing to learn, and the mean of no loss is no number
                rows.append({**encoded, "labels": labels})
        return rows

    rows, held_out, collate = rows_of(job.train), rows_of(job.validation), DataCollatorForTokenClassification(tokenizer)
    train_head(tokenizer, model, rows, held_out, collate, job)


@torch.inference_mode()
def answer(settings: Baseline, task: Task, folder: Path, examples: Sequence[Example]) -> list[str]:
    """The best valid tag sequence of each example; words beyond ``max_length``, or of which no piece is left, are O."""
    tokenizer, model = load_trained(AutoModelForTokenClassification, folder)
    tags = [model.config.id2label[index] for index in range(model.config.num_labels)]
    answers: list[str] = []
    for batch in batches(examples):
        words = [texts_of(example.fields, "words") for example in batch]
        encoded = [_encode(tokenizer, each, settings.max_length) for each in words]
        scores = model(**tokenizer.pad([dict(each) for each in encoded], return_tensors="pt")).logits.log_softmax(dim=-1)
        for row, (example, pieces) in enumerate(zip(batch, map(_first_pieces, encoded), strict=True)):
            table = np.where(np.array(tags) == "O", 0.0, np.full((len(words[row]), 1), -np.inf))
            table[list(pieces)] = scores[row, list(pieces.values())].numpy()
            answers.append(task.target(example.fields, best_path(table, tags)))
    return answers


def _encode(tokenizer: Any, words: Sequence[str], max_length: int) -> Any:
    return tokenizer(list(words), is_split_into_words=True, truncation=True, max_length=max_length)


def _first_pieces(encoded: Any) -> dict[int, int]:
    """The place of each word's first piece; a word of which the tokenizer makes nothing (zero-width characters) has none."""
    words = encoded.word_ids()
    return {word: words.index(word) for word in words if word is not None}


def best_path(scores: NDArray[np.floating[Any]], tags: Sequence[str]) -> list[str]:
    """The tag sequence of the highest total score [words, tags] in which every I-x follows B-x or I-x (Viterbi)."""
    allowed = np.array([[follows(before, tag) for tag in tags] for before in tags])
    penalty = np.where(allowed, 0.0, -np.inf)
    start = np.array([0.0 if follows("O", tag) else -np.inf for tag in tags])
    total = start + scores[0] if len(scores) else start
    back = []
    for row in scores[1:]:
        paths = total[:, None] + penalty
        back.append(paths.argmax(axis=0))
        total = paths.max(axis=0) + row
    best = [int(total.argmax())] if len(scores) else []
    for choices in reversed(back):
        best.append(int(choices[best[-1]]))
    return [tags[index] for index in reversed(best)]


def follows(before: str, tag: str) -> bool:
    """Whether ``tag`` may stand right after ``before`` in IOB2."""
    return not tag.startswith("I-") or (before != "O" and before[2:] == tag[2:])

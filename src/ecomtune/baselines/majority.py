"""The guessing floor: the most frequent label of the training rows, or for each word its most frequent tag there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ecomtune.baselines.job import Job
from ecomtune.core.config import Baseline
from ecomtune.core.files import dump_json, read_json, write_text
from ecomtune.core.records import Example
from ecomtune.messages.errors import UserError, reading
from ecomtune.tasks.base import Task


def fit(job: Job) -> None:
    """Count the labels, or the tags of each word, ignoring case. Raises UserError where no row holds a word."""
    if job.task.decoder == "label":
        most = _most_frequent(Counter(str(each.reference) for each in job.train))
        write_text(job.folder / "majority.json", dump_json({"label": most}))
        return
    words: dict[str, Counter[str]] = {}
    for example in job.train:
        for word, tag in zip(job.task.words(example.fields), example.reference, strict=True):
            words.setdefault(word.lower(), Counter())[tag] += 1
    overall = Counter(tag for example in job.train for tag in example.reference)
    if not overall:
        raise UserError(f"tasks.{job.task.name}: no training row holds a word; correct its data set")
    majority = {"tag": _most_frequent(overall), "words": {word: _most_frequent(tags) for word, tags in words.items()}}
    write_text(job.folder / "majority.json", dump_json(majority))


def answer(settings: Baseline, task: Task, folder: Path, examples: Sequence[Example]) -> list[str]:
    """The most frequent label for each example, or the tags of its words; an unseen word gets the most frequent tag of all."""
    with reading(folder):  # all of it: what is stored may not be a tag or label of the task
        stored = read_json(folder / "majority.json")
        if task.decoder == "label":
            return [task.target(example.fields, stored["label"]) for example in examples]
        tags = [[stored["words"].get(w.lower(), stored["tag"]) for w in task.words(each.fields)] for each in examples]
        return [task.target(example.fields, _valid(each)) for example, each in zip(examples, tags, strict=True)]


def _most_frequent(counts: Counter[str]) -> str:
    """The most frequent one; of equally frequent ones, the alphabetically first."""
    return min(counts, key=lambda name: (-counts[name], name))


def _valid(tags: Sequence[str]) -> list[str]:
    """``tags`` in IOB2: an I- that continues nothing begins an entity."""
    before = ["O", *tags]
    return [f"B-{t[2:]}" if t[0] == "I" and last[1:] != t[1:] else t for last, t in zip(before, tags, strict=False)]

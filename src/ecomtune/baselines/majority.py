"""The floor of guessing: the label that most training rows have, or for each word the tag that it has most often there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ecomtune.baselines.job import Job
from ecomtune.core.config import Baseline
from ecomtune.core.files import dump_json, read_json, write_text
from ecomtune.core.records import Example
from ecomtune.messages.errors import UserError, reading
from ecomtune.tasks.base import Task, texts_of


def fit(job: Job) -> None:
    """Count the labels, or the tags of each word, case aside. Raises UserError where there is no word."""
    if job.task.decoder == "label":
        most = _most(Counter(str(each.reference) for each in job.train))
        write_text(job.folder / "majority.json", dump_json({"label": most}))
        return
    words: dict[str, Counter[str]] = {}
    for example in job.train:
        for word, tag in zip(texts_of(example.fields, "words"), example.reference, strict=True):
            words.setdefault(word.lower(), Counter())[tag] += 1
    of_all = Counter(tag for example in job.train for tag in example.reference)
    if not of_all:
        raise UserError(f"tasks.{job.task.name}: no training row holds a word; correct its data set")
    known = {"tag": _most(of_all), "words": {word: _most(tags) for word, tags in words.items()}}
    write_text(job.folder / "majority.json", dump_json(known))


def answer(settings: Baseline, task: Task, folder: Path, examples: Sequence[Example]) -> list[str]:
    """The one label for each example, or its words' tags; a word that no training row has gets the most frequent tag."""
    with reading(folder):  # all of it: what it knows may be no tag or label of the task
        known = read_json(folder / "majority.json")
        if task.decoder == "label":
            return [task.target(example.fields, known["label"]) for example in examples]
        tags = [[known["words"].get(w.lower(), known["tag"]) for w in texts_of(each.fields, "words")] for each in examples]
        return [task.target(example.fields, _valid(of_words)) for example, of_words in zip(examples, tags, strict=True)]


def _most(counts: Counter[str]) -> str:
    """The most frequent one, of equally frequent ones the first in the alphabet."""
    return min(counts, key=lambda name: (-counts[name], name))


def _valid(tags: Sequence[str]) -> list[str]:
    """``tags`` in IOB2: an I- that continues nothing begins an entity."""
    before = ["O", *tags]
    return [f"B-{t[2:]}" if t[0] == "I" and last[1:] != t[1:] else t for last, t in zip(before, tags, strict=False)]

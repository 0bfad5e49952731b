"""Which labels, or entity types of words, a system takes for which."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ecomtune.core.files import write_text
from ecomtune.core.records import Prediction
from ecomtune.tasks.base import Task

#: The type of a word outside any entity, and what stands for an answer that says nothing.
NONE: Final = "none"
MALFORMED: Final = "malformed"

#: Gold and answer of one row, or of one word.
Confused = tuple[str, str]


def confused(task: Task, given: Sequence[Prediction]) -> list[Confused]:
    """Gold and answer of each row of a task with labels, of each word of one with tags (its entity type); none of texts."""
    if task.decoder == "label":
        return [(str(each.reference), MALFORMED if each.parsed is None else str(each.parsed)) for each in given]
    if task.decoder == "text":
        return []
    return [
        (_type(gold), _type(tag))
        for each in given
        for gold, tag in zip(each.reference, each.parsed or [MALFORMED] * len(each.reference), strict=True)
    ]


def _type(tag: str) -> str:
    return NONE if tag == "O" else tag.removeprefix("B-").removeprefix("I-")


def matrix(task: Task, found: Sequence[Confused]) -> dict[str, Any]:
    """Counts [gold, answers] with the labels of both sides: the task's own order, else sorted, NONE and MALFORMED last."""
    own = list(task.labels)

    def place(label: str) -> tuple[bool, bool, int, str]:
        return label == MALFORMED, label == NONE, own.index(label) if label in own else len(own), label

    labels = sorted({label for pair in found for label in pair}, key=place)
    gold = [label for label in labels if label != MALFORMED]
    counts = Counter(found)
    return {"answers": labels, "counts": [[counts[row, column] for column in labels] for row in gold], "gold": gold}


def write_table(found: Sequence[Confused], path: Path) -> None:
    """The pairs as a CSV with columns gold and answer, which DVC's template ``confusion`` counts."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("gold", "answer"))
    writer.writerows(found)
    write_text(path, text.getvalue())

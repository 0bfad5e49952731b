"""Which labels, or entity types of words, a system takes for which."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ecomtune.core.files import write_text
from ecomtune.core.records import Prediction
from ecomtune.report.outcomes import Answers
from ecomtune.tasks.base import Task

#: The type of a word outside any entity, and the label of a malformed answer.
NONE: Final = "none"
MALFORMED: Final = "malformed"

#: Gold and answer of a row, or of a word.
LabelPair = tuple[str, str]


def label_pairs(task: Task, predictions: Sequence[Prediction]) -> list[LabelPair]:
    """Gold and answer of each row for labels, and of each word (its entity type) for tags; texts have none."""
    if task.decoder == "label":
        return [(str(each.reference), MALFORMED if each.parsed is None else str(each.parsed)) for each in predictions]
    if task.decoder == "text":
        return []
    return [
        (_entity_type(gold), _entity_type(tag))
        for each in predictions
        for gold, tag in zip(each.reference, each.parsed or [MALFORMED] * len(each.reference), strict=True)
    ]


def _entity_type(tag: str) -> str:
    return NONE if tag == "O" else tag.removeprefix("B-").removeprefix("I-")


def confusion_matrix(task: Task, pairs: Sequence[LabelPair]) -> dict[str, Any]:
    """Counts [gold, answers] with the labels of both sides: in the task's own order or sorted, NONE and MALFORMED last."""
    own = list(task.labels)

    def place(label: str) -> tuple[bool, bool, int, str]:
        return label == MALFORMED, label == NONE, own.index(label) if label in own else len(own), label

    labels = sorted({label for pair in pairs for label in pair}, key=place)
    gold = [label for label in labels if label != MALFORMED]
    counts = Counter(pairs)
    return {"answers": labels, "counts": [[counts[row, column] for column in labels] for row in gold], "gold": gold}


def write_confusion(pairs: Sequence[LabelPair], path: Path) -> None:
    """Write the pairs as a CSV with columns gold and answer, which DVC's template ``confusion`` counts."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("gold", "answer"))
    writer.writerows(pairs)
    write_text(path, text.getvalue())


def write_confusions(tasks: Mapping[str, Task], answers: Answers, folder: Path) -> None:
    """A table TASK/SYSTEM.csv for every system of a task with labels or tags."""
    for task, by_system in answers.items():
        for name, predictions in by_system.items():
            if pairs := label_pairs(tasks[task], predictions):
                write_confusion(pairs, folder / task / f"{name}.csv")

"""The text of an example as conventional models read it: its inputs only, without an instruction."""

from __future__ import annotations

from collections.abc import Sequence

from ecomtune.core.records import Example
from ecomtune.messages.errors import UserError
from ecomtune.tasks.base import Task
from ecomtune.tasks.row_text import text_of


def labels_of(train: Sequence[Example], task: Task) -> list[str]:
    """The labels of the training examples, sorted. Raises UserError where there is only one."""
    labels = sorted({str(example.reference) for example in train})
    if len(labels) < 2:
        raise UserError(f"tasks.{task.name}.train_size: all {len(train)} training rows have the same label; raise train_size")
    return labels


def input_text(example: Example, task: Task) -> str:
    """All inputs of an example, the required ones first, separated by spaces."""
    names = [*task.required_fields, *sorted(set(example.fields) - set(task.required_fields))]
    return " ".join(text for name in names if (text := text_of(example.fields, name)))


def input_pair(example: Example, task: Task) -> tuple[str, str] | tuple[str]:
    """The first input, and all the others: the two texts that a pair classifier compares. A task of one input has one text."""
    first, *others = task.required_fields
    names = [*others, *sorted(set(example.fields) - set(task.required_fields))]
    if len(task.definition.inputs) == 1:
        return (text_of(example.fields, first),)
    return text_of(example.fields, first), " ".join(text for name in names if (text := text_of(example.fields, name)))

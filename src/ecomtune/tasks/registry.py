"""The tasks of params.yaml, each of the class of its kind."""

from __future__ import annotations

from collections.abc import Iterable

from ecomtune.core.config.definition import Kind, TaskDefinition
from ecomtune.core.config.params import Params
from ecomtune.core.definitions import definition_of, formatted_task_definition
from ecomtune.tasks.base import Task
from ecomtune.tasks.free_text import FreeText
from ecomtune.tasks.ner import Ner
from ecomtune.tasks.text_classification import Classification

KINDS: dict[Kind, type[Task]] = {
    "classification": Classification,
    "ner": Ner,
    "summarization": FreeText,
    "generation": FreeText,
}


def task_from(key: str, definition: TaskDefinition) -> Task:
    """The task called ``key`` with this definition."""
    return KINDS[definition.kind](key, definition)


def load_task(params: Params, key: str) -> Task:
    """The task as its file in tasks/ defines it now. Raises UserError where the file is missing or wrong."""
    return task_from(key, definition_of(params, key))


def load_tasks(params: Params, keys: Iterable[str]) -> dict[str, Task]:
    """Tasks by their keys, see :func:`load_task`."""
    return {key: load_task(params, key) for key in keys}


def formatted_task(key: str) -> Task:
    """The task as its examples were formatted, which doesn't say how it is scored. Raises UserError without examples."""
    return task_from(key, formatted_task_definition(key))

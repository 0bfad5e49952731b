"""The study's tasks, by the definitions in tasks/."""

from __future__ import annotations

from ecomtune.core.definitions import read_definition
from ecomtune.tasks.base import Task
from ecomtune.tasks.registry import task_from


def load_task(name: str) -> Task:
    """The task of that name, by its own definition."""
    return task_from(name, read_definition(name))

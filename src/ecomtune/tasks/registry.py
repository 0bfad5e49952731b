"""The tasks: one module each, found by its name.

A task module defines a subclass of :class:`Task` and names its instance ``TASK``; nothing else has to be registered.
"""

from __future__ import annotations

import importlib

from ecomtune.messages.errors import UserError
from ecomtune.tasks.base import Task


def load_task(name: str) -> Task:
    """The task called ``name``. Raises UserError where no module of that name defines one."""
    try:
        module = importlib.import_module(f"ecomtune.tasks.{name}")
        task = module.TASK
    except (ModuleNotFoundError, AttributeError) as error:
        raise UserError(f"tasks.{name}: no task of that name; each is a module src/ecomtune/tasks/NAME.py") from error
    assert isinstance(task, Task)
    return task

"""The tasks that the repository defines, wherever a test runs."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import get_args

from ecomtune.core.config.definition import TaskDefinition
from ecomtune.core.definitions import dump_definition, read_definition
from ecomtune.core.files import dump_json, write_text
from ecomtune.core.paths import DEFINITIONS, PREDICTIONS, formatted_definition
from ecomtune.tasks.base import PromptForm, Task
from ecomtune.tasks.registry import task_from

ROOT = Path(__file__).resolve().parents[2]
#: The study's own four tasks.
STUDY = ("relevance", "ner", "summarization", "description")
FORMS: tuple[PromptForm, ...] = get_args(PromptForm)


def define_tasks(folder: Path = Path()) -> None:
    """Copy the definitions of tasks into a project's folder."""
    shutil.copytree(ROOT / "tasks", folder / "tasks", dirs_exist_ok=True)


def mark_formatted(*names: str, folder: Path = Path()) -> None:
    """Write the definition by which examples of these tasks were formatted, as stage format does next to them."""
    for name in names:
        write_text(folder / formatted_definition(name), dump_definition(definition(name), "compact"))


def mark_answered(system: str, *names: str, folder: Path = Path()) -> None:
    """Write the definitions of the tasks that a system answered, as stage predict does next to its predictions."""
    write_text(folder / PREDICTIONS / system / DEFINITIONS, dump_json(dict(zip(names, names, strict=True))))


@cache
def definition(name: str) -> TaskDefinition:
    """The definition in tasks/NAME.yaml."""
    return read_definition(name, ROOT)


@cache
def load_task(name: str) -> Task:
    """The task of that name, by its own definition."""
    return task_from(name, definition(name))

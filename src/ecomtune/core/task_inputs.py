"""The inputs of each task's rows, defined once for tasks, readers of data sets and commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TaskInputs:
    """The inputs of a task's rows and the kind of its ``answer``.

    The first required input groups rows where no column does. Inputs in ``lists`` consist of several texts, one per line in a
    table; those in ``words`` are split at whitespace.
    """

    required: tuple[str, ...]
    answer: Literal["label", "tags", "text"]
    optional: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all inputs, required ones first."""
        return (*self.required, *self.optional)


#: The tasks that a user's own table can provide rows for.
TASK_INPUTS = {
    "relevance": TaskInputs(("query", "title"), "label", optional=("brand", "color")),
    "ner": TaskInputs(("words",), "tags", words=("words",)),
    "summarization": TaskInputs(("reviews",), "text", lists=("reviews",)),
    "description": TaskInputs(("title", "bullets"), "text", optional=("brand", "color"), lists=("bullets",)),
}

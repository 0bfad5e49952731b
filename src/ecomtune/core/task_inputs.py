"""What a row of each task consists of: read by tasks, by readers of data sets and by commands, and written here only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TaskInputs:
    """The inputs of a task's rows, ``required`` ones first, and the kind of its ``answer``.

    The first required input groups rows where no column does. ``lists`` are inputs of several texts, one a line in a table;
    ``words`` are split at white space.
    """

    required: tuple[str, ...]
    answer: Literal["label", "tags", "text"]
    optional: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All inputs, the required ones first."""
        return (*self.required, *self.optional)


#: The tasks whose rows a table of the user's own can hold.
TASK_INPUTS = {
    "relevance": TaskInputs(("query", "title"), "label", optional=("brand", "color")),
    "ner": TaskInputs(("words",), "tags", words=("words",)),
    "summarization": TaskInputs(("reviews",), "text", lists=("reviews",)),
    "description": TaskInputs(("title", "bullets"), "text", optional=("brand", "color"), lists=("bullets",)),
}

"""Answers that the data set itself holds, from annotators or from a system already in use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ecomtune.core.config.params import Params
from ecomtune.core.records import Example, Reference
from ecomtune.inference.answer_costs import Answered
from ecomtune.messages.errors import UserError
from ecomtune.tasks.base import Task


def answer_recorded(
    params: Params, name: str, tasks: Mapping[str, Task], rows: Mapping[str, list[Example]]
) -> Iterator[Answered]:
    """The answers that the examples hold under the system's name; where an example has none, the answer is empty.

    Raises UserError where no example has one.
    """
    ((key, examples),) = rows.items()
    task = tasks[key]
    missing = sum(name not in example.answers for example in examples)
    if missing == len(examples):
        known = ", ".join(sorted({other for example in examples for other in example.answers})) or "none"
        raise UserError(
            f"systems.{name}: data set {params.tasks[key].dataset_names} has no answers of that name for the test rows of "
            f"{key} (there: {known}); rename the system, or name a column for answer_{name} if it is a table"
        )
    if missing:
        print(f"{name}: {missing} of {len(examples)} test rows have no answer, and count as wrong")
    yield Answered(key, examples, [_as_text(task, example, example.answers.get(name, "")) for example in examples])


def _as_text(task: Task, example: Example, answer: Reference) -> str:
    """A recorded answer as raw text: in the target's form where the task can write it so."""
    try:
        return task.target(example.fields, answer)
    except ValueError:
        return answer if isinstance(answer, str) else " ".join(answer)

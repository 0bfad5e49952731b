"""predict@S: one system's answers to the test examples of its tasks, into data/predictions/S."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from ecomtune.core.config.params import Params, model_folder
from ecomtune.core.files import dump_json, output_folder, write_text
from ecomtune.core.paths import ANSWER_COSTS, PREDICTIONS, examples_file
from ecomtune.core.records import Example, Prediction, Reference, read_task, write_records
from ecomtune.core.text import replace_surrogates
from ecomtune.inference import answering
from ecomtune.inference.answer_costs import Answered, costs_of
from ecomtune.inference.answering import Rows
from ecomtune.messages.errors import UserError
from ecomtune.models.process import forget_other_processes, is_main_process
from ecomtune.stages.runner import pick, run
from ecomtune.tasks.base import Task
from ecomtune.tasks.registry import load_task

#: Kinds of systems that several processes answer together; any other is answered by the first of them alone.
TOGETHER = ("adapter", "prompt")


def main(params: Params, name: str) -> None:
    system = pick(params.systems, name, "systems")
    if system.kind not in TOGETHER:
        if not is_main_process():
            return
        forget_other_processes()
    rows = {key: read_task(examples_file(key, "test"), Example, key) for key in system.tasks}
    answer = _answer_recorded if system.kind == "recorded" else answering.answer
    if not is_main_process():  # the first one writes what all have answered
        deque(answer(params, name, rows), maxlen=0)
        return
    with output_folder(PREDICTIONS / name) as folder:
        costs = {}
        for found in answer(params, name, rows):
            predictions = _predictions(name, load_task(found.task), found.examples, found.answers)
            write_records(folder / f"{found.task}.jsonl", predictions)
            model = None if system.kind in ("endpoint", "recorded") else Path(model_folder(system, found.task, params))
            costs[found.task] = costs_of(model, found)
        write_text(folder / ANSWER_COSTS, dump_json(costs))


def _answer_recorded(params: Params, name: str, rows: Rows) -> Iterator[Answered]:
    """The answers that the examples hold under the system's name; an example without one is answered by nothing."""
    ((key, examples),) = rows.items()
    task = load_task(key)
    missing = sum(name not in example.answers for example in examples)
    if missing == len(examples):
        known = ", ".join(sorted({other for example in examples for other in example.answers})) or "none"
        raise UserError(
            f"systems.{name}: data set {params.tasks[key].dataset} has no answers of that name for the test rows of {key} "
            f"(there: {known}); rename the system, or name a column for answer_{name} if it is a table"
        )
    if missing:
        print(f"{name}: {missing} of {len(examples)} test rows have no answer, and count as wrong")
    yield Answered(key, examples, [_in_words(task, example, example.answers.get(name, "")) for example in examples])


def _in_words(task: Task, example: Example, meaning: Reference) -> str:
    """An answer as raw text: in the target's form where it has a meaning."""
    try:
        return task.target(example.fields, meaning)
    except ValueError:
        return meaning if isinstance(meaning, str) else " ".join(meaning)


def _predictions(system: str, task: Task, examples: Sequence[Example], answers: Sequence[str]) -> list[Prediction]:
    """The parsed answer to each example; half a character (a lone surrogate) in an answer becomes a question mark."""
    answers = [replace_surrogates(answer) for answer in answers]
    parsed = [task.parse(answer, example.fields) for answer, example in zip(answers, examples, strict=True)]
    return [
        Prediction(
            id=example.id,
            task=example.task,
            system=system,
            answer=answer,
            parsed=meaning,
            valid=meaning is not None,
            reference=example.reference,
            group=example.group,
        )
        for example, answer, meaning in zip(examples, answers, parsed, strict=True)
    ]


if __name__ == "__main__":
    run(main, distributed=True)

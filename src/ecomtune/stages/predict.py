"""predict@S: answers the test examples of one system's tasks, into data/predictions/S."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

from ecomtune.core.config.params import Params, model_folder
from ecomtune.core.definitions import definition_name
from ecomtune.core.entity_pairs import pairs_of
from ecomtune.core.files import dump_json, output_folder, write_text
from ecomtune.core.paths import ANSWER_COSTS, DEFINITIONS, PREDICTIONS, examples_file
from ecomtune.core.records import Example, Prediction, read_task, write_records
from ecomtune.core.text import replace_surrogates
from ecomtune.inference.answer_costs import costs_of
from ecomtune.inference.answering import answer_with_model
from ecomtune.inference.recorded_answers import answer_recorded
from ecomtune.models.process import forget_other_processes, is_main_process
from ecomtune.stages.runner import pick, run
from ecomtune.tasks.base import Task
from ecomtune.tasks.registry import formatted_task

#: Kinds of systems whose rows several processes share; for any other kind, the main process answers alone.
DISTRIBUTED = ("adapter", "prompt")


def main(params: Params, name: str) -> None:
    system = pick(params.systems, name, "systems")
    if system.kind not in DISTRIBUTED:
        if not is_main_process():
            return
        forget_other_processes()
    rows = {key: read_task(examples_file(key, "test"), Example, key) for key in system.tasks}
    tasks = {key: formatted_task(key) for key in system.tasks}
    answer = answer_recorded if system.kind == "recorded" else answer_with_model
    if not is_main_process():  # the main process writes the answers of all
        deque(answer(params, name, tasks, rows), maxlen=0)
        return
    with output_folder(PREDICTIONS / name) as folder:
        costs = {}
        for answered in answer(params, name, tasks, rows):
            predictions = make_predictions(name, tasks[answered.task], answered.examples, answered.answers)
            write_records(folder / f"{answered.task}.jsonl", predictions)
            model = None if system.kind in ("endpoint", "recorded") else Path(model_folder(system, answered.task, params))
            costs[answered.task] = costs_of(model, answered)
        write_text(folder / ANSWER_COSTS, dump_json(costs))
        names = {key: definition_name(key, params.tasks[key]) for key in system.tasks}
        write_text(folder / DEFINITIONS, dump_json(names))


def make_predictions(system: str, task: Task, examples: Sequence[Example], answers: Sequence[str]) -> list[Prediction]:
    """The prediction for each example: its answer, with a question mark for each lone surrogate, and what it means."""
    predict = _tagged if task.decoder == "tags" else _prediction
    return [
        predict(system, task, example, replace_surrogates(answer)) for example, answer in zip(examples, answers, strict=True)
    ]


def _prediction(system: str, task: Task, example: Example, answer: str) -> Prediction:
    parsed = task.parse(answer, example.fields)
    return Prediction(
        id=example.id,
        task=example.task,
        system=system,
        answer=answer,
        parsed=parsed,
        valid=parsed is not None,
        reference=example.reference,
        group=example.group,
    )


def _tagged(system: str, task: Task, example: Example, answer: str) -> Prediction:
    """A prediction of tags with the entities of both sides: those that were recorded, or those of the tags."""
    plain = _prediction(system, task, example, answer)
    words = task.words(example.fields)
    gold = pairs_of(words, plain.reference) if example.pairs is None else example.pairs
    pairs = None if plain.parsed is None else task.recorded_pairs(answer) or pairs_of(words, plain.parsed)
    return plain.model_copy(update={"pairs": pairs, "gold_pairs": gold})


if __name__ == "__main__":
    run(main, distributed=True)

"""predict@S: one system's answers to the test examples of its tasks, into data/predictions/S."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ecomtune import baselines, tasks
from ecomtune.decoding.demonstrations import Shown, demonstrations_for
from ecomtune.errors import UserError
from ecomtune.files import output_folder
from ecomtune.params import Params, model_of
from ecomtune.records import Example, Prediction, Reference, read_task, write_records
from ecomtune.runtime import prepare
from ecomtune.sections import System
from ecomtune.stages import pick, run
from ecomtune.tasks.base import Task
from ecomtune.text import whole

#: A task, its test examples, and the raw answer to each.
Answered = tuple[str, list[Example], list[str]]


def main(params: Params, name: str) -> None:
    system = pick(params.systems, name, "systems")
    ways = {"baseline": _answer_baseline, "endpoint": _answer_endpoint, "recorded": _answer_recorded}
    answer = ways.get(system.kind, _answer_prompts)
    with output_folder(Path("data/predictions") / name) as folder:
        for key, examples, answers in answer(params, name, system):
            write_records(folder / f"{key}.jsonl", _predictions(name, tasks.load(key), examples, answers))


def _answer_baseline(params: Params, name: str, system: System) -> Iterator[Answered]:
    """The tasks of a system of baselines, a model each."""
    for key in system.tasks:
        model = Path(model_of(system, key, params))
        settings = next(each for each in params.baselines.values() if Path("models/baselines") / each.out == model)
        examples = _test_rows(key)
        yield key, examples, baselines.answer(settings, tasks.load(key), model, examples, params.train.shared.threads)


def _answer_recorded(params: Params, name: str, system: System) -> Iterator[Answered]:
    """The answers that the examples hold under the system's name; an example without one is answered by nothing."""
    (key,) = system.tasks
    task, examples = tasks.load(key), _test_rows(key)
    missing = sum(name not in example.answers for example in examples)
    if missing == len(examples):
        known = ", ".join(sorted({other for example in examples for other in example.answers})) or "none"
        raise UserError(
            f"systems.{name}: data set {params.tasks[key].dataset} has no answers of that name for the test rows of {key} "
            f"(there: {known}); rename the system, or name a column for answer_{name} if it is a table"
        )
    if missing:
        print(f"{name}: {missing} of {len(examples)} test rows have no answer, and count as wrong")
    yield key, examples, [_in_words(task, example, example.answers.get(name, "")) for example in examples]


def _in_words(task: Task, example: Example, meaning: Reference) -> str:
    """An answer as raw text: in the target's form where it has a meaning."""
    try:
        return task.target(example.fields, meaning)
    except ValueError:
        return meaning if isinstance(meaning, str) else " ".join(meaning)


def _answer_prompts(params: Params, name: str, system: System) -> Iterator[Answered]:
    """The tasks of a system of one causal model, or of an adapter each."""
    prepare(params.train.shared.threads)
    from ecomtune.decoding.answering import Weights, answer_task, fitted

    weights = None
    for key in system.tasks:
        task, settings, examples = tasks.load(key), params.tasks[key], _test_rows(key)
        model = Path(model_of(system, key, params))
        if weights is None or model not in (weights.base, weights.adapter):
            weights = Weights.of_adapter(model) if system.kind == "adapter" else Weights(model)
        shown = fitted(task, settings, examples, _shown(params, system, key, examples), weights)
        yield key, examples, answer_task(task, settings, examples, _prompts(params, key, examples, shown), weights, shown)


def _answer_endpoint(params: Params, name: str, system: System) -> Iterator[Answered]:
    """The tasks of a model behind an endpoint, which says itself where a prompt is too long for it."""
    if system.encoder is not None:
        prepare(params.train.shared.threads)
    from ecomtune.chat_api.answering import answer_prompts

    assert system.endpoint is not None  # its kind needs one
    for key in system.tasks:
        examples = _test_rows(key)
        prompts = _prompts(params, key, examples, _shown(params, system, key, examples))
        yield key, examples, answer_prompts(name, key, system.endpoint, prompts, params.tasks[key].max_new_tokens)


def _test_rows(task: str) -> list[Example]:
    return read_task(Path("data/examples") / task / "test.jsonl", Example, task)


def demonstrations_of(params: Params, system: System, task: str, rows: Sequence[Example]) -> list[list[Example]]:
    """The training examples that the system's prompt of each row shows."""
    if not system.shots:
        return [[] for _ in rows]
    train = read_task(Path("data/examples") / task / "train.jsonl", Example, task)
    return demonstrations_for(rows, train, tasks.load(task), system, params.seed)


def _shown(params: Params, system: System, task: str, rows: Sequence[Example]) -> list[Shown]:
    demonstrations = demonstrations_of(params, system, task, rows)
    return [[(example.fields, example.target) for example in each] for each in demonstrations]


def _prompts(params: Params, task: str, rows: Sequence[Example], shown: Sequence[Shown]) -> list[str]:
    form, ask = params.tasks[task].prompt, tasks.load(task).prompt
    return [ask(row.fields, form, each) for row, each in zip(rows, shown, strict=True)]


def _predictions(system: str, task: Task, examples: Sequence[Example], answers: Sequence[str]) -> list[Prediction]:
    """The parsed answer to each example; half a character (a lone surrogate) in an answer becomes a question mark."""
    answers = [whole(answer) for answer in answers]
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
    run(main)

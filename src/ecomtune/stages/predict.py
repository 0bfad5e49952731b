"""predict@S: one system's answers to the test examples of its tasks, into data/predictions/S."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ecomtune import tasks
from ecomtune.decoding.demonstrations import choose_demonstrations
from ecomtune.files import output_folder
from ecomtune.params import Params, model_of
from ecomtune.records import Example, Prediction, Reference, read_task, write_records
from ecomtune.runtime import prepare
from ecomtune.sections import System
from ecomtune.stages import pick, run
from ecomtune.tasks.base import Task


def main(params: Params, name: str) -> None:
    system = pick(params.systems, name, "systems")
    with output_folder(Path("data/predictions") / name) as folder:
        for key in system.tasks:
            task = tasks.load(key)
            examples = read_task(Path("data/examples") / key / "test.jsonl", Example, key)
            model = Path(model_of(system, key, params))
            if system.kind == "baseline":
                answers = _answer_baseline(params, task, examples, model)
            else:
                answers = _answer_prompt(params, system, task, examples, model)
            write_records(folder / f"{key}.jsonl", _predictions(name, examples, answers))


def _answer_baseline(
    params: Params, task: Task, examples: Sequence[Example], model: Path
) -> list[tuple[str, Reference | None]]:
    settings = next(each for each in params.baselines.values() if Path("models/baselines") / each.out == model)
    if settings.model is not None:
        prepare(params.train.shared.threads)
    from ecomtune import baselines

    return baselines.answer(settings, task, model, examples)


def _answer_prompt(
    params: Params, system: System, task: Task, examples: Sequence[Example], model: Path
) -> list[tuple[str, Reference | None]]:
    prepare(params.train.shared.threads)
    from ecomtune.decoding.answering import answer_task, base_of

    settings = params.tasks[task.name]
    demonstrations = [(example.fields, example.target) for example in demonstrations_of(system, task.name)]
    prompts = [task.prompt(example.fields, settings.prompt, demonstrations) for example in examples]
    base, adapter = (base_of(model), model) if system.kind == "adapter" else (model, None)
    answers = answer_task(task, settings, examples, prompts, base, adapter, demonstrations)
    return [(answer, task.parse(answer, example.fields)) for answer, example in zip(answers, examples, strict=True)]


def demonstrations_of(system: System, task: str) -> list[Example]:
    """The training examples that the system's prompts show."""
    if not system.shots:
        return []
    return choose_demonstrations(read_task(Path("data/examples") / task / "train.jsonl", Example, task), system.shots)


def _predictions(system: str, examples: Sequence[Example], answers: Sequence[tuple[str, Reference | None]]) -> list[Prediction]:
    return [
        Prediction(
            id=example.id,
            task=example.task,
            system=system,
            answer=answer,
            parsed=parsed,
            valid=parsed is not None,
            reference=example.reference,
            group=example.group,
        )
        for example, (answer, parsed) in zip(examples, answers, strict=True)
    ]


if __name__ == "__main__":
    run(main)

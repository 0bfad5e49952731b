"""How the systems of params.yaml that have a model answer examples: by prompts, adapters or baselines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ecomtune import baselines, tasks
from ecomtune.decoding.demonstrations import choose_demonstrations
from ecomtune.params import Params, model_of
from ecomtune.records import Example, read_task
from ecomtune.runtime import prepare
from ecomtune.sections import System

#: A task, its examples, and the raw answer to each.
Answered = tuple[str, list[Example], list[str]]
#: The examples to answer, by task.
Rows = Mapping[str, list[Example]]


def answer(params: Params, name: str, rows: Rows) -> Iterator[Answered]:
    """What system ``name``, of a kind of WAYS, answers to the examples of each task of ``rows``.

    Raises UserError where its model, or what its prompts show, is missing or broken.
    """
    return WAYS[params.systems[name].kind](params, name, rows)


def _answer_baseline(params: Params, name: str, rows: Rows) -> Iterator[Answered]:
    """The tasks of a system of baselines, a model each."""
    for key, examples in rows.items():
        model = Path(model_of(params.systems[name], key, params))
        settings = next(each for each in params.baselines.values() if Path("models/baselines") / each.out == model)
        yield key, examples, baselines.answer(settings, tasks.load(key), model, examples, params.train.shared.threads)


def _answer_prompts(params: Params, name: str, rows: Rows) -> Iterator[Answered]:
    """The tasks of a system of one causal model, or of an adapter each."""
    prepare(params.train.shared.threads)
    from ecomtune.decoding.answering import Weights, answer_task

    system = params.systems[name]
    weights = None
    for key, examples in rows.items():
        task, settings = tasks.load(key), params.tasks[key]
        model = Path(model_of(system, key, params))
        if weights is None or model not in (weights.base, weights.adapter):
            weights = Weights.of_adapter(model) if system.kind == "adapter" else Weights(model)
        demonstrations = [(example.fields, example.target) for example in demonstrations_of(system, key)]
        prompts = [task.prompt(example.fields, settings.prompt, demonstrations) for example in examples]
        yield key, examples, answer_task(task, settings, examples, prompts, weights, demonstrations)


def demonstrations_of(system: System, task: str) -> list[Example]:
    """The training examples that the system's prompts show."""
    if not system.shots:
        return []
    return choose_demonstrations(read_task(Path("data/examples") / task / "train.jsonl", Example, task), system.shots)


#: How each kind of system that has a model answers.
WAYS = {"adapter": _answer_prompts, "baseline": _answer_baseline, "prompt": _answer_prompts}

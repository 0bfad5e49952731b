"""How the systems of params.yaml that have a model answer examples: by prompts, adapters, baselines or an endpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ecomtune.core.config import System
from ecomtune.core.config.params import Params, baseline_of, model_folder
from ecomtune.core.paths import examples_file
from ecomtune.core.records import Example, read_task
from ecomtune.inference.answer_costs import Answered, count_tokens
from ecomtune.inference.baseline_answers import answer_baseline
from ecomtune.inference.decoding.demonstrations import demonstrations_for, prompt_text
from ecomtune.models.process import prepare
from ecomtune.tasks.base import Task

#: Tasks, and the examples of each to answer, by the task's key.
Tasks = Mapping[str, Task]
Rows = Mapping[str, list[Example]]


def answer_with_model(params: Params, name: str, tasks: Tasks, rows: Rows) -> Iterator[Answered]:
    """The answers of system ``name``, whose kind is in ANSWER_BY_KIND, to the examples of each task of ``rows``.

    Raises UserError where its model, or the data of its demonstrations, is missing or broken.
    """
    return ANSWER_BY_KIND[params.systems[name].kind](params, name, tasks, rows)


def _answer_baseline(params: Params, name: str, tasks: Tasks, rows: Rows) -> Iterator[Answered]:
    """The tasks of a system of baselines, one model each; a causal one is prompted as an adapter is."""
    for key, examples in rows.items():
        model = Path(model_folder(params.systems[name], key, params))
        settings = baseline_of(params.systems[name], key, params)
        if settings.family == "causal":
            yield from _answer_prompts(params, name, tasks, {key: examples})
            continue
        answers, tokens = answer_baseline(settings, tasks[key], model, examples, params.train.shared.threads)
        yield Answered(key, examples, answers, tokens)


def _answer_prompts(params: Params, name: str, tasks: Tasks, rows: Rows) -> Iterator[Answered]:
    """The tasks of a system of one causal model, or of one adapter for each task."""
    prepare(params.train.shared.threads)
    from ecomtune.inference.decoding.local_answers import answer_task
    from ecomtune.inference.decoding.local_model import LocalModel
    from ecomtune.inference.decoding.prompts import PromptedTask

    system, model = params.systems[name], None
    for key, examples in rows.items():
        folder = Path(model_folder(system, key, params))
        if model is None or folder not in (model.base, model.adapter):
            model = LocalModel.of_adapter(folder) if system.kind == "adapter" else LocalModel(folder)
        asked = PromptedTask(tasks[key], params.tasks[key], model)
        prompts = asked.prompts(examples, demonstrations_of(params, system, tasks[key], examples))
        answers = answer_task(asked, examples, prompts)
        tokens = count_tokens(model.tokenizer, (prompt.ids for prompt in prompts), answers)
        yield Answered(key, examples, answers, tokens)


def _answer_endpoint(params: Params, name: str, tasks: Tasks, rows: Rows) -> Iterator[Answered]:
    """The tasks of a model behind an endpoint, which itself reports a prompt that is too long for it."""
    system = params.systems[name]
    if system.encoder is not None:
        prepare(params.train.shared.threads)
    from ecomtune.inference.chat_api.endpoint_answers import answer_prompts

    assert system.endpoint is not None  # its kind requires one
    for key, examples in rows.items():
        task, settings = tasks[key], params.tasks[key]
        pairs = zip(examples, demonstrations_of(params, system, tasks[key], examples), strict=True)
        prompts = [prompt_text(task, settings.prompt, example.fields, shown) for example, shown in pairs]
        answers, tokens = answer_prompts(name, key, system.endpoint, prompts, settings.max_new_tokens)
        yield Answered(key, examples, answers, tokens)


def demonstrations_of(params: Params, system: System, task: Task, rows: Sequence[Example]) -> list[list[Example]]:
    """The training examples that the system's prompt of each row shows."""
    if not system.shots:
        return [[] for _ in rows]
    train = read_task(examples_file(task.name, "train"), Example, task.name)
    return demonstrations_for(rows, train, task, system, params.seed)


#: How a system of each kind that has a model answers.
ANSWER_BY_KIND = {
    "adapter": _answer_prompts,
    "baseline": _answer_baseline,
    "endpoint": _answer_endpoint,
    "prompt": _answer_prompts,
}

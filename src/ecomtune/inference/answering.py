"""How the systems of params.yaml that have a model answer examples: by prompts, adapters, baselines or an endpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ecomtune.core.config import System
from ecomtune.core.config.params import Params, model_folder
from ecomtune.core.paths import BASELINES, examples_file
from ecomtune.core.records import Example, read_task
from ecomtune.inference.answer_costs import Answered, count_tokens
from ecomtune.inference.baseline_answers import answer_baseline
from ecomtune.inference.decoding.demonstrations import Shown, demonstrations_for
from ecomtune.models.process import prepare
from ecomtune.tasks.registry import load_task

#: The examples to answer, by task.
Rows = Mapping[str, list[Example]]


def answer(params: Params, name: str, rows: Rows) -> Iterator[Answered]:
    """What system ``name``, of a kind of WAYS, answers to the examples of each task of ``rows``.

    Raises UserError where its model, or what its prompts show, is missing or broken.
    """
    return WAYS[params.systems[name].kind](params, name, rows)


def _answer_baseline(params: Params, name: str, rows: Rows) -> Iterator[Answered]:
    """The tasks of a system of baselines, a model each; a causal one is asked as LoRA's are, by the same prompts."""
    for key, examples in rows.items():
        model = Path(model_folder(params.systems[name], key, params))
        settings = next(each for each in params.baselines.values() if BASELINES / each.out == model)
        if settings.family == "causal":
            yield from _answer_prompts(params, name, {key: examples})
            continue
        answers, tokens = answer_baseline(settings, load_task(key), model, examples, params.train.shared.threads)
        yield Answered(key, examples, answers, tokens)


def _answer_prompts(params: Params, name: str, rows: Rows) -> Iterator[Answered]:
    """The tasks of a system of one causal model, or of an adapter each."""
    prepare(params.train.shared.threads)
    from ecomtune.inference.decoding.local_answers import Weights, answer_task, fitted

    system, weights = params.systems[name], None
    for key, examples in rows.items():
        task, settings = load_task(key), params.tasks[key]
        model = Path(model_folder(system, key, params))
        if weights is None or model not in (weights.base, weights.adapter):
            weights = Weights.of_adapter(model) if system.kind == "adapter" else Weights(model)
        shown = fitted(task, settings, examples, _shown(params, system, key, examples), weights)
        prompts = _prompts(params, key, examples, shown)
        answers = answer_task(task, settings, examples, prompts, weights, shown)
        yield Answered(key, examples, answers, count_tokens(weights.tokenizer, prompts, answers))


def _answer_endpoint(params: Params, name: str, rows: Rows) -> Iterator[Answered]:
    """The tasks of a model behind an endpoint, which says itself where a prompt is too long for it."""
    system = params.systems[name]
    if system.encoder is not None:
        prepare(params.train.shared.threads)
    from ecomtune.inference.chat_api.endpoint_answers import answer_prompts

    assert system.endpoint is not None  # its kind needs one
    for key, examples in rows.items():
        prompts = _prompts(params, key, examples, _shown(params, system, key, examples))
        answers, tokens = answer_prompts(name, key, system.endpoint, prompts, params.tasks[key].max_new_tokens)
        yield Answered(key, examples, answers, tokens)


def demonstrations_of(params: Params, system: System, task: str, rows: Sequence[Example]) -> list[list[Example]]:
    """The training examples that the system's prompt of each row shows."""
    if not system.shots:
        return [[] for _ in rows]
    train = read_task(examples_file(task, "train"), Example, task)
    return demonstrations_for(rows, train, load_task(task), system, params.seed)


def _shown(params: Params, system: System, task: str, rows: Sequence[Example]) -> list[Shown]:
    demonstrations = demonstrations_of(params, system, task, rows)
    return [[(example.fields, example.target) for example in each] for each in demonstrations]


def _prompts(params: Params, task: str, rows: Sequence[Example], shown: Sequence[Shown]) -> list[str]:
    form, ask = params.tasks[task].prompt, load_task(task).prompt
    return [ask(row.fields, form, each) for row, each in zip(rows, shown, strict=True)]


#: How each kind of system that has a model answers.
WAYS = {"adapter": _answer_prompts, "baseline": _answer_baseline, "endpoint": _answer_endpoint, "prompt": _answer_prompts}

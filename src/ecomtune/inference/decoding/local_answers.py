"""How a causal model, with or without an adapter, answers a task's examples."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import torch
from rich.progress import Progress

from ecomtune.core.code import code_hashes
from ecomtune.core.records import Example
from ecomtune.inference.decoding.demonstrations import prompt_text
from ecomtune.inference.decoding.labels import answer_likeliest
from ecomtune.inference.decoding.local_model import device
from ecomtune.inference.decoding.processes import from_main, join
from ecomtune.inference.decoding.prompts import Prompt, PromptedTask
from ecomtune.inference.decoding.session import TokenIds
from ecomtune.inference.decoding.strategies import Decoder, answer_labels, answer_tags, answer_texts
from ecomtune.inference.prediction_cache import lookup, store
from ecomtune.models.process import is_main_process, world_size
from ecomtune.models.tokenization import encode_prompt


def answer_task(asked: PromptedTask, examples: Sequence[Example], prompts: Sequence[Prompt]) -> list[str]:
    """The raw answer to each example's prompt, from the prediction cache where it has them.

    Several processes answer together, each a share of the batches; every process gets all answers, and the main one stores
    them.
    """
    without_content = _without_content(asked, prompts)
    join()
    key = _cache_key(asked, examples, [*(prompt.text for prompt in prompts), *without_content])
    if (known := from_main(lambda: lookup(key, len(prompts)))) is not None:
        return known
    with Progress(disable=not is_main_process()) as bar:
        rows = bar.add_task(asked.task.name, total=-(-len(prompts) // world_size()))
        model, batch_size = asked.model, asked.settings.batch_size
        decoder = Decoder(model.weights, model.tokenizer, batch_size, lambda done: bar.advance(rows, done))
        answers = _decode(decoder, asked, examples, [prompt.ids for prompt in prompts], without_content)
    return store(key, answers) if is_main_process() else answers


def _without_content(asked: PromptedTask, prompts: Sequence[Prompt]) -> list[str]:
    """Each prompt with N/A for the row's inputs, where labels are calibrated by it; otherwise none."""
    task, settings = asked.task, asked.settings
    if settings.decoding != "constrained" or task.decoder != "label" or settings.labels != "calibrated":
        return []
    nothing = dict.fromkeys(task.required_fields, "N/A")
    return [prompt_text(task, settings.prompt, nothing, prompt.demonstrations) for prompt in prompts]


def _decode(
    decoder: Decoder,
    asked: PromptedTask,
    examples: Sequence[Example],
    prompts: Sequence[TokenIds],
    without_content: Sequence[str],
) -> list[str]:
    """The answers by the task's own way of decoding."""
    task, settings = asked.task, asked.settings
    if settings.decoding == "constrained" and task.decoder == "label":
        if settings.labels == "greedy":
            return answer_labels(decoder, prompts, task.labels)
        encoded = {text: encode_prompt(decoder.tokenizer, text) for text in dict.fromkeys(without_content)}
        return answer_likeliest(decoder, prompts, task.labels, settings.labels, [encoded[text] for text in without_content])
    if settings.decoding == "constrained" and task.decoder == "tags":
        queries = [task.words(example.fields) for example in examples]
        tags = answer_tags(decoder, prompts, queries, task.answer_choices)
        return ["\n".join(f"{word} {tag}" for word, tag in zip(*pair, strict=True)) for pair in zip(queries, tags, strict=True)]
    return answer_texts(decoder, prompts, settings.max_new_tokens, settings.temperature, settings.seed)


def _cache_key(asked: PromptedTask, examples: Sequence[Example], prompts: Sequence[str]) -> dict[str, Any]:
    """All that determines the answers: weights, prompts, the words that get tags, decoding, code, and the batches, which
    can change last digits."""
    settings = asked.settings
    return {
        **asked.model.hashes,
        "batch_size": settings.batch_size,
        "code": code_hashes("predict"),
        "device": [str(part) for part in device()],
        "fields": [dict(example.fields) for example in examples],
        "libraries": [version(name) for name in ("peft", "tokenizers", "torch", "transformers")],
        "prompts": list(prompts),
        "settings": settings.model_dump(include={"decoding", "labels", "max_new_tokens", "seed", "temperature"}),
        "definition": asked.task.definition.model_dump(),
        "task": asked.task.name,
        "threads": torch.get_num_threads(),
    }

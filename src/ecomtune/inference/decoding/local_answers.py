"""How a causal model, with or without an adapter, answers a task's test examples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from ecomtune.core.code import code_hashes
from ecomtune.core.config import TaskSettings
from ecomtune.core.files import sha256_folder
from ecomtune.core.metadata import base_model_folder
from ecomtune.core.records import Example
from ecomtune.inference.decoding import row_attention
from ecomtune.inference.decoding.demonstrations import Shown
from ecomtune.inference.decoding.labels import answer_likeliest
from ecomtune.inference.decoding.processes import join, of_main
from ecomtune.inference.decoding.strategies import answer_labels, answer_tags, answer_texts
from ecomtune.inference.prediction_cache import keep, recall
from ecomtune.messages.errors import UserError, reading
from ecomtune.models.loading import load_whole
from ecomtune.models.process import is_main_process, world_size
from ecomtune.models.tokenization import Tokenizer, context_of, encode_prompt, encode_text
from ecomtune.tasks.base import Task, texts_of


def device() -> tuple[str, torch.dtype]:
    """Where answers are computed, and in which numbers: bf16 on a GPU, else fp32, since CPUs are slow in bf16."""
    return ("cuda", torch.bfloat16) if torch.cuda.is_available() else ("cpu", torch.float32)


class Weights:
    """A pretrained folder, and maybe an adapter on it: hashed and loaded when first needed, and then kept."""

    def __init__(self, base: Path, adapter: Path | None = None) -> None:
        self.base = base
        self.adapter = adapter

    @classmethod
    def of_adapter(cls, adapter: Path) -> Weights:
        """An adapter with the base that it names. Raises UserError where that is gone."""
        return cls(base_model_folder(adapter), adapter)

    @cached_property
    def hashes(self) -> dict[str, str | None]:
        """The sha256 of both folders."""
        return {"adapter": sha256_folder(self.adapter) if self.adapter else None, "base": sha256_folder(self.base)}

    @cached_property
    def model(self) -> Any:
        """See :func:`load_model`."""
        return load_model(self.base, self.adapter)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the base. Raises UserError where it is broken."""
        with reading(self.base):
            return AutoTokenizer.from_pretrained(self.base)

    @cached_property
    def context(self) -> int:
        """The number of tokens that a prompt and its answer may have, see :func:`ecomtune.encoding.context_of`."""
        with reading(self.base):
            return context_of(AutoConfig.from_pretrained(self.base))


def load_model(base: Path, adapter: Path | None) -> Any:
    """The causal model of ``base``, an adapter added into its weights (exact, and faster than beside them).

    Raises UserError where either is broken, or the adapter isn't whole: PEFT itself takes what it finds.
    """
    place, numbers = device()
    model = load_whole(AutoModelForCausalLM, base, dtype=torch.float32, attn_implementation=row_attention.NAME)
    if adapter is None:
        return model.to(place, numbers).eval()
    from peft import PeftModel, get_peft_model_state_dict
    from peft.utils import SAFETENSORS_WEIGHTS_NAME

    with reading(adapter):
        tuned = PeftModel.from_pretrained(model, adapter)
        with safe_open(adapter / SAFETENSORS_WEIGHTS_NAME, framework="pt") as weights:
            found = set(weights.keys())
        taken = get_peft_model_state_dict(tuned)
        if found != set(taken):
            raise ValueError(f"it lacks, or adds, {min(found ^ set(taken))}")
        if not all(tensor.isfinite().all() for tensor in taken.values()):
            raise ValueError("its weights are not finite numbers: its training has diverged")
        return tuned.merge_and_unload().to(place, numbers).eval()  # merged in fp32, so that bf16 rounds the sum only


def answer_task(
    task: Task,
    settings: TaskSettings,
    examples: Sequence[Example],
    prompts: Sequence[str],
    weights: Weights,
    shown: Sequence[Shown] = (),
) -> list[str]:
    """Raw answers, from scratch where the same weights have answered the same prompts by the same code before.

    Several processes answer together, a part of the batches each; every one of them gets all answers, and the first keeps them.
    ``shown`` are the demonstrations that each prompt holds already, if any do: calibrated labels need them once more.
    """
    nothing = dict.fromkeys(task.required_fields, "N/A")
    empty = [task.prompt(nothing, settings.prompt, each) for each in shown or [()] * len(prompts)]

    join()
    decides = _decides(task, settings, examples, [*prompts, *empty], weights)

    def answer() -> list[str]:
        model, tokenizer = weights.model, weights.tokenizer
        _check_context(weights, task, settings, examples, prompts)
        with Progress(disable=not is_main_process()) as bar:
            rows = bar.add_task(task.name, total=-(-len(prompts) // world_size()))
            return _decode(model, tokenizer, task, settings, examples, prompts, empty, lambda done: bar.advance(rows, done))

    if (known := of_main(lambda: recall(decides, len(prompts)))) is not None:
        return known
    answers = answer()
    return keep(decides, answers) if is_main_process() else answers


def fitted(
    task: Task, settings: TaskSettings, examples: Sequence[Example], shown: Sequence[Shown], weights: Weights
) -> list[Shown]:
    """The demonstrations of each example, less the first ones where prompt and answer would be longer than the context.

    The first ones stand farthest from the question. Says how many examples show fewer than were meant for them; raises
    UserError naming the first one that has no room for any.
    """

    def needed(example: Example, each: Shown) -> int:
        return _tokens(weights, task, settings, example, task.prompt(example.fields, settings.prompt, each))

    fitting: list[Shown] = []
    for example, each in zip(examples, shown, strict=True):
        kept = each
        while kept and needed(example, kept) > weights.context:
            kept = kept[1:]
        if each and not kept:
            raise UserError(
                f"example {example.id}: with one demonstration its prompt and answer need up to {needed(example, each[-1:])} "
                f"tokens, the model's context has {weights.context}; lower tasks.{task.name}.max_new_tokens, set the system's "
                "shots to 0, or take the row out of the data set"
            )
        fitting.append(kept)
    cut = sum(len(kept) < len(each) for kept, each in zip(fitting, shown, strict=True))
    if cut and is_main_process():
        print(
            f"{task.name}: {cut} of {len(examples)} test rows show fewer demonstrations than the system's shots: no more fit "
            f"the model's context of {weights.context} tokens"
        )
    return fitting


def _check_context(
    weights: Weights, task: Task, settings: TaskSettings, examples: Sequence[Example], prompts: Sequence[str]
) -> None:
    """Raises UserError naming the first example whose prompt and answer don't fit the model's context; nothing is cut."""
    for example, prompt in zip(examples, prompts, strict=True):
        needed = _tokens(weights, task, settings, example, prompt)
        if needed > weights.context:
            raise UserError(
                f"example {example.id}: its prompt and answer need up to {needed} tokens, the model's context has "
                f"{weights.context}; lower tasks.{example.task}.max_new_tokens or the system's shots, or take the row out of "
                "the data set"
            )


def _tokens(weights: Weights, task: Task, settings: TaskSettings, example: Example, prompt: str) -> int:
    """The most tokens that a prompt and its answer may have.

    Constrained tags are as long as their words make them, whatever max_new_tokens says; another tag may have more tokens
    than the right one, hence twice the target's.
    """
    answer = settings.max_new_tokens
    if settings.decoding == "constrained" and task.decoder == "tags":
        answer = max(answer, 2 * len(encode_text(weights.tokenizer, example.target)))
    return len(encode_prompt(weights.tokenizer, prompt)) + answer


def _decode(
    model: Any,
    tokenizer: Any,
    task: Task,
    settings: TaskSettings,
    examples: Sequence[Example],
    prompts: Sequence[str],
    empty: Sequence[str],
    progress: Any,
) -> list[str]:
    """Answers by the task's own decoder; ``empty`` are its prompts without content."""
    if settings.decoding == "constrained" and task.decoder == "label":
        if settings.labels == "greedy":
            return answer_labels(model, tokenizer, prompts, task.labels, settings.batch_size, progress)
        return answer_likeliest(model, tokenizer, prompts, task.labels, settings.batch_size, progress, settings.labels, empty)
    if settings.decoding == "constrained" and task.decoder == "tags":
        queries = [texts_of(example.fields, "words") for example in examples]
        tags = answer_tags(model, tokenizer, prompts, queries, task.answer_choices, settings.batch_size, progress)
        return ["\n".join(f"{word} {tag}" for word, tag in zip(*pair, strict=True)) for pair in zip(queries, tags, strict=True)]
    return answer_texts(
        model, tokenizer, prompts, settings.max_new_tokens, settings.batch_size, progress, settings.temperature, settings.seed
    )


def _decides(
    task: Task, settings: TaskSettings, examples: Sequence[Example], prompts: Sequence[str], weights: Weights
) -> dict[str, Any]:
    """All that decides the answers: weights, prompts, the words that tags are for, decoding and its code, and the batches,
    which decide last digits."""
    return {
        **weights.hashes,
        "batch_size": settings.batch_size,
        "code": code_hashes("predict"),
        "device": [str(part) for part in device()],
        "fields": [dict(example.fields) for example in examples],
        "libraries": [version(name) for name in ("peft", "tokenizers", "torch", "transformers")],
        "prompts": list(prompts),
        "settings": settings.model_dump(include={"decoding", "labels", "max_new_tokens", "seed", "temperature"}),
        "task": task.name,
        "threads": torch.get_num_threads(),
    }

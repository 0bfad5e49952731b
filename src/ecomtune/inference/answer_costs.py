"""What a system's answers to a task cost, in figures that are the same on every machine: weights and tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecomtune.core.metadata import base_model_folder, read_training_totals
from ecomtune.core.paths import ADAPTER_CONFIG
from ecomtune.core.records import Example
from ecomtune.models.tensors import tensor_sizes
from ecomtune.models.tokenization import Tokenizer, encode_prompt, encode_text

#: Tokens that a system read and wrote for all rows of a task; None where nobody counted them.
Tokens = tuple[int, int] | None


@dataclass(frozen=True)
class Answered:
    """A task, its examples, the raw answer to each, and the tokens that all of them took."""

    task: str
    examples: list[Example]
    answers: list[str]
    tokens: Tokens = None


def count_tokens(tokenizer: Tokenizer, prompts: Sequence[str], answers: Sequence[str]) -> Tokens:
    """Tokens of whole prompts and of answers: what each answer takes alone, however much of a prefix the batch shares."""
    read = sum(len(encode_prompt(tokenizer, prompt)) for prompt in prompts)
    return read, sum(len(encode_text(tokenizer, answer)) for answer in answers)


def count_weights(folder: Path) -> int:
    """The numbers in all safetensors files of a model's folder, 0 where it has none. Raises UserError for a broken one."""
    return sum(tensor_sizes(folder))


def costs_of(model: Path | None, answered: Answered) -> dict[str, Any]:
    """What is known of the costs of a task's answers by the model in a folder (None: a model elsewhere, or people).

    ``parameters``: weights that an answer runs through; an adapter adds none, since it is added into its base's.
    ``trained_parameters``, ``trained_tokens``: the weights that were trained, and the tokens they saw in all epochs; of a
    merge the sums over its parts. ``input_tokens``, ``output_tokens``: the mean of a row.
    """
    costs: dict[str, Any] = {}
    if model is not None:
        computing = base_model_folder(model) if (model / ADAPTER_CONFIG).is_file() else model
        costs |= {"parameters": count_weights(computing), **_learnt(model)}
    if answered.tokens is not None:
        read, written = (round(tokens / len(answered.examples), 1) for tokens in answered.tokens)
        costs |= {"input_tokens": read, "output_tokens": written}
    return costs


def _learnt(model: Path) -> dict[str, int]:
    """What training noted beside the weights, or merging of its parts; nothing is learnt of weights taken as they are."""
    if model.parent.name == "pretrained":
        return {"trained_parameters": 0, "trained_tokens": 0}
    noted = read_training_totals(model)
    return {"trained_parameters": noted.trained_parameters, "trained_tokens": noted.tokens} if noted else {}

"""What a system's answers to a task cost, in figures that are the same on every machine: weights and tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecomtune.core.metadata import base_model_folder, read_training_totals
from ecomtune.core.paths import ADAPTER_CONFIG, PRETRAINED
from ecomtune.core.records import Example
from ecomtune.models.tensors import tensor_sizes
from ecomtune.models.tokenization import Tokenizer, encode_text

#: Tokens that a system read and wrote for all rows of a task; None where they were not counted.
TokenCounts = tuple[int, int] | None


@dataclass(frozen=True)
class Answered:
    """A task, its examples, the raw answer to each, and the tokens read and written for all of them."""

    task: str
    examples: list[Example]
    answers: list[str]
    tokens: TokenCounts = None


def count_tokens(tokenizer: Tokenizer, prompts: Iterable[Sequence[int]], answers: Iterable[str]) -> tuple[int, int]:
    """Tokens of complete prompts and of answers: what each answer takes alone, however much of a prefix its batch shares."""
    return sum(map(len, prompts)), sum(len(encode_text(tokenizer, answer)) for answer in answers)


def count_weights(folder: Path) -> int:
    """The number of weights in all safetensors files of a model's folder, 0 without any. Raises UserError for a broken file."""
    return sum(tensor_sizes(folder))


def costs_of(model: Path | None, answered: Answered) -> dict[str, Any]:
    """The known costs of a task's answers by the model in a folder (None: a model elsewhere, or people).

    ``parameters``: the weights that compute an answer; an adapter adds none, since it is merged into its base model.
    ``trained_parameters``, ``trained_tokens``: the weights that were trained, and the tokens they saw in all epochs; for a
    merge, the sums over its parts. ``input_tokens``, ``output_tokens``: means over the rows.
    """
    costs: dict[str, Any] = {}
    if model is not None:
        computing = base_model_folder(model) if (model / ADAPTER_CONFIG).is_file() else model
        costs |= {"parameters": count_weights(computing), **_training_totals(model)}
    if answered.tokens is not None:
        read, written = (round(tokens / len(answered.examples), 1) for tokens in answered.tokens)
        costs |= {"input_tokens": read, "output_tokens": written}
    return costs


def _training_totals(model: Path) -> dict[str, int]:
    """The totals that training, or merging, recorded next to the weights; zeros for pretrained weights used unchanged."""
    if model.parent.name == PRETRAINED.name:
        return {"trained_parameters": 0, "trained_tokens": 0}
    totals = read_training_totals(model)
    return {"trained_parameters": totals.trained_parameters, "trained_tokens": totals.tokens} if totals else {}

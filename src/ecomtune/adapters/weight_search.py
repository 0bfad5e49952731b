"""Merge weights searched on validation rows: those with the lowest loss on a grid of weights with the same sum."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, set_peft_model_state_dict
from transformers import AutoTokenizer

from ecomtune.adapters.factors import Adapter, peft_tensors
from ecomtune.core.adapter_files import PEFT_PREFIX
from ecomtune.core.config import Recipe, Training
from ecomtune.core.paths import examples_file
from ecomtune.core.records import Example, read_task
from ecomtune.lora.batches import SharedPrefixCollator, plan_batches
from ecomtune.lora.model import load_base
from ecomtune.lora.shared_prefix import SharedPrefixLora
from ecomtune.lora.validation import validation_losses
from ecomtune.messages.errors import UserError, reading
from ecomtune.models.tokenization import encode_example

Weights = dict[str, float]


def search_weights(recipe: Recipe, merge: Callable[[Weights], Adapter], base: Path, settings: Training) -> list[dict[str, Any]]:
    """All weights of the grid that ``recipe.search`` describes, with their losses on its tasks' validation rows; see
    :func:`rank_by_loss`."""
    assert recipe.search is not None
    rows = [
        row
        for task in recipe.search.tasks
        for row in read_task(examples_file(task, "validation"), Example, task, may_be_empty=True)
    ]
    candidates = list(grid(sorted(recipe.weights), sum(recipe.weights.values()), recipe.search.steps))
    return rank_by_loss(candidates, merge, base, rows, settings)


def grid(names: Sequence[str], total: float, steps: int) -> Iterator[Weights]:
    """All weights that are multiples of ``total / steps``, not negative, and sum up to ``total``; in a fixed order."""

    def parts(left: int, places: int) -> Iterator[tuple[int, ...]]:
        if places == 1:
            yield (left,)
            return
        for first in range(left + 1):
            yield from ((first, *rest) for rest in parts(left - first, places - 1))

    for counts in parts(steps, len(names)):
        yield {name: total * count / steps for name, count in zip(names, counts, strict=True)}


def rank_by_loss(
    candidates: Sequence[Weights],
    merge: Callable[[Weights], Adapter],
    base: Path,
    rows: Sequence[Example],
    settings: Training,
) -> list[dict[str, Any]]:
    """Each of ``candidates`` as ``weights`` with its ``loss``, the lowest first; equal losses keep the candidates' order.

    The loss is the mean of the tasks' losses on ``rows``, to 6 places. The base is loaded once, and each merged adapter is
    put into it in turn. Raises UserError where there are no rows, or one is too long.
    """
    if not rows:
        raise UserError("merge weights are searched on validation rows, and there are none; raise validation_size")
    with reading(base):
        tokenizer = AutoTokenizer.from_pretrained(base)
    causal = load_base(base)
    encoded = [encode_example(tokenizer, row, settings.max_length) for row in rows]
    plan = plan_batches(encoded, batch_size=settings.batch_size, token_budget=settings.token_budget, epoch=0, seed=0)
    collate = SharedPrefixCollator(tokenizer.pad_token_id or 0, share=settings.share_prefix)
    batches = [[encoded[row] for row in batch] for batch in plan]
    model: SharedPrefixLora | None = None
    tried: list[dict[str, Any]] = []
    for weights in candidates:
        merged = merge(weights)
        if model is None:
            model = SharedPrefixLora(causal, _lora_config(merged))
        set_peft_model_state_dict(model, {name: torch.from_numpy(tensor) for name, tensor in peft_tensors(merged).items()})
        losses = validation_losses(model, collate, batches)
        tried.append({"loss": round(sum(losses.values()) / len(losses), 6), "weights": weights})
    return sorted(tried, key=lambda each: each["loss"])


def _lora_config(adapter: Adapter) -> LoraConfig:
    """The PEFT config of a merged adapter, whose scale is 1."""
    rank = next(iter(adapter.factors.values())).rank
    modules = [module.removeprefix(PEFT_PREFIX) for module in adapter.factors]
    return LoraConfig(task_type="CAUSAL_LM", r=rank, lora_alpha=rank, target_modules=modules)

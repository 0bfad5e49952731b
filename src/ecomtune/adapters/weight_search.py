"""Merge weights searched on validation rows: those of the lowest loss among all of a grid that have the same sum."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, set_peft_model_state_dict
from transformers import AutoModelForCausalLM, AutoTokenizer

from ecomtune.adapters.factors import Adapter, tensors_of
from ecomtune.core.adapter_files import PEFT_PREFIX
from ecomtune.core.config import Training
from ecomtune.core.records import Example
from ecomtune.lora import prefix_attention
from ecomtune.lora.adapter_training import encode_rows, validation_losses
from ecomtune.lora.batches import SharedPrefixCollator, plan_batches
from ecomtune.lora.shared_prefix import SharedPrefixLora
from ecomtune.messages.errors import UserError, reading
from ecomtune.models.loading import load_whole

Weights = dict[str, float]


def grid(names: Sequence[str], total: float, steps: int) -> Iterator[Weights]:
    """All weights that are multiples of ``total / steps``, none negative, and sum up to ``total``; in a fixed order."""

    def parts(left: int, places: int) -> Iterator[tuple[int, ...]]:
        if places == 1:
            yield (left,)
            return
        for first in range(left + 1):
            yield from ((first, *rest) for rest in parts(left - first, places - 1))

    for counts in parts(steps, len(names)):
        yield {name: total * count / steps for name, count in zip(names, counts, strict=True)}


def search(
    candidates: Sequence[Weights],
    merge: Callable[[Weights], Adapter],
    base: Path,
    rows: Sequence[Example],
    settings: Training,
) -> list[dict[str, Any]]:
    """Each of ``candidates`` as ``weights`` with its ``loss``, the lowest first; of equal ones the first.

    The loss is the mean of the tasks' losses on ``rows``, to 6 places. The base is loaded once, and each merged adapter put
    into it in turn. Raises UserError where there are no rows, or one is too long.
    """
    if not rows:
        raise UserError("merge weights are searched on validation rows, and there are none; raise validation_size")
    with reading(base):
        tokenizer = AutoTokenizer.from_pretrained(base)
    causal = load_whole(AutoModelForCausalLM, base, dtype=torch.float32, attn_implementation=prefix_attention.NAME)
    encoded = encode_rows(tokenizer, rows, settings.max_length)
    plan = plan_batches(encoded, batch_size=settings.batch_size, token_budget=settings.token_budget, epoch=0, seed=0)
    collate = SharedPrefixCollator(tokenizer.pad_token_id or 0, share=settings.share_prefix)
    batches = [[encoded[row] for row in batch] for batch in plan]
    model: SharedPrefixLora | None = None
    tried: list[dict[str, Any]] = []
    for weights in candidates:
        merged = merge(weights)
        if model is None:
            model = SharedPrefixLora(causal, LoraConfig(**_shape(merged)))
        set_peft_model_state_dict(model, {name: torch.from_numpy(tensor) for name, tensor in tensors_of(merged).items()})
        losses = validation_losses(model, collate, batches)
        tried.append({"loss": round(sum(losses.values()) / len(losses), 6), "weights": weights})
    return sorted(tried, key=lambda each: each["loss"])


def _shape(adapter: Adapter) -> dict[str, Any]:
    """What PEFT needs to know of a merged adapter, whose scale is 1."""
    rank = next(iter(adapter.factors.values())).rank
    modules = [module.removeprefix(PEFT_PREFIX) for module in adapter.factors]
    return {"task_type": "CAUSAL_LM", "r": rank, "lora_alpha": rank, "target_modules": modules}

"""A causal model on this machine, with or without an adapter: its files' hashes, its tokenizer, its context, its weights."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from ecomtune.core.files import sha256_folder
from ecomtune.core.metadata import base_model_folder
from ecomtune.core.paths import ADAPTER_WEIGHTS
from ecomtune.inference.decoding import row_attention
from ecomtune.messages.errors import reading
from ecomtune.models.loading import load_model
from ecomtune.models.tokenization import Tokenizer, context_of


class LocalModel:
    """A pretrained folder, and possibly an adapter on it: hashed and loaded when first needed, and kept from then on."""

    def __init__(self, base: Path, adapter: Path | None = None) -> None:
        self.base = base
        self.adapter = adapter

    @classmethod
    def of_adapter(cls, adapter: Path) -> LocalModel:
        """An adapter on the base model that its config names. Raises UserError where that folder is missing."""
        return cls(base_model_folder(adapter), adapter)

    @cached_property
    def hashes(self) -> dict[str, str | None]:
        """The sha256 of both folders."""
        return {"adapter": sha256_folder(self.adapter) if self.adapter else None, "base": sha256_folder(self.base)}

    @cached_property
    def weights(self) -> Any:
        """See :func:`load_causal`."""
        return load_causal(self.base, self.adapter)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the base model. Raises UserError where it is broken."""
        with reading(self.base):
            return AutoTokenizer.from_pretrained(self.base)

    @cached_property
    def context(self) -> int:
        """The most tokens that a prompt and its answer may have, see :func:`ecomtune.models.tokenization.context_of`."""
        with reading(self.base):
            return context_of(AutoConfig.from_pretrained(self.base))


def device() -> tuple[str, torch.dtype]:
    """The device that computes answers, and the data type: bf16 on a GPU, else fp32, since CPUs are slow in bf16."""
    return ("cuda", torch.bfloat16) if torch.cuda.is_available() else ("cpu", torch.float32)


def load_causal(base: Path, adapter: Path | None) -> Any:
    """The causal model of ``base``, with the adapter merged into its weights (exact, and faster than a separate adapter).

    Raises UserError where either is broken, or where the adapter is incomplete: PEFT itself loads whatever it finds.
    """
    place, dtype = device()
    model = load_model(AutoModelForCausalLM, base, dtype=torch.float32, attn_implementation=row_attention.NAME)
    if adapter is None:
        return model.to(place, dtype).eval()
    from peft import PeftModel, get_peft_model_state_dict

    with reading(adapter):
        tuned = PeftModel.from_pretrained(model, adapter)
        with safe_open(adapter / ADAPTER_WEIGHTS, framework="pt") as file:
            stored = set(file.keys())
        loaded = get_peft_model_state_dict(tuned)
        if stored != set(loaded):
            raise ValueError(f"missing or unexpected weights: {min(stored ^ set(loaded))}")
        if not all(tensor.isfinite().all() for tensor in loaded.values()):
            raise ValueError("its weights are not finite numbers: its training has diverged")
        return tuned.merge_and_unload().to(place, dtype).eval()  # merged in fp32, so that bf16 rounds only the sum

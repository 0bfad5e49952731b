"""The model that LoRA trains: a frozen base, optionally in 4 bits, with a fresh adapter on its linear layers."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from torch import nn
from transformers import AutoModelForCausalLM, BitsAndBytesConfig
from transformers.pytorch_utils import Conv1D

from ecomtune.core.config import Training
from ecomtune.lora import prefix_attention
from ecomtune.lora.fused_linear import FusedLoraLinear
from ecomtune.lora.fused_norm import fuse_norms
from ecomtune.lora.shared_prefix import SharedPrefixLora
from ecomtune.messages.errors import UserError
from ecomtune.models.loading import load_model


def lora_model(base: Path, settings: Training) -> SharedPrefixLora:
    """The weights of ``base`` with a fresh adapter on ``settings.target_modules``, or on every linear layer but the head (the
    paper's choice).

    Raises UserError where the weights are missing or broken, lack a named layer, or can't be quantized on this machine.
    """
    quantized = {"quantization_config": four_bit_config()} if settings.quantization == "nf4" else {}
    causal = load_base(base, **quantized)
    known = linear_names(causal)
    if unknown := sorted(set(settings.target_modules) - set(known)):
        advice = f"name some of its linear layers: {', '.join(known)}"
        raise UserError(f"train.shared.target_modules: the base model has no {unknown[0]!r}; {advice}")
    fuse_norms(causal)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        use_rslora=settings.rslora,
        use_dora=settings.dora,
        target_modules=list(settings.target_modules) or "all-linear",
        base_model_name_or_path=base.as_posix(),
    )
    config._register_custom_module({torch.nn.Linear: FusedLoraLinear})
    return SharedPrefixLora(causal, config)


def load_base(base: Path, **options: Any) -> Any:
    """The causal model in ``base`` with fp32 weights and attention that can share a prefix.

    Raises UserError where its weights are missing or broken.
    """
    return load_model(AutoModelForCausalLM, base, dtype=torch.float32, attn_implementation=prefix_attention.NAME, **options)


def linear_names(model: nn.Module) -> list[str]:
    """The names of linear layers within their blocks, such as q_proj, sorted."""
    layers = [name for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)]
    return sorted({name.rpartition(".")[2] for name in layers})


def four_bit_config() -> BitsAndBytesConfig:
    """QLoRA's base weights: 4-bit NormalFloat with double quantization, multiplied in bf16 (arXiv 2305.14314).

    Raises UserError where there is no CUDA GPU or bitsandbytes isn't installed.
    """
    if not torch.cuda.is_available():
        raise UserError("train.shared.quantization: nf4 needs a CUDA GPU, and there is none; set it to none")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UserError("train.shared.quantization: nf4 needs the package bitsandbytes; install it, or set it to none")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )

"""Adapters for tests: random factors, their dense ΔW, and adapters of a pico model that PEFT itself has saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from transformers import AutoModelForCausalLM

from ecomtune.adapters.factors import Adapter, Factors

Dense = NDArray[np.float64]
Deltas = dict[str, Dense]

#: Options of PEFT adapters by name; those that are more than the product of their factors come last.
PEFT_ADAPTERS: dict[str, dict[str, Any]] = {
    "first": {},
    "second": {"lora_alpha": 3},
    "third": {"lora_alpha": 12},
    "wide": {"r": 6, "lora_alpha": 5},
    "rslora": {"use_rslora": True},
    "attention": {"target_modules": ["q_proj", "v_proj"]},
    "one_layer": {"layers_to_transform": [0]},
    "alpha_pattern": {"alpha_pattern": {"q_proj": 16, "layers.1.mlp.up_proj": 3}},
    "rank_pattern": {"rank_pattern": {"q_proj": 2, "layers.0.mlp.down_proj": 7}},
    "patterns": {"use_rslora": True, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 3, ".*_proj": 5}},
    "dora": {"use_dora": True},
    "lora_bias": {"lora_bias": True},
    "whole_head": {"modules_to_save": ["lm_head"]},
}
NOT_PLAIN = ("dora", "lora_bias", "whole_head")
PLAIN_LORA = [name for name in PEFT_ADAPTERS if name not in NOT_PLAIN]


def random_factors(rng: np.random.Generator, out: int, inner: int, rank: int) -> Factors:
    return Factors(rng.standard_normal((rank, inner), dtype=np.float32), rng.standard_normal((out, rank), dtype=np.float32))


def adapter(*factors: Factors, **config: Any) -> Adapter:
    """An adapter of modules layer0, layer1, ..."""
    modules = {f"layer{place}": each for place, each in enumerate(factors)}
    return Adapter(modules, {"base_model_name_or_path": "models/pretrained/pico", **config})


def dense(factors: Factors) -> Dense:
    """ΔW [out, in]."""
    return factors.b.astype(np.float64) @ factors.a.astype(np.float64)


def base_model(pico: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(pico, dtype=torch.float32)


def save_peft_adapters(folder: Path, pico: Path) -> Path:
    """Save PEFT_ADAPTERS of the pico model with random A and B, each in a folder of its name."""
    for seed, (name, options) in enumerate(PEFT_ADAPTERS.items()):
        torch.manual_seed(seed)
        settings = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj", "up_proj", "down_proj"], **options}
        model = get_peft_model(base_model(pico), LoraConfig(task_type="CAUSAL_LM", **settings))
        for key, weight in model.named_parameters():
            if "lora_B" in key and key.endswith("weight"):
                torch.nn.init.normal_(weight, std=0.3)
        model.save_pretrained(folder / name)
    return folder


def peft_deltas(model: Any, name: str = "default") -> Deltas:
    """What PEFT adds to each weight for the adapter ``name``."""
    return {
        key: module.get_delta_weight(name).detach().double().numpy()
        for key, module in model.named_modules()
        if isinstance(module, LoraLayer) and name in module.lora_A
    }


def check_equal(found: Deltas, expected: Deltas, tolerance: float = 1e-6) -> None:
    assert found.keys() == expected.keys()
    assert len(found) > 0
    for name, delta in expected.items():
        assert np.linalg.norm(found[name] - delta) <= tolerance * np.linalg.norm(delta), name

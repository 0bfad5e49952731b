"""Adapters as low-rank factors, read from and written to plain PEFT folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from ecomtune.core.adapter_files import NON_PRODUCT_OPTIONS, PEFT_PREFIX, read_config, write_config
from ecomtune.core.paths import ADAPTER_WEIGHTS
from ecomtune.messages.errors import UserError, reading

Matrix = NDArray[np.float32]
#: No training ends with larger weights, and their products would not be finite.
MAX_WEIGHT = 1e6
_A, _B = ".lora_A.weight", ".lora_B.weight"


@dataclass(frozen=True)
class Factors:
    """What an adapter adds to one weight: ΔW [out, in] = B [out, r] @ A [r, in], its scale split evenly between them."""

    a: Matrix
    b: Matrix

    @property
    def rank(self) -> int:
        return int(self.a.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """[out, in] of ΔW."""
        return int(self.b.shape[0]), int(self.a.shape[1])


@dataclass(frozen=True)
class Adapter:
    """An adapter: its factors by module name, and its PEFT config."""

    factors: dict[str, Factors]
    config: dict[str, Any]


def load_adapter(folder: Path) -> Adapter:
    """Read a plain LoRA adapter. Raises UserError where it is missing, broken or of a kind whose ΔW isn't B @ A."""
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise UserError(f"{folder} holds no {ADAPTER_WEIGHTS}; run the stage that trains it (dvc repro)")
    config = read_config(folder)
    for option in NON_PRODUCT_OPTIONS:
        if config.get(option):
            raise UserError(f"{folder}: an adapter with {option} can't be merged as B @ A; train it without {option}")
    with reading(folder):
        tensors = load_file(folder / ADAPTER_WEIGHTS)
    others = sorted(name for name in tensors if not name.endswith((_A, _B)))
    if others:
        raise UserError(f"{folder}: {others[0]} is not a factor of a linear layer, and a merge would lose it; train without it")
    modules = sorted({name.removesuffix(_A).removesuffix(_B) for name in tensors})
    with reading(folder):
        if not modules:
            raise ValueError("it holds no weights")
        factors = {module: _factors(module, tensors[module + _A], tensors[module + _B], config) for module in modules}
    return Adapter(factors, config)


def _factors(module: str, a: Matrix, b: Matrix, config: dict[str, Any]) -> Factors:
    """Both factors in fp32, each multiplied by the root of the adapter's scale: alpha / r, or alpha / √r with rsLoRA
    (arXiv 2312.03732). Raises ValueError where they don't fit together or aren't finite."""
    alpha, rank = (_option(module, config, *keys) for keys in (("lora_alpha", "alpha_pattern"), ("r", "rank_pattern")))
    if a.ndim != 2 or b.ndim != 2 or b.shape[1] != len(a) or len(a) != (rank or len(a)) or alpha <= 0:
        raise ValueError(f"factors {a.shape} and {b.shape} don't fit rank {rank} and lora_alpha {alpha}")
    if not all(np.isfinite(each).all() and np.abs(each).max(initial=0) <= MAX_WEIGHT for each in (a, b)):
        raise ValueError("its weights are not finite numbers, or larger than any training produces")
    rank = len(a)
    rslora = config.get("use_rslora", False)
    root = np.float32(np.sqrt(alpha / (np.sqrt(rank) if rslora else rank)))
    return Factors(root * a.astype(np.float32), root * b.astype(np.float32))


def _option(module: str, config: dict[str, Any], key: str, pattern: str) -> Any:
    """A module's rank or lora_alpha: its own if a pattern of the config sets one, else that of all modules."""
    value = config.get(key)
    if patterns := config.get(pattern):
        from peft.utils.other import get_pattern_key  # PEFT's own matching; importing it takes seconds

        value = patterns.get(get_pattern_key(patterns, module.removeprefix(PEFT_PREFIX)), value)
    return value


def save_adapter(adapter: Adapter, folder: Path) -> None:
    """Write an adapter whose factors all have the same rank; its scale alpha / r is 1, since the factors include it."""
    ranks = {factors.rank for factors in adapter.factors.values()}
    if len(ranks) != 1:
        raise ValueError(f"the factors of an adapter need the same rank, not {sorted(ranks)}")
    rank = ranks.pop()
    config = {**adapter.config, "r": rank, "lora_alpha": rank, "use_rslora": False, "lora_dropout": 0.0}
    config |= {"rank_pattern": {}, "alpha_pattern": {}}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(peft_tensors(adapter), folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    write_config(config, folder)


def peft_tensors(adapter: Adapter) -> dict[str, Matrix]:
    """The factors by PEFT's names, in sorted order."""
    tensors = {}
    for module, factors in sorted(adapter.factors.items()):
        tensors[module + _A] = np.ascontiguousarray(factors.a)
        tensors[module + _B] = np.ascontiguousarray(factors.b)
    return tensors

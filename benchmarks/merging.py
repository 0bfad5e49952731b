"""Merging side by side: the project's low-rank SVD and peft's SVD of the dense sum, on the same random adapters.

peft gets ``svd_full_matrices=False``, which is faster than its default. Loading isn't measured on either side.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks.harness import Measured, Options, Turns, measure
from benchmarks.results import Comparison, Entry, Target
from ecomtune.adapters.factors import Adapter, Factors, Matrix

ADAPTERS = 4
RANK = 8
WEIGHTS = (0.4, 0.3, 0.2, 0.1)
#: Relative difference of singular values above which the two sides don't count as equal.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Job:
    """Which layers are merged: those of the base, or one square one of ``width``."""

    options: Options
    width: int | None = None

    def shapes(self) -> dict[str, tuple[int, int]]:
        """[out, in] of each layer by name: all linear ones but the head."""
        if self.width:
            return {"layer": (self.width, self.width)}
        from safetensors import safe_open

        with safe_open(self.options.base / "model.safetensors", framework="numpy") as tensors:
            names = [name for name in tensors.keys() if name.endswith("_proj.weight")]  # noqa: SIM118  # not a dict
            return {name.removesuffix(".weight"): tuple(tensors.get_slice(name).get_shape()) for name in sorted(names)}


def random_factors(module: str, shape: tuple[int, int], adapter: int) -> Factors:
    """The same random A and B for both sides."""
    rng = np.random.default_rng([zlib.crc32(module.encode()), adapter])
    out, inner = shape
    a = rng.standard_normal((RANK, inner), dtype=np.float32) / np.float32(np.sqrt(inner))
    return Factors(a, rng.standard_normal((out, RANK), dtype=np.float32))


def ours(turns: Turns, job: Job) -> None:
    """ecomtune.adapters.merging.merge."""
    from ecomtune.adapters.merging import merge

    shapes = job.shapes()
    adapters = [
        Adapter({name: random_factors(name, shape, number) for name, shape in shapes.items()}, {}) for number in range(ADAPTERS)
    ]
    turns.ready({"layers": len(shapes)})
    while turns.begin():
        merged = merge(adapters, WEIGHTS, "svd", RANK)
        turns.end(partial(_of_ours, merged))


def theirs(turns: Turns, job: Job) -> None:
    """peft's add_weighted_adapter."""
    import torch
    from peft import LoraConfig, get_peft_model
    from peft.tuners.lora import LoraLayer
    from transformers import AutoModelForCausalLM

    shapes = job.shapes()
    if job.width:
        base: Any = torch.nn.Sequential()
        base.add_module("layer", torch.nn.Linear(job.width, job.width, bias=False))
    else:
        base = AutoModelForCausalLM.from_pretrained(job.options.base, dtype=torch.float32)
    # the tuners' scale alpha / r is 1, so that B @ A is all that an adapter adds
    config = LoraConfig(r=RANK, lora_alpha=RANK, target_modules="all-linear" if not job.width else ["layer"])
    names = [f"adapter{number}" for number in range(ADAPTERS)]
    model = get_peft_model(base, config, adapter_name=names[0])
    for name in names[1:]:
        model.add_adapter(name, config)
    model.to(job.options.device)
    layers = {
        name.removeprefix("base_model.model."): layer for name, layer in model.named_modules() if isinstance(layer, LoraLayer)
    }
    if set(layers) != set(shapes):
        raise ValueError(f"the two sides merge other layers: {sorted(set(layers) ^ set(shapes))[:3]}")
    for module, layer in layers.items():
        for number, name in enumerate(names):
            factors = random_factors(module, shapes[module], number)
            layer.lora_A[name].weight.data.copy_(torch.from_numpy(factors.a))
            layer.lora_B[name].weight.data.copy_(torch.from_numpy(factors.b))
    turns.ready({"layers": len(layers)})
    while turns.begin():
        model.base_model.add_weighted_adapter(
            names, list(WEIGHTS), "merged", combination_type="svd", svd_rank=RANK, svd_full_matrices=False
        )
        turns.end(partial(_of_theirs, layers))
        model.base_model.delete_adapter("merged")


def _of_ours(merged: Adapter) -> dict[str, list[float]]:
    return {name: singular_values(factors.a, factors.b) for name, factors in merged.factors.items()}


def _of_theirs(layers: Mapping[str, Any]) -> dict[str, list[float]]:
    weights = {name: (layer.lora_A["merged"].weight, layer.lora_B["merged"].weight) for name, layer in layers.items()}
    return {name: singular_values(*(weight.detach().cpu().numpy() for weight in pair)) for name, pair in weights.items()}


def singular_values(a: Matrix, b: Matrix) -> list[float]:
    """Those of ``b @ a``, largest first, where the rows of a, and the columns of b, are at right angles to each other."""
    found = np.linalg.norm(a.astype(np.float64), axis=1) * np.linalg.norm(b.astype(np.float64), axis=0)
    return sorted(map(float, found), reverse=True)


def compare(title: str, job: Job, targets: dict[str, Target]) -> Entry:
    """Measure merging and compare the singular values of every layer."""
    found = measure(title, {"ours": partial(ours, job=job), "theirs": partial(theirs, job=job)}, job.options)
    shapes = job.shapes()
    counts = {"ours": {"svd_flops": _ours_flops(shapes)}, "theirs": {"svd_flops": _theirs_flops(shapes)}}
    return Comparison(
        against="peft add_weighted_adapter, svd (svd_full_matrices=False), same rank",
        data=f"{ADAPTERS} random adapters of rank {RANK}, layers: {len(shapes)}",
        unit="merges",
        settings={"rank": RANK, "weights": WEIGHTS, "layers": len(shapes)},
        per_turn=1,
        counts=counts,
        bound=counts["theirs"]["svd_flops"] / counts["ours"]["svd_flops"],
        targets=targets,
        checks=_check(found),
    ).entry(found)


def _check(found: Mapping[str, Measured]) -> dict[str, Any]:
    differences = [
        abs(left - right) / right
        for ours_turn, theirs_turn in zip(found["ours"].outputs, found["theirs"].outputs, strict=True)
        for module in theirs_turn
        for left, right in zip(ours_turn[module], theirs_turn[module], strict=True)
    ]
    worst = max(differences)
    return {"singular_values_relative_difference": worst, "equal": worst <= TOLERANCE}


def _theirs_flops(shapes: Mapping[str, tuple[int, int]]) -> int:
    """Dense sum, and a thin SVD: 14 m n^2 + 8 n^3 (Golub and Van Loan 2013, figure 8.6.1, with m >= n)."""
    return sum(2 * ADAPTERS * RANK * out * inner + _svd(max(out, inner), min(out, inner)) for out, inner in shapes.values())


def _ours_flops(shapes: Mapping[str, tuple[int, int]]) -> int:
    """Two QR decompositions with Q, 4 m n^2 each (same book, 5.2.9), the core and its SVD, and two products by Q."""
    core = ADAPTERS * RANK
    return sum(
        4 * (out + inner) * core**2 + 2 * core**3 + _svd(core, core) + 2 * (out + inner) * core**2
        for out, inner in shapes.values()
    )


def _svd(rows: int, columns: int) -> int:
    return 14 * rows * columns**2 + 8 * columns**3

"""Merging adapters: weighted sums of ΔW, exact or compressed, of all entries or of those that sparsify and consensus keep.

The sum of k adapters of rank r has rank k·r at most, so its SVD follows from QR decompositions of the two concatenated
factors and an SVD of their small core (k·r square), without the dense ΔW. Only sparsify and consensus, which act on entries,
need that matrix, one module at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from ecomtune.adapters.factors import Adapter, Factors
from ecomtune.adapters.low_rank import compress, compress_dense, padded
from ecomtune.adapters.task_arithmetic import Elementwise, combine
from ecomtune.core.adapter_files import PEFT_PREFIX
from ecomtune.core.merge_rules import method_problem, ranks_problem
from ecomtune.messages.errors import UserError

#: Merges the factors of one module, those of the adapters that change it, with their weights.
Join = Callable[[Sequence[Factors], Sequence[float]], Factors]
#: The weighted sum alone.
PLAIN = Elementwise()


def merge(
    adapters: Sequence[Adapter],
    weights: Sequence[float],
    method: str,
    rank: int | None = None,
    how: Elementwise = PLAIN,
) -> Adapter:
    """Merge adapters of one base.

    ``cat`` is the exact weighted sum of ΔW, at the sum of the ranks; ``svd`` its best approximation of ``rank``
    (Eckart and Young); ``linear`` adds A and B separately like PEFT, which has cross-terms (peft issue 3004). ``how`` says
    which entries of ΔW are added up; their sum has full rank, so this needs method svd and a rank.

    Adapters may have different scales and ranks, and change different modules: one that doesn't change a module adds a ΔW of
    0 to it. Modules with lower ranks than others are padded with zeros.
    Raises UserError where the adapters don't fit together or the method doesn't fit them.
    """
    if len(adapters) != len(weights):
        raise UserError(f"{len(weights)} weights for {len(adapters)} adapters; give one weight each")
    if problem := method_problem(method, weights, how.is_sum):
        raise UserError(problem)
    modules = _modules(adapters)
    join = _method(method, rank, how, sum(map(abs, weights)))
    merged = {}
    # more threads are slower for narrow factors, and change the last digits of dense products
    with threadpool_limits(limits=1, user_api="blas"):
        for module in modules:
            changing = [place for place, adapter in enumerate(adapters) if module in adapter.factors]
            merged[module] = join(
                [adapters[place].factors[module] for place in changing], [weights[place] for place in changing]
            )
    widest = max(factors.rank for factors in merged.values())
    return Adapter({module: padded(factors, widest) for module, factors in merged.items()}, _config(adapters, modules))


def _method(method: str, rank: int | None, how: Elementwise, total: float) -> Join:
    """The function that merges the factors of a module."""
    if how.is_sum:
        joins: dict[str, Join] = {"cat": _cat, "svd": _svd(rank), "linear": _linear}
        return joins[method]
    if rank is None:
        raise UserError("sparsify and consensus produce a ΔW of full rank, which has to be compressed; set a rank")
    return _elementwise(rank, how, total)


def _svd(rank: int | None) -> Join:
    return lambda parts, weights: compress(_cat(parts, weights), rank or sum(part.rank for part in parts))


def _cat(parts: Sequence[Factors], weights: Sequence[float]) -> Factors:
    a = np.concatenate([part.a for part in parts], axis=0)
    b = np.concatenate([np.float32(weight) * part.b for part, weight in zip(parts, weights, strict=True)], axis=1)
    return Factors(a, b)


def _linear(parts: Sequence[Factors], weights: Sequence[float]) -> Factors:
    """Σ √w A and Σ √w B, PEFT's combination_type "linear", of factors that include √scale each, as in PEFT."""
    if problem := ranks_problem("linear", [part.rank for part in parts]):
        raise UserError(problem)
    roots = [np.float32(np.sqrt(weight)) for weight in weights]
    a = sum((root * part.a for root, part in zip(roots, parts, strict=True)), np.zeros_like(parts[0].a))
    b = sum((root * part.b for root, part in zip(roots, parts, strict=True)), np.zeros_like(parts[0].b))
    return Factors(a, b)


def _elementwise(rank: int, how: Elementwise, total: float) -> Join:
    """Merges dense ΔW entry by entry; one stream of random draws serves all modules and adapters in their order."""
    rng = np.random.default_rng(how.seed)

    def join(parts: Sequence[Factors], weights: Sequence[float]) -> Factors:
        deltas = (part.b.astype(np.float64) @ part.a.astype(np.float64) for part in parts)
        return compress_dense(combine(deltas, weights, how, rng, total), rank)

    return join


def _modules(adapters: Sequence[Adapter]) -> list[str]:
    """Every module that any of the adapters changes. Raises UserError where they are of different bases."""
    first = adapters[0]
    shapes: dict[str, tuple[int, int]] = {}
    for adapter in adapters:
        bases = [each.config.get("base_model_name_or_path") for each in (first, adapter)]
        if bases[0] != bases[1]:
            raise UserError(f"adapters of different bases ({bases[0]} and {bases[1]}) can't be merged; train them on one")
        for module, factors in adapter.factors.items():
            if factors.shape != shapes.setdefault(module, factors.shape):
                raise UserError(
                    f"{module} is {shapes[module]} in one adapter and {factors.shape} in another; train them on one base"
                )
    return sorted(shapes)


def _config(adapters: Sequence[Adapter], modules: Sequence[str]) -> dict[str, Any]:
    """The first adapter's config; where adapters change different modules, with the full names of all of them."""
    config = adapters[0].config
    if all(adapter.factors.keys() == set(modules) for adapter in adapters):
        return config
    whole_model = dict.fromkeys(("exclude_modules", "layers_to_transform", "layers_pattern"))
    return {**config, **whole_model, "target_modules": [module.removeprefix(PEFT_PREFIX) for module in modules]}

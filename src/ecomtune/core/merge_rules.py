"""Which merge methods fit which adapters and weights: checked before anything runs, and again when adapters are merged."""

from __future__ import annotations

from collections.abc import Collection


def is_weighted_sum(sparsify: str, consensus: str) -> bool:
    """Whether a merge is nothing but the weighted sum of ΔW."""
    return sparsify == consensus == "none"


def method_problem(method: str, weights: Collection[float], is_sum: bool) -> str | None:
    """What is wrong with a merge method, or None. ``is_sum``: see :func:`is_weighted_sum`."""
    if not is_sum and method != "svd":
        return (
            f"sparsify and consensus produce a ΔW of full rank, which method {method} can't represent; set method svd and a "
            "rank, or remove them"
        )
    if method == "linear" and min(weights) < 0:
        return "method linear takes the square root of each weight, so no weight may be negative; use cat or svd"
    return None


def ranks_problem(method: str, ranks: Collection[int]) -> str | None:
    """What is wrong with merging adapters of these ranks that change the same modules, or None."""
    if method == "linear" and len(set(ranks)) > 1:
        return f"method linear can't merge adapters of different ranks {sorted(set(ranks))}; use cat or svd"
    return None

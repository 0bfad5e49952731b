"""Merging adapters: weighted sums of ΔW, exact or compressed, never through the dense matrix.

The sum of k adapters of rank r has rank k·r at most, so its singular values follow from QR decompositions of the two
concatenated factors and an SVD of their small core (k·r square) instead of one of the dense ΔW.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from ecomtune.errors import UserError
from ecomtune.lora.adapter import Adapter, Factors, Matrix


def merge(adapters: Sequence[Adapter], weights: Sequence[float], method: str, rank: int | None = None) -> Adapter:
    """Join adapters of one base.

    ``cat`` is the exact weighted sum of ΔW, at the sum of the ranks; ``svd`` its best approximation of ``rank``
    (Eckart and Young); ``linear`` adds A and B apart as PEFT does, which has cross-terms (peft issue 3004).
    Raises UserError where the adapters don't fit together or the method doesn't fit them.
    """
    if len(adapters) != len(weights):
        raise UserError(f"{len(weights)} weights for {len(adapters)} adapters; give one weight each")
    _check_together(adapters)
    if method == "linear":
        _check_linear(adapters, weights)
    merged = {}
    with threadpool_limits(limits=1, user_api="blas"):  # for factors so narrow more threads only cost time
        for module in sorted(adapters[0].factors):
            parts = [adapter.factors[module] for adapter in adapters]
            if method == "linear":
                merged[module] = _linear(parts, weights)
            else:
                exact = _cat(parts, weights)
                merged[module] = exact if method == "cat" else compress(exact, rank or exact.rank)
    return Adapter(merged, adapters[0].config)


def _cat(parts: Sequence[Factors], weights: Sequence[float]) -> Factors:
    a = np.concatenate([part.a for part in parts], axis=0)
    b = np.concatenate([np.float32(weight) * part.b for part, weight in zip(parts, weights, strict=True)], axis=1)
    return Factors(a, b)


def _linear(parts: Sequence[Factors], weights: Sequence[float]) -> Factors:
    """Σ √w A and Σ √w B, PEFT's combination_type "linear"; factors hold √scale each, as PEFT has it."""
    roots = [np.float32(np.sqrt(weight)) for weight in weights]
    a = sum((root * part.a for root, part in zip(roots, parts, strict=True)), np.zeros_like(parts[0].a))
    b = sum((root * part.b for root, part in zip(roots, parts, strict=True)), np.zeros_like(parts[0].b))
    return Factors(a, b)


def compress(factors: Factors, rank: int) -> Factors:
    """The best approximation of ``b @ a`` of at most ``rank``, padded with zeros where the factors have less."""
    left, singular, right = decompose(factors)
    root = np.sqrt(singular[:rank])
    a, b = root[:, None] * right[:rank], left[:, :rank] * root
    missing = rank - a.shape[0]
    return Factors(
        np.pad(a, ((0, max(missing, 0)), (0, 0))).astype(np.float32),
        np.pad(b, ((0, 0), (0, max(missing, 0)))).astype(np.float32),
    )


def decompose(factors: Factors) -> tuple[Matrix, Matrix, Matrix]:
    """The thin SVD of ``b @ a``: U [out, R], singular values [R] (descending), Vᵀ [R, in]; R is the smallest of the
    factors' rank and the sides of ``b @ a``.

    Computed in float64: the core's small singular values would else drown in the rounding of the large ones.
    """
    q_left, r_left = np.linalg.qr(factors.b.astype(np.float64))
    q_right, r_right = np.linalg.qr(factors.a.T.astype(np.float64))
    u, singular, vt = np.linalg.svd(r_left @ r_right.T, full_matrices=False)
    return q_left @ u, singular, vt @ q_right.T


def _check_together(adapters: Sequence[Adapter]) -> None:
    first = adapters[0]
    for adapter in adapters[1:]:
        bases = [each.config.get("base_model_name_or_path") for each in (first, adapter)]
        if bases[0] != bases[1]:
            raise UserError(f"adapters of different bases ({bases[0]} and {bases[1]}) can't be merged; train them on one")
        odd = sorted(set(first.factors) ^ set(adapter.factors))
        if odd:
            raise UserError(f"only one of two adapters changes {odd[0]}; train them with the same target modules")


def _check_linear(adapters: Sequence[Adapter], weights: Sequence[float]) -> None:
    ranks = sorted({factors.rank for adapter in adapters for factors in adapter.factors.values()})
    if len(ranks) > 1:
        raise UserError(f"method linear can't join adapters of ranks {ranks}; use cat or svd")
    if min(weights) < 0:
        raise UserError("method linear takes no negative weight (it needs its square root); use cat or svd")

"""Similarity of adapters: the cosine of their ΔW, and the principal angles between the spaces that ΔW reads and writes.

All of it is computed from small products of the adapters' factors; the dense ΔW is never built.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from threadpoolctl import threadpool_limits

from ecomtune.adapters.factors import Adapter
from ecomtune.adapters.low_rank import Dense, decompose

#: A singular value of ΔW below this share of the product of its factors' norms comes from rounding to fp32.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Similarity:
    """How similar two ΔW are, of one module or of all.

    ``cosine`` is their Frobenius inner product over their norms, from -1 to 1. ``columns`` and ``rows`` compare the spaces
    that they span in the module's output and input: the mean squared cosine of the principal angles, ||UᵀV||² / min(R, S)
    for orthonormal bases U and V of R and S dimensions, the normalized subspace similarity of the LoRA paper (arXiv
    2106.09685, section 7.2, there for the leading directions; here for all). It goes from 0, orthogonal, to 1, the smaller
    space inside the larger; two random spaces of n dimensions have max(R, S) / n on average.

    A ΔW of 0 is similar to nothing: all three are 0. Adapters trained with one seed start from the same random A, so their
    rows are similar before any training, which says nothing about the tasks.
    """

    cosine: float
    columns: float
    rows: float


NOTHING = Similarity(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class AdapterPair:
    """Two adapters by name: the similarity of all their ΔW together, and of each module that one of them changes."""

    first: str
    second: str
    overall: Similarity
    modules: dict[str, Similarity]


@dataclass(frozen=True)
class _Directions:
    """A ΔW other than 0 as its R singular directions: left [out, R], singular [R], right [R, in]."""

    left: Dense
    singular: Dense
    right: Dense

    @property
    def square(self) -> float:
        """||ΔW||², Frobenius."""
        return float(self.singular @ self.singular)


def compare_adapters(adapters: Mapping[str, Adapter]) -> list[AdapterPair]:
    """The similarity of every two adapters, in their order.

    The overall cosine is that of all ΔW as one vector, in which a module that an adapter doesn't change is 0; the overall
    ``columns`` and ``rows`` are means over the modules that either of the two changes, 0 where only one does.
    """
    pairs = list(combinations(adapters, 2))
    found: dict[tuple[str, str], dict[str, Similarity]] = {pair: {} for pair in pairs}
    inner, squares = dict.fromkeys(pairs, 0.0), dict.fromkeys(adapters, 0.0)
    with threadpool_limits(limits=1, user_api="blas"):  # products this small are slower with more threads
        for module in sorted({module for adapter in adapters.values() for module in adapter.factors}):
            directions = _directions_of(adapters, module)
            for name, each in directions.items():
                squares[name] += each.square
            for pair in pairs:
                sides = [directions[name] for name in pair if name in directions]
                if len(sides) == 2:
                    product, found[pair][module] = _compare(*sides)
                    inner[pair] += product
                elif sides:
                    found[pair][module] = NOTHING
    return [
        AdapterPair(first, second, _overall(inner[first, second], squares[first] * squares[second], modules.values()), modules)
        for (first, second), modules in found.items()
    ]


def _directions_of(adapters: Mapping[str, Adapter], module: str) -> dict[str, _Directions]:
    """The singular directions of a module's ΔW by adapter, without those that come from rounding; no entry where ΔW is 0."""
    found = {}
    for name, adapter in adapters.items():
        if factors := adapter.factors.get(module):
            left, singular, right = decompose(factors)
            kept = int((singular > ROUNDING * np.linalg.norm(factors.b) * np.linalg.norm(factors.a)).sum())
            if kept:
                found[name] = _Directions(left[:, :kept], singular[:kept], right[:kept])
    return found


def _compare(first: _Directions, second: _Directions) -> tuple[float, Similarity]:
    """The inner product of two ΔW and their similarity, from the R by S products of their singular vectors."""
    columns, rows = first.left.T @ second.left, first.right @ second.right.T
    inner = float(first.singular @ (columns * rows) @ second.singular)
    smaller = min(columns.shape)
    return inner, Similarity(
        cosine=inner / float(np.sqrt(first.square * second.square)),
        columns=float((columns**2).sum()) / smaller,
        rows=float((rows**2).sum()) / smaller,
    )


def _overall(inner: float, squares: float, modules: Iterable[Similarity]) -> Similarity:
    each = list(modules)
    if not each:
        return NOTHING
    return Similarity(
        cosine=inner / float(np.sqrt(squares)) if squares else 0.0,
        columns=float(np.mean([module.columns for module in each])),
        rows=float(np.mean([module.rows for module in each])),
    )

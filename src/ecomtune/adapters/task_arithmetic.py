"""Task arithmetic on the entries of ΔW: sparsify each adapter's, then add them up, all or only those of the elected sign."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ecomtune.adapters.low_rank import Dense
from ecomtune.core.config import Recipe
from ecomtune.core.merge_rules import is_weighted_sum


@dataclass(frozen=True)
class Elementwise:
    """What is done with the entries of ΔW before they are added up; by default nothing.

    ``sparsify`` keeps the share ``density`` of each adapter's ΔW: ``magnitude`` the largest entries (the trim of TIES,
    arXiv 2306.01708), ``dare`` each entry with that probability, drawn from ``seed`` (arXiv 2311.03099, drop rate p = 1 -
    density). ``rescale`` divides what is kept by ``density``, which is DARE's 1/(1-p); by default dare does and magnitude
    doesn't, as in their papers. ``consensus`` ``ties`` elects a sign for each entry (see :func:`elect`).

    All of it acts on the dense ΔW of one module at a time. An entry's size and sign are those of a sum over the factors,
    which no operation on A and B alone yields: sparsifying A and B themselves, as PEFT's plain "ties" and "dare_linear" do,
    is another method. Taking one module at a time needs the memory of one, and keeps a module with large entries from
    taking the share of the others.
    """

    sparsify: Literal["none", "magnitude", "dare"] = "none"
    density: float = 1.0
    rescale: bool | None = None
    consensus: Literal["none", "ties"] = "none"
    seed: int = 0

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Elementwise:
        """What a recipe of params.yaml asks for."""
        return cls(recipe.sparsify, recipe.density or 1.0, recipe.rescale, recipe.consensus, recipe.seed)

    @property
    def is_sum(self) -> bool:
        """Whether nothing but the weighted sum is asked for, which the factors alone yield."""
        return is_weighted_sum(self.sparsify, self.consensus)


def combine(
    deltas: Iterable[Dense], weights: Sequence[float], how: Elementwise, rng: np.random.Generator, total: float
) -> Dense:
    """The merged ΔW [out, in] of one module from those of the adapters that change it, in a fixed order.

    ``rng`` draws for dare, adapter after adapter. ``total`` is the sum of all adapters' absolute weights, including those
    that don't change the module.
    """
    parts = [weight * sparsified(delta, how, rng) for delta, weight in zip(deltas, weights, strict=True)]
    return elect(parts, weights, total) if how.consensus == "ties" else np.sum(parts, axis=0)


def sparsified(delta: Dense, how: Elementwise, rng: np.random.Generator) -> Dense:
    """One adapter's ΔW with 0 in place of what isn't kept.

    ``magnitude`` keeps at least one entry, and all that are as large as the smallest one kept, so ties need no order.
    """
    if how.sparsify == "none":
        return delta
    if how.sparsify == "dare":
        kept = rng.random(delta.shape) < how.density
    else:
        size = np.abs(delta)
        place = delta.size - max(1, round(how.density * delta.size))
        kept = size >= np.partition(size, place, axis=None)[place]
    rescale = how.sparsify == "dare" if how.rescale is None else how.rescale
    return np.where(kept, delta / how.density if rescale else delta, 0.0)


def elect(parts: Sequence[Dense], weights: Sequence[float], total: float) -> Dense:
    """TIES' consensus of weighted ΔW (arXiv 2306.01708): in each entry only parts with the sign of their sum count.

    The result is their weighted mean times ``total``: for equal weights the paper's λ times the mean of those that agree,
    with the sum of the weights as λ; where all parts have one sign and none is 0, the weighted sum. A part that is 0 agrees
    with no sign, and an entry whose sum is 0 becomes 0.
    """
    sign = np.sign(np.sum(parts, axis=0))
    agreed, agreeing = np.zeros_like(sign), np.zeros_like(sign)
    for part, weight in zip(parts, weights, strict=True):
        agrees = np.sign(part) == sign
        agreed += np.where(agrees, part, 0.0)
        agreeing += np.where(agrees, abs(weight), 0.0)
    mean: Dense = np.divide(agreed, agreeing, out=np.zeros_like(agreed), where=agreeing > 0)
    return total * mean

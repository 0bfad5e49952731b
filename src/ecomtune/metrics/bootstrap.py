"""Confidence intervals by resampling groups, because the rows of one query or product are not independent of each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]
#: Decimal places of every reported value.
PLACES = 4
#: Resamples drawn at a time: all of them at once would need gigabytes where there are many groups.
CHUNK = 1000


@dataclass(frozen=True)
class Resampling:
    """How intervals are computed: the number of bootstrap resamples, the confidence level, and the random seed."""

    resamples: int = 1000
    confidence: float = 0.95
    seed: int = 0

    def bounds(self, values: Counts) -> tuple[float, float]:
        """The percentile interval of resampled ``values`` (Efron and Tibshirani 1993, chapter 13)."""
        low, high = np.quantile(values, [(1 - self.confidence) / 2, (1 + self.confidence) / 2])
        return float(low), float(high)


def group_sums(counts: Counts, groups: Sequence[str]) -> Counts:
    """Sum the rows of ``counts`` [rows, k] by group: [groups, k], sorted by group name."""
    # a dict, since every item of a NumPy array of strings takes the room of the longest one
    index = {group: place for place, group in enumerate(sorted(set(groups)))}
    sums = np.zeros((len(index), counts.shape[1]))
    np.add.at(sums, [index[group] for group in groups], counts)
    return sums


def resample(sums: Counts, resamples: int, seed: int) -> Counts:
    """Total counts [resamples, k] of samples of ``len(sums)`` groups drawn with replacement from ``sums`` [groups, k]."""
    rng = np.random.default_rng(seed)
    number = len(sums)
    shares = np.full(number, 1 / number)
    chunks = [min(CHUNK, resamples - start) for start in range(0, resamples, CHUNK)]
    return np.concatenate([rng.multinomial(number, shares, size=chunk) @ sums for chunk in chunks])


def intervals(
    counts: Counts, groups: Sequence[str], values: Callable[[Counts], dict[str, Counts]], resampling: Resampling
) -> dict[str, tuple[float, float]]:
    """The interval of each of the ``values`` that follow from summed ``counts`` [rows, k], over resampled groups."""
    totals = resample(group_sums(counts, groups), resampling.resamples, resampling.seed)
    return {name: resampling.bounds(resampled) for name, resampled in values(totals).items()}

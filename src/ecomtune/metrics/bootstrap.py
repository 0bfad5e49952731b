"""Confidence intervals by resampling groups, because the rows of one query or product are not independent of each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Counts = NDArray[np.float64]
#: Counts of each row, or sums of each group; sparse where most are 0, as with hundreds of labels.
RowCounts: TypeAlias = Counts | csr_array
#: Values by name, from summed counts [..., k].
Values: TypeAlias = Callable[[Counts], dict[str, Counts]]
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


def group_sums(counts: RowCounts, groups: Sequence[str]) -> RowCounts:
    """Sum the rows of ``counts`` [rows, k] by group: [groups, k], sorted by group name."""
    # a dict, since every item of a NumPy array of strings takes the room of the longest one
    index = {group: place for place, group in enumerate(sorted(set(groups)))}
    places = [index[group] for group in groups]
    if isinstance(counts, csr_array):
        return csr_array((np.ones(len(places)), (places, range(len(places)))), shape=(len(index), len(places))) @ counts
    sums = np.zeros((len(index), counts.shape[1]))
    np.add.at(sums, places, counts)
    return sums


def totals(weights: NDArray[np.int64], sums: RowCounts) -> Counts:
    """The total counts [samples, k] of samples in which each group of ``sums`` [groups, k] has a weight [samples, groups].

    A sparse product has the order of its transpose, in which later sums over labels take longer and round differently.
    """
    return np.ascontiguousarray(weights @ sums)


def resample(sums: RowCounts, resamples: int, seed: int) -> Counts:
    """Total counts [resamples, k] of samples of as many groups as ``sums`` [groups, k] has, drawn with replacement."""
    return np.concatenate(list(_drawn(sums, resamples, seed)))


def _drawn(sums: RowCounts, resamples: int, seed: int) -> Iterator[Counts]:
    """The total counts [up to CHUNK, k] of one chunk of resamples after the other."""
    rng = np.random.default_rng(seed)
    number = sums.shape[0]
    shares = np.full(number, 1 / number)
    for start in range(0, resamples, CHUNK):
        yield totals(rng.multinomial(number, shares, size=min(CHUNK, resamples - start)), sums)


def resampled_values(sums: RowCounts, values: Values, resampling: Resampling) -> dict[str, Counts]:
    """Each of the ``values`` [resamples] of resampled groups, whose counts are never all in memory at once."""
    parts = [values(drawn) for drawn in _drawn(sums, resampling.resamples, resampling.seed)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def intervals(
    counts: RowCounts, groups: Sequence[str], values: Values, resampling: Resampling
) -> dict[str, tuple[float, float]]:
    """The interval of each of the ``values`` that follow from summed ``counts`` [rows, k], over resampled groups."""
    found = resampled_values(group_sums(counts, groups), values, resampling)
    return {name: resampling.bounds(resampled) for name, resampled in found.items()}

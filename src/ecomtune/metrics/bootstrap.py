"""Confidence intervals by resampling groups: rows of one query or product are not independent of each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]
#: Decimal places of every reported value.
PLACES = 4
#: Resamples that are drawn at a time: many of many groups would need gigabytes.
PIECE = 1000


def group_sums(counts: Counts, groups: Sequence[str]) -> Counts:
    """Sum the rows of ``counts`` [rows, k] by group: [groups, k], in sorted order of the group names."""
    places = {group: place for place, group in enumerate(sorted(set(groups)))}  # an array of texts has the longest in each row
    sums = np.zeros((len(places), counts.shape[1]))
    np.add.at(sums, [places[group] for group in groups], counts)
    return sums


def resample(sums: Counts, resamples: int, seed: int) -> Counts:
    """Total counts [resamples, k] of as many groups as there are, drawn with replacement."""
    rng = np.random.default_rng(seed)
    number = len(sums)
    shares = np.full(number, 1 / number)
    pieces = [min(PIECE, resamples - start) for start in range(0, resamples, PIECE)]
    return np.concatenate([rng.multinomial(number, shares, size=piece) @ sums for piece in pieces])


def intervals(
    counts: Counts,
    groups: Sequence[str],
    values: Callable[[Counts], dict[str, Counts]],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> dict[str, tuple[float, float]]:
    """Percentile interval of each value over resampled groups (Efron and Tibshirani 1993, chapter 13)."""
    drawn = values(resample(group_sums(counts, groups), resamples, seed))
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    bounds = {name: np.quantile(found, tails) for name, found in drawn.items()}
    return {name: (float(low), float(high)) for name, (low, high) in bounds.items()}

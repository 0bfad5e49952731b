"""Whether two systems differ on the same test rows: the difference, its interval, and a test by groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from ecomtune.core.records import Reference
from ecomtune.metrics.bootstrap import PIECE, PLACES, Counts, group_sums, resample

if TYPE_CHECKING:  # its libraries take a second to import
    from ecomtune.metrics.counted import CountedMetric

#: Random exchanges of the test, the answers as they are among them: no p-value can be below one in so many.
PERMUTATIONS = 10_000
#: Differences this close to the one found are as large: sums in another order differ in their last digits.
TINY = 1e-9


@dataclass(frozen=True)
class Pair:
    """How far system ``first`` is ahead of ``second``: in one metric, with its interval, and the probability of as large a
    difference by chance, for this pair alone (``p``) and corrected for all pairs of the task (``p_holm``)."""

    first: str
    second: str
    difference: float
    ci: tuple[float, float]
    p: float
    p_holm: float


def compare_pairs(
    metric: CountedMetric,
    value: str,
    answers: Mapping[str, Sequence[Reference | None]],
    references: Sequence[Reference],
    groups: Sequence[str],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> list[Pair]:
    """Every two systems on the same rows, the better one first.

    ``answers`` holds each system's parsed answers in the order of ``references``. The interval is a paired bootstrap over
    groups; p is that of an approximate randomization test (Noreen 1989), which exchanges the answers of both systems in
    random groups; p_holm is corrected by Holm's step-down method (1979).
    """
    # counted together, since what is counted may depend on the labels that stand in the answers
    counts = metric.count([each for given in answers.values() for each in given], [*references] * len(answers))
    sums = {name: group_sums(part, groups) for name, part in zip(answers, np.split(counts, len(answers)), strict=True)}
    drawn = {name: metric.values(resample(of_groups, resamples, seed))[value] for name, of_groups in sums.items()}
    scores = {name: float(metric.values(of_groups.sum(axis=0))[value]) for name, of_groups in sums.items()}
    names = sorted(answers, key=lambda name: -scores[name])  # stable: equal ones in the order given
    found = list(combinations(names, 2))
    p_values = [_p_value(metric, value, sums[first], sums[second], seed) for first, second in found]
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    return [
        Pair(
            first,
            second,
            round(scores[first] - scores[second], PLACES),
            _rounded(np.quantile(drawn[first] - drawn[second], tails)),
            round(p, PLACES),
            round(corrected, PLACES),
        )
        for (first, second), p, corrected in zip(found, p_values, holm(p_values), strict=True)
    ]


def _rounded(bounds: Counts) -> tuple[float, float]:
    low, high = (round(float(bound), PLACES) for bound in bounds)
    return low, high


def _p_value(metric: CountedMetric, value: str, first: Counts, second: Counts, seed: int) -> float:
    """The share of random exchanges, the answers as they are among them, whose difference is at least as large."""

    def difference(ours: Counts, theirs: Counts) -> Counts:
        return np.abs(metric.values(ours)[value] - metric.values(theirs)[value])

    rng = np.random.default_rng(seed)
    ours, theirs, gain = first.sum(axis=0), second.sum(axis=0), second - first
    least = difference(ours, theirs) - TINY
    larger = 1
    for start in range(0, PERMUTATIONS - 1, PIECE):
        exchanged = rng.integers(0, 2, size=(min(PIECE, PERMUTATIONS - 1 - start), len(first))) @ gain
        larger += int((difference(ours + exchanged, theirs - exchanged) >= least).sum())
    return larger / PERMUTATIONS


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p corrected for all of them: times the number of those that are not smaller, never below a smaller one's."""
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = highest
    return corrected

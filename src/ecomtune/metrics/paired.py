"""Whether two systems differ on the same test rows: the difference, its interval, and a permutation test over groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ecomtune.metrics.bootstrap import CHUNK, PLACES, Counts, Resampling, RowCounts, group_sums, resampled_values, totals
from ecomtune.metrics.counted import CountedMetric
from ecomtune.metrics.graded import Graded

#: Permutations of the test, the observed answers among them: no p can be below one divided by their number.
PERMUTATIONS = 10_000
#: Differences this close to the observed one count as equal to it: sums in another order differ in their last digits.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Pair:
    """How far system ``first`` is ahead of ``second`` in one metric, with the interval of the difference.

    ``p`` is the probability of a difference at least as large by chance, for this pair alone; ``p_holm`` is corrected for all
    pairs of the task.
    """

    first: str
    second: str
    difference: float
    ci: tuple[float, float]
    p: float
    p_holm: float

    def is_significant(self, confidence: float) -> bool:
        """Whether the corrected p is below 1 - ``confidence`` (rounded: in floating point 1 - 0.95 is a hair above 0.05)."""
        return self.p_holm < round(1 - confidence, 12)


@dataclass(frozen=True)
class AnsweredRows:
    """Test rows by their references and groups, and each system's parsed answers to them, in the same order."""

    answers: Mapping[str, Sequence[Graded | None]]
    references: Sequence[Graded]
    groups: Sequence[str]


def compare_pairs(metric: CountedMetric, value: str, rows: AnsweredRows, resampling: Resampling) -> list[Pair]:
    """Compare every two systems by the metric's ``value``, the better one first.

    The interval is a paired bootstrap over groups; p is that of an approximate randomization test (Noreen 1989), which swaps
    the answers of both systems in random groups; p_holm is corrected by Holm's step-down method (1979).
    """
    # counted together, since what is counted may depend on the labels that occur in the answers
    every = [answer for given in rows.answers.values() for answer in given]
    counts = metric.count(every, [*rows.references] * len(rows.answers))
    number = len(rows.references)
    sums = {
        name: group_sums(counts[place * number : (place + 1) * number], rows.groups) for place, name in enumerate(rows.answers)
    }
    resampled = {name: resampled_values(own, metric.values, resampling)[value] for name, own in sums.items()}
    scores = {name: float(metric.values(own.sum(axis=0))[value]) for name, own in sums.items()}
    ranking = sorted(rows.answers, key=lambda name: -scores[name])  # stable: equal ones keep their order
    pairs = list(combinations(ranking, 2))
    p_values = [_p_value(metric, value, (sums[first], sums[second]), resampling.seed) for first, second in pairs]
    return [
        Pair(
            first,
            second,
            round(scores[first] - scores[second], PLACES),
            _rounded(resampling.bounds(resampled[first] - resampled[second])),
            round(p, PLACES),
            round(corrected, PLACES),
        )
        for (first, second), p, corrected in zip(pairs, p_values, holm(p_values), strict=True)
    ]


def _rounded(bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = bounds
    return round(low, PLACES), round(high, PLACES)


def _p_value(metric: CountedMetric, value: str, sums: tuple[RowCounts, RowCounts], seed: int) -> float:
    """The share of permutations, the observed answers among them, whose difference is at least as large.

    ``sums`` holds the counts [groups, k] of both systems.
    """

    def difference(first: Counts, second: Counts) -> Counts:
        return np.abs(metric.values(first)[value] - metric.values(second)[value])

    rng = np.random.default_rng(seed)
    first, second = (own.sum(axis=0) for own in sums)
    swap = sums[1] - sums[0]
    observed = difference(first, second) - TOLERANCE
    as_large = 1
    for start in range(0, PERMUTATIONS - 1, CHUNK):
        swapped = totals(rng.integers(0, 2, size=(min(CHUNK, PERMUTATIONS - 1 - start), swap.shape[0])), swap)
        as_large += int((difference(first + swapped, second - swapped) >= observed).sum())
    return as_large / PERMUTATIONS


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p corrected for all: times the number of those that are not smaller, and never below a smaller one's."""
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = highest
    return corrected

"""Splits that hold and sub-samples that nest, over a few numbers a row, so that data sets of any size fit into memory."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ecomtune.core.records import Row
from ecomtune.messages.errors import UserError

SPLITS = ("train", "validation", "test")
#: Where a data set has no official split: the share of groups in test, and in validation.
TEST_SHARE, VALIDATION_SHARE = 0.1, 0.1

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Marks:
    """What splitting and sampling need to know of N rows; each an array [N].

    ``split``: place in SPLITS; ``stratum``: place of the row's label among the task's, 0 for tasks without; ``order``: where
    its group stands in the seeded shuffle; ``group`` and ``key``: hashes of the group and of the input, near copies alike.
    Hashes have 64 bits: among ten million inputs the chance that any two of them collide is 1 in 370,000.
    """

    split: NDArray[np.uint8]
    stratum: NDArray[np.uint16]
    order: NDArray[np.uint64]
    group: NDArray[np.uint64]
    key: NDArray[np.uint64]

    @classmethod
    def of(cls, marks: Sequence[int]) -> Marks:
        """The marks of rows, laid end to end as :func:`mark` gives them."""
        split, stratum, *others = np.asarray(marks, dtype=np.uint64).reshape(-1, 5).T
        return cls(split.astype(np.uint8), stratum.astype(np.uint16), *map(np.ascontiguousarray, others))

    @classmethod
    def joined(cls, parts: list[Marks]) -> Marks:
        """The marks of several parts, one after the other."""
        names = ("split", "stratum", "order", "group", "key")
        return cls(*(np.concatenate([getattr(part, name) for part in [cls.of([]), *parts]]) for name in names))


def mark(row: Row, stratum: int, key: str, seed: int) -> tuple[int, int, int, int, int]:
    """Split, stratum, order, group and key of a row; ``key`` is its input, near copies alike.

    The split is the official one, else drawn by a hash of the group, so that no group is ever divided; its place depends
    on its name and the seed alone, so that it stays when other rows come or go.
    """
    drawn, order, group = _of_group(row.group, seed)
    return SPLITS.index(row.split or drawn), stratum, order, group, _hash(key)


@lru_cache(maxsize=4096)  # rows of one group lie near each other
def _of_group(group: str, seed: int) -> tuple[str, int, int]:
    """The split that is drawn for a group, its place in the shuffle, and its hash."""
    share = _hash(f"split/{seed}/{group}") / 2**64
    drawn = "test" if share < TEST_SHARE else "validation" if share < TEST_SHARE + VALIDATION_SHARE else "train"
    return drawn, _hash(f"sample/{seed}/{group}"), _hash(group)


def _hash(text: str) -> int:
    composed = unicodedata.normalize("NFC", text)  # a group's name is one name, however its accents are written
    return int.from_bytes(hashlib.sha256(composed.encode(errors="surrogatepass")).digest()[:8])


def sample(marks: Marks, split: str, size: int) -> Numbers:
    """Numbers of the first ``size`` rows of a split in one seeded shuffle: a smaller sample is the beginning of a larger one.

    Each beginning holds the labels in the shares that they have in the whole split, give or take a row: the k-th of a
    label's n rows, group after group, stands at (k - 1/2) / n of the whole. So groups stay together where a task has no
    labels, and nearly so where it has.
    """
    rows = np.flatnonzero(marks.split == SPLITS.index(split))
    rows = rows[np.argsort(marks.order[rows], kind="stable")]
    strata = marks.stratum[rows]
    places = np.empty(len(rows))
    for stratum in np.unique(strata):
        inside = strata == stratum
        number = int(inside.sum())
        places[inside] = (np.arange(number) + 0.5) / number
    return rows[np.argsort(places, kind="stable")[:size]]


def check_leakage(
    task: str, marks: Marks, chosen: Mapping[str, Numbers], row: Callable[[int], Row]
) -> dict[str, dict[str, int]]:
    """How many different inputs (case, punctuation and white space aside) and groups each split has, and several share.

    Raises UserError where it is any; ``row`` gives the row of a number.
    """
    report = {}
    for name, values in (("input", marks.key), ("group", marks.group)):
        different = {split: len(np.unique(values[chosen[split]])) for split in SPLITS}
        together = len(np.unique(np.concatenate([values[chosen[split]] for split in SPLITS])))
        report[f"{name}s"] = {**different, "shared": sum(different.values()) - together}
        for place, second in enumerate(SPLITS):
            for first in SPLITS[:place]:
                found = np.flatnonzero(np.isin(values[chosen[second]], values[chosen[first]]))
                if len(found):
                    other = chosen[second][found[0]]
                    copied = chosen[first][values[chosen[first]] == values[other]][0]
                    raise UserError(
                        f"tasks.{task}: {row(int(other)).source} in {second} has the same {name} as "
                        f"{row(int(copied)).source} in {first}; remove one of them from the data set, or let the project "
                        "draw the split"
                    )
    return report

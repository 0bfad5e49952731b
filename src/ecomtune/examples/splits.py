"""Stable splits and nested samples, computed from a few numbers per row, so that data sets of any size fit into memory."""

from __future__ import annotations

import dataclasses
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
#: The shares of groups in test and in validation, where a data set has no official split.
TEST_SHARE, VALIDATION_SHARE = 0.1, 0.1

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class RowKeys:
    """What splitting and sampling need to know about N rows; each an array [N].

    ``split``: index in SPLITS; ``label``: index of the row's label among the task's labels, 0 for tasks without labels;
    ``group_order``: position of its group in the seeded shuffle; ``group`` and ``input``: hashes of the group and of the input,
    equal for near copies. Hashes have 64 bits: the chance that any two of ten million inputs collide is 1 in 370,000.
    """

    split: NDArray[np.uint8]
    label: NDArray[np.uint16]
    group_order: NDArray[np.uint64]
    group: NDArray[np.uint64]
    input: NDArray[np.uint64]

    @classmethod
    def from_values(cls, values: Sequence[int]) -> RowKeys:
        """The keys of N rows from 5 N numbers, row after row as :func:`row_keys` returns them."""
        split, label, *others = np.asarray(values, dtype=np.uint64).reshape(-1, 5).T
        return cls(split.astype(np.uint8), label.astype(np.uint16), *map(np.ascontiguousarray, others))

    @classmethod
    def concatenate(cls, parts: list[RowKeys]) -> RowKeys:
        """The keys of several parts, one after the other."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in [cls.from_values([]), *parts]]) for name in names))


def row_keys(row: Row, label: int, input_key: str, seed: int) -> tuple[int, int, int, int, int]:
    """The values of :class:`RowKeys` of one row; ``input_key`` is its input, equal for near copies.

    The split is the official one, or drawn by a hash of the group, so that no group is ever divided. A group's split and order
    depend only on its name and the seed, so that they don't change when other rows are added or removed.
    """
    drawn, order, group = _group_values(row.group, seed)
    return SPLITS.index(row.split or drawn), label, order, group, _hash(input_key)


@lru_cache(maxsize=4096)  # the rows of a group are close together
def _group_values(group: str, seed: int) -> tuple[str, int, int]:
    """The split that is drawn for a group, its position in the shuffle, and its hash."""
    share = _hash(f"split/{seed}/{group}") / 2**64
    drawn = "test" if share < TEST_SHARE else "validation" if share < TEST_SHARE + VALIDATION_SHARE else "train"
    return drawn, _hash(f"sample/{seed}/{group}"), _hash(group)


def _hash(text: str) -> int:
    composed = unicodedata.normalize("NFC", text)  # accents may be written as one character or two
    return int.from_bytes(hashlib.sha256(composed.encode(errors="surrogatepass")).digest()[:8])


def sample(keys: RowKeys, split: str, size: int) -> Numbers:
    """The numbers of the first ``size`` rows of a split in one seeded shuffle: a smaller sample is a prefix of a larger one.

    Samples are stratified: each holds the labels in the shares that they have in the split, give or take a row. The k-th of a
    label's n rows, group by group, is placed at (k - 1/2) / n of the split. So groups stay together where a task has no
    labels, and nearly so where it has.
    """
    rows = np.flatnonzero(keys.split == SPLITS.index(split))
    rows = rows[np.argsort(keys.group_order[rows], kind="stable")]
    labels = keys.label[rows]
    positions = np.empty(len(rows))
    for label in np.unique(labels):
        has_label = labels == label
        count = int(has_label.sum())
        positions[has_label] = (np.arange(count) + 0.5) / count
    return rows[np.argsort(positions, kind="stable")[:size]]


def check_leakage(
    task: str, keys: RowKeys, chosen: Mapping[str, Numbers], row: Callable[[int], Row]
) -> dict[str, dict[str, int]]:
    """The number of different inputs (case, punctuation and white space aside) and groups in each split, and shared by splits.

    Raises UserError where any is shared; ``row`` returns the row with a number.
    """
    counts = {}
    for name, values in (("input", keys.input), ("group", keys.group)):
        different = {split: len(np.unique(values[chosen[split]])) for split in SPLITS}
        together = len(np.unique(np.concatenate([values[chosen[split]] for split in SPLITS])))
        counts[f"{name}s"] = {**different, "shared": sum(different.values()) - together}
        for index, second in enumerate(SPLITS):
            for first in SPLITS[:index]:
                shared = np.flatnonzero(np.isin(values[chosen[second]], values[chosen[first]]))
                if len(shared):
                    copy = chosen[second][shared[0]]
                    original = chosen[first][values[chosen[first]] == values[copy]][0]
                    raise UserError(
                        f"tasks.{task}: {row(int(copy)).source} in {second} has the same {name} as "
                        f"{row(int(original)).source} in {first}; remove one of them from the data set, or let the project "
                        "draw the split"
                    )
    return counts

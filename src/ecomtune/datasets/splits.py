"""Splits that hold and sub-samples that nest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from ecomtune.errors import UserError
from ecomtune.records import Row

SPLITS = ("train", "validation", "test")
#: Where a data set has no official split: the share of groups in test, and in validation.
TEST_SHARE, VALIDATION_SHARE = 0.1, 0.1


def split_rows(rows: Iterable[Row], seed: int) -> dict[str, list[Row]]:
    """Rows by split: the official one, else by a hash of the group, so that no group is ever divided."""
    splits: dict[str, list[Row]] = {name: [] for name in SPLITS}
    for row in rows:
        splits[row.split or _drawn_split(row.group, seed)].append(row)
    return splits


def _drawn_split(group: str, seed: int) -> str:
    share = _order(group, f"split/{seed}") / 2**256
    if share < TEST_SHARE:
        return "test"
    return "validation" if share < TEST_SHARE + VALIDATION_SHARE else "train"


def sample(rows: Sequence[Row], size: int, seed: int) -> list[Row]:
    """The first ``size`` rows of one seeded shuffle of the groups; a smaller sample is the beginning of a larger one.

    A group's place depends on its name and the seed alone, so that it stays when other rows come or go.
    """
    ordered = sorted(range(len(rows)), key=lambda index: (_order(rows[index].group, f"sample/{seed}"), index))
    return [rows[index] for index in ordered[:size]]


def _order(group: str, salt: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{salt}/{group}".encode()).digest())


def check_leakage(task: str, splits: Mapping[str, Sequence[Row]], input_key: Callable[[Row], str]) -> None:
    """Raises UserError where two splits share an input (case, punctuation and white space aside) or a group."""
    for name, key_of in (("input", input_key), ("group", lambda row: row.group)):
        seen: dict[str, tuple[str, Row]] = {}
        for split in SPLITS:
            for row in splits[split]:
                other = seen.setdefault(key_of(row), (split, row))
                if other[0] != split:
                    raise UserError(
                        f"tasks.{task}: {row.source} in {split} has the same {name} as {other[1].source} in {other[0]}; "
                        "remove one of them from the data set, or let the project draw the split"
                    )

"""How many rows each task contributes to a mixed training: in proportion, equally, by temperature or by weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from typing import TypeVar

from ecomtune.core.config import Mix

Row = TypeVar("Row")


def mix_rows(rows: Mapping[str, Sequence[Row]], mix: Mix) -> list[Row]:
    """Each task's first rows, as many as ``mix`` asks for; a task with fewer rows repeats them from the first."""
    counts = row_counts({task: len(own) for task, own in rows.items()}, mix)
    return [row for task, own in rows.items() for row in islice(cycle(own), counts[task])]


def row_counts(sizes: Mapping[str, int], mix: Mix) -> dict[str, int]:
    """The number of rows of each task, ``mix.rows`` in all (default: the sum of ``sizes``), by largest remainders; 0 for an
    empty task."""
    total = mix.rows or sum(sizes.values())
    shares = {task: _share(task, size, mix) if size else 0.0 for task, size in sizes.items()}
    scale = total / (sum(shares.values()) or 1.0)
    counts = {task: int(share * scale) for task, share in shares.items()}
    missing = total - sum(counts.values()) if any(shares.values()) else 0
    by_remainder = sorted(sizes, key=lambda task: (counts[task] - shares[task] * scale, task))
    return {task: count + (task in by_remainder[:missing]) for task, count in counts.items()}


def _share(task: str, size: int, mix: Mix) -> float:
    if mix.by == "equal":
        return 1.0
    if mix.by == "weights":
        return mix.weights[task]
    return float(size ** (1 / (mix.temperature or 1.0)))

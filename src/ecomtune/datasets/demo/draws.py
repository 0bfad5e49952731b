"""Random draws of the demo shop, the same in every version of Python."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

Item = TypeVar("Item")

#: Draws in a row before a wish counts as one that the vocabulary can't fulfil; the demo shop needs about 50 at most.
ATTEMPTS: Final = 2_000


def pick(rng: random.Random, options: Sequence[Item]) -> Item:
    """One of ``options``, by random() alone: nothing else keeps its sequence in every version of Python."""
    return options[int(rng.random() * len(options))]


def shuffled(rng: random.Random, items: Iterable[Item]) -> list[Item]:
    """``items`` in random order."""
    return sorted(items, key=lambda _: rng.random())


def first_fit(draw: Callable[[], Item | None], wish: str) -> Item:
    """The first draw that isn't None. Raises RuntimeError naming the wish where ``ATTEMPTS`` draws give none."""
    for _ in range(ATTEMPTS):
        drawn = draw()
        if drawn is not None:
            return drawn
    raise RuntimeError(
        f"the demo shop finds no {wish} in {ATTEMPTS} draws; give demo_words more variety, or ask for less in demo_records"
    )

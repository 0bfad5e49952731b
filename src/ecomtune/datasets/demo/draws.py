"""Random draws of the demo shop, the same in every version of Python."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

Item = TypeVar("Item")

#: Draws after which the vocabulary counts as too small for what is wanted; the demo shop needs about 50 at most.
ATTEMPTS: Final = 2_000


def pick(rng: random.Random, options: Sequence[Item]) -> Item:
    """One of ``options``, by random() alone, the only method whose sequence is the same in every version of Python."""
    return options[int(rng.random() * len(options))]


def shuffled(rng: random.Random, items: Iterable[Item]) -> list[Item]:
    """``items`` in random order."""
    return sorted(items, key=lambda _: rng.random())


def first_fit(draw: Callable[[], Item | None], wanted: str) -> Item:
    """The first draw that isn't None. Raises RuntimeError naming what is ``wanted`` where ``ATTEMPTS`` draws are all None."""
    for _ in range(ATTEMPTS):
        drawn = draw()
        if drawn is not None:
            return drawn
    raise RuntimeError(
        f"the demo shop finds no {wanted} in {ATTEMPTS} draws; add variety to demo/vocabulary.py, "
        "or ask for less in demo/schema.py"
    )

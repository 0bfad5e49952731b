"""Which training examples a prompt shows before it asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ecomtune.errors import UserError
from ecomtune.records import Example


def choose_demonstrations(examples: Sequence[Example], shots: int) -> list[Example]:
    """The first ``shots`` examples, each of a group of its own, that show as many different targets as there are.

    Raises UserError where there are fewer groups than ``shots``.
    """
    chosen: list[Example] = []
    while len(chosen) < shots:
        groups = {example.group for example in chosen}
        shown = Counter(example.target for example in chosen)
        others = [example for example in examples if example.group not in groups]
        if not others:
            raise UserError(
                f"{shots} shots need as many groups of training examples, there are {len(groups)}; lower the system's shots"
            )
        chosen.append(min(others, key=lambda example: shown[example.target]))
    return chosen

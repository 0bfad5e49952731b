"""Which training examples a prompt shows before it asks."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecomtune.core.config import System
from ecomtune.core.paths import PRETRAINED
from ecomtune.core.records import Example
from ecomtune.core.text import normalize
from ecomtune.messages.errors import UserError
from ecomtune.tasks.base import Fields, Task, text_of

#: What a prompt shows: the fields and the target of each demonstration.
Shown = Sequence[tuple[Fields, str]]
#: The last digits of a similarity depend on the machine: so many count, and what is equal in them goes by id.
DIGITS = 5


def demonstrations_for(
    rows: Sequence[Example], train: Sequence[Example], task: Task, system: System, seed: int
) -> list[list[Example]]:
    """The training examples that the prompt of each row shows, in their order there.

    ``fixed`` ones are the same for all rows and ``random`` ones drawn for each row; ``bm25`` and ``nearest`` ones are its most
    similar inputs, by words in common or by an encoder's vectors (arXiv 2101.06804), each of a group of its own and none of the
    row's. The most similar one stands last, next to the question, since models lean towards what they have read last (recency
    bias, arXiv 2102.09690). Raises UserError where there are fewer groups than shots.
    """
    if not system.shots or system.demonstrations == "fixed":
        return [choose_demonstrations(train, system.shots)] * len(rows)
    if (groups := len({example.group for example in train})) < system.shots:
        raise _too_few(system.shots, groups)
    ordered = sorted(train, key=lambda example: example.id)
    orders = _orders(rows, ordered, task, system, seed)
    return [
        _of_other_groups(row, (ordered[place] for place in order), system.shots)
        for row, order in zip(rows, orders, strict=True)
    ]


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
            raise _too_few(shots, len(groups))
        chosen.append(min(others, key=lambda example: shown[example.target]))
    return chosen


def _of_other_groups(row: Example, examples: Iterable[Example], shots: int) -> list[Example]:
    """The first ``shots`` examples, each of a group of its own and none of the row's, the first one last."""
    chosen: dict[str, Example] = {}
    for example in examples:
        if example.group != row.group:
            chosen.setdefault(example.group, example)
        if len(chosen) == shots:
            return list(chosen.values())[::-1]
    raise _too_few(shots, len(chosen))


def _too_few(shots: int, groups: int) -> UserError:
    return UserError(f"{shots} shots need as many groups of training examples, there are {groups}; lower the system's shots")


def _orders(
    rows: Sequence[Example], train: Sequence[Example], task: Task, system: System, seed: int
) -> Iterator[Sequence[int] | NDArray[np.intp]]:
    """For each row the places of the training examples, the best one first; equally good ones in their order."""
    if system.demonstrations == "random":
        for row in rows:
            yield random.Random(f"{seed} {row.id}").sample(range(len(train)), len(train))
        return
    texts = [" ".join(text_of(example.fields, name) for name in task.required_fields) for example in (*train, *rows)]
    known, asked = texts[: len(train)], texts[len(train) :]
    for scores in _shared_words(known, asked) if system.demonstrations == "bm25" else _nearness(known, asked, system):
        yield np.argsort(-scores.round(DIGITS), kind="stable")


def _shared_words(known: Sequence[str], asked: Sequence[str]) -> Iterator[NDArray[np.floating[Any]]]:
    """For each text that is asked for its BM25 score with each known one [known].

    BM25+ (Lv and Zhai 2011), since in Okapi BM25 a word that more than half of the texts have counts against them.
    """
    from rank_bm25 import BM25Plus

    index = BM25Plus([_words(text) for text in known])
    for text in asked:
        yield index.get_scores(_words(text))


def _words(text: str) -> list[str]:
    return normalize(text).split() or [text]  # of punctuation alone is a word too: BM25 divides by their number


def _nearness(known: Sequence[str], asked: Sequence[str], system: System) -> Iterator[NDArray[np.floating[Any]]]:
    """For each text that is asked for the cosine of its vector with that of each known one [known]."""
    from ecomtune.models.embeddings import embed

    vectors = embed(PRETRAINED / str(system.encoder), [*known, *asked])
    for vector in vectors[len(known) :]:
        yield vectors[: len(known)] @ vector

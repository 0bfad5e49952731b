"""Which training examples a prompt shows before it asks."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecomtune.core.config import System
from ecomtune.core.paths import PRETRAINED
from ecomtune.core.records import Example
from ecomtune.core.text import words_of
from ecomtune.messages.errors import UserError
from ecomtune.tasks.base import PromptForm, Task
from ecomtune.tasks.row_text import Fields, text_of

#: Decimal places of a similarity that count, since later ones depend on the machine; equal similarities are ordered by id.
DIGITS = 5


def prompt_text(task: Task, form: PromptForm, fields: Fields, demonstrations: Sequence[Example]) -> str:
    """The prompt that asks for the answer to a row's fields, behind its demonstrations."""
    return task.prompt(fields, form, [(example.fields, example.target) for example in demonstrations])


def demonstrations_for(
    rows: Sequence[Example], train: Sequence[Example], task: Task, system: System, seed: int
) -> list[list[Example]]:
    """The training examples that the prompt of each row shows, in their order there.

    ``fixed`` ones are the same for all rows, and ``random`` ones are drawn for each row; ``bm25`` and ``nearest`` ones are its
    most similar inputs, by shared words or by an encoder's vectors (arXiv 2101.06804). Each is of a different group, and none
    of the row's own. The most similar one comes last, next to the question, since models lean towards what they have read last
    (recency bias, arXiv 2102.09690). Raises UserError where there are fewer groups than shots.
    """
    if not system.shots or system.demonstrations == "fixed":
        return [choose_demonstrations(train, system.shots)] * len(rows)
    if (groups := len({example.group for example in train})) < system.shots:
        raise _too_few_groups(system.shots, groups)
    ordered = sorted(train, key=lambda example: example.id)
    orders = _orders(rows, ordered, task, system, seed)
    return [
        _of_other_groups(row, (ordered[position] for position in order), system.shots)
        for row, order in zip(rows, orders, strict=True)
    ]


def choose_demonstrations(examples: Sequence[Example], shots: int) -> list[Example]:
    """The first ``shots`` examples, each of a different group, that show as many different targets as possible.

    Raises UserError where there are fewer groups than ``shots``.
    """
    chosen: list[Example] = []
    while len(chosen) < shots:
        groups = {example.group for example in chosen}
        shown = Counter(example.target for example in chosen)
        others = [example for example in examples if example.group not in groups]
        if not others:
            raise _too_few_groups(shots, len(groups))
        chosen.append(min(others, key=lambda example: shown[example.target]))
    return chosen


def _of_other_groups(row: Example, examples: Iterable[Example], shots: int) -> list[Example]:
    """The first ``shots`` examples, each of a different group and none of the row's own, in reverse order."""
    chosen: dict[str, Example] = {}
    for example in examples:
        if example.group != row.group:
            chosen.setdefault(example.group, example)
        if len(chosen) == shots:
            return list(chosen.values())[::-1]
    raise _too_few_groups(shots, len(chosen))


def _too_few_groups(shots: int, groups: int) -> UserError:
    return UserError(
        f"{shots} shots need as many groups of training examples, but there are {groups}; lower the system's shots"
    )


def _orders(
    rows: Sequence[Example], train: Sequence[Example], task: Task, system: System, seed: int
) -> Iterator[Sequence[int] | NDArray[np.intp]]:
    """For each row the positions of the training examples, the best first; equally good ones keep their order."""
    if system.demonstrations == "random":
        for row in rows:
            yield random.Random(f"{seed} {row.id}").sample(range(len(train)), len(train))
        return
    texts = [" ".join(text_of(example.fields, name) for name in task.required_fields) for example in (*train, *rows)]
    documents, queries = texts[: len(train)], texts[len(train) :]
    if system.demonstrations == "bm25":
        similarities = _bm25_scores(documents, queries)
    else:
        similarities = _cosines(documents, queries, PRETRAINED / str(system.encoder))
    for scores in similarities:
        yield np.argsort(-scores.round(DIGITS), kind="stable")


def _bm25_scores(documents: Sequence[str], queries: Sequence[str]) -> Iterator[NDArray[np.floating[Any]]]:
    """For each query its BM25 score with each document [documents].

    BM25+ (Lv and Zhai 2011), since in Okapi BM25 a word that more than half of the documents contain counts against them.
    """
    from rank_bm25 import BM25Plus

    # a text of punctuation alone is one word, since BM25 divides by their number
    index = BM25Plus([words_of(text) or [text] for text in documents])
    for text in queries:
        yield index.get_scores(words_of(text) or [text])


def _cosines(documents: Sequence[str], queries: Sequence[str], encoder: Path) -> Iterator[NDArray[np.floating[Any]]]:
    """For each query the cosine of its vector with that of each document [documents]."""
    from ecomtune.models.embeddings import embed

    vectors = embed(encoder, [*documents, *queries])
    for vector in vectors[len(documents) :]:
        yield vectors[: len(documents)] @ vector

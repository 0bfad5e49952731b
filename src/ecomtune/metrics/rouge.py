"""ROUGE-1, 2, L and Lsum (F measure), always with the Porter stemmer; of several references the best-scoring one counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import numpy as np
from rouge_score.rouge_scorer import RougeScorer

from ecomtune.metrics.bootstrap import Counts
from ecomtune.metrics.counted import CountedMetric, ratio
from ecomtune.metrics.graded import Graded, Tagged

TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
USE_STEMMER = True
#: Characters of an answer that are scored: the cost grows with the product of both lengths, and a megabyte would take minutes.
LONGEST_ANSWER = 20_000


class Rouge(CountedMetric):
    """A row's counts: its four scores, and 1. An invalid (empty) answer scores 0; of a very long one the start counts."""

    description = "ROUGE-1/2/L/Lsum F measure with the Porter stemmer, best of the references"

    def count(self, predictions: Sequence[Graded | None], references: Sequence[Graded]) -> Counts:
        counts = np.ones((len(references), len(TYPES) + 1))
        for row, (answer, gold) in enumerate(zip(predictions, references, strict=True)):
            texts = _texts(gold) or [""]  # without references every answer scores 0
            joined = " ".join(_texts(answer))[:LONGEST_ANSWER]
            counts[row, :-1] = _scores(_lines(joined), [_lines(text) for text in texts])
        return counts

    def values(self, counts: Counts) -> dict[str, Counts]:
        return {name: ratio(counts[..., place], counts[..., -1]) for place, name in enumerate(TYPES)}


@cache
def _scorer() -> RougeScorer:
    return RougeScorer(list(TYPES), use_stemmer=USE_STEMMER)


def _scores(answer: str, references: Sequence[str]) -> list[float]:
    found = _scorer().score_multi(list(references), answer)
    return [found[name].fmeasure for name in TYPES]


def _texts(side: Graded | None) -> Sequence[str]:
    if isinstance(side, Tagged):
        return side.tags
    return [side] if isinstance(side, str) else side or []


def _lines(text: str) -> str:
    """``text`` with one sentence a line, because ROUGE-Lsum splits sentences at line breaks."""
    return re.sub(r"(?<=[.!?])\s+", "\n", text.strip())


METRIC = Rouge

"""ROUGE-1, 2, L and Lsum (F measure), always with the Porter stemmer; of several references the best-scoring one counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import numpy as np
from rouge_score.rouge_scorer import RougeScorer

from ecomtune.core.records import Reference
from ecomtune.metrics.bootstrap import Counts
from ecomtune.metrics.counted import CountedMetric, ratio

TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
USE_STEMMER = True
#: Characters of an answer that are scored: the cost grows with the product of both lengths, and a megabyte would take minutes.
LONGEST_ANSWER = 20_000


class Rouge(CountedMetric):
    """A row's counts: its four scores, and 1. An invalid (empty) answer scores 0; of a very long one the start counts."""

    description = "ROUGE-1/2/L/Lsum F measure with the Porter stemmer, best of the references"

    def count(self, predictions: Sequence[Reference | None], references: Sequence[Reference]) -> Counts:
        counts = np.ones((len(references), len(TYPES) + 1))
        for row, (answer, gold) in enumerate(zip(predictions, references, strict=True)):
            texts = [gold] if isinstance(gold, str) else gold or [""]  # without references every answer scores 0
            counts[row, :-1] = _scores(_lines(_joined(answer)[:LONGEST_ANSWER]), [_lines(text) for text in texts])
        return counts

    def values(self, counts: Counts) -> dict[str, Counts]:
        return {name: ratio(counts[..., place], counts[..., -1]) for place, name in enumerate(TYPES)}


@cache
def _scorer() -> RougeScorer:
    return RougeScorer(list(TYPES), use_stemmer=USE_STEMMER)


def _scores(answer: str, references: Sequence[str]) -> list[float]:
    found = _scorer().score_multi(list(references), answer)
    return [found[name].fmeasure for name in TYPES]


def _joined(answer: Reference | None) -> str:
    return answer if isinstance(answer, str) else " ".join(answer or [])


def _lines(text: str) -> str:
    """``text`` with one sentence a line, because ROUGE-Lsum splits sentences at line breaks."""
    return re.sub(r"(?<=[.!?])\s+", "\n", text.strip())


METRIC = Rouge

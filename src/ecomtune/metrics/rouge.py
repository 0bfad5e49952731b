"""ROUGE-1, 2, L and Lsum (F measure); of several references the best-scoring one counts.

rouge_score's own tokenizer keeps nothing but a-z and 0-9, so that equal texts in another script score 0. For these there is a
second one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer, Tokenizer

from ecomtune.core.text import normalize
from ecomtune.messages.errors import UserError
from ecomtune.metrics.bootstrap import Counts
from ecomtune.metrics.counted import CountedMetric, ratio
from ecomtune.metrics.graded import Graded, Tagged

TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
LATIN: Final = "latin"
UNICODE: Final = "unicode"
USE_STEMMER = True
#: Characters of an answer that are scored: the cost grows with the product of both lengths, and a megabyte would take minutes.
LONGEST_ANSWER = 20_000
#: First and last characters of scripts without spaces between words: Thai, Lao, Myanmar, Khmer, Chinese and Japanese.
_UNSPACED = (
    ("\u0e00", "\u0eff"),
    ("\u1000", "\u109f"),
    ("\u1780", "\u17ff"),
    ("\u3005", "\u3007"),
    ("\u3040", "\u30ff"),
    ("\u31f0", "\u31ff"),
    ("\u3400", "\u4dbf"),
    ("\u4e00", "\u9fff"),
    ("\ua9e0", "\ua9ff"),
    ("\uaa60", "\uaa7f"),
    ("\uf900", "\ufaff"),
    ("\U0001b000", "\U0001b16f"),
    ("\U00020000", "\U000323af"),
)


class Rouge(CountedMetric):
    """A row's counts: its four scores, and 1. An invalid (empty) answer scores 0; of a very long one the start counts.

    ``tokenizer`` is "latin", rouge_score's own with the Porter stemmer, or "unicode", which knows the words of any script and
    stems none.
    """

    description = (
        "ROUGE-1/2/L/Lsum F measure, best of the references; the words are those of rouge_score (a-z, 0-9, Porter stemmer), or "
        "with tokenizer unicode those of any script"
    )

    def __init__(self, tokenizer: str = LATIN) -> None:
        if tokenizer not in (LATIN, UNICODE):
            raise UserError(f"metric rouge has no tokenizer {tokenizer!r}; write {LATIN} or {UNICODE}")
        self.tokenizer = tokenizer

    def count(self, predictions: Sequence[Graded | None], references: Sequence[Graded]) -> Counts:
        counts = np.ones((len(references), len(TYPES) + 1))
        for row, (answer, gold) in enumerate(zip(predictions, references, strict=True)):
            texts = _texts(gold) or [""]  # without references every answer scores 0
            joined = " ".join(_texts(answer))[:LONGEST_ANSWER]
            counts[row, :-1] = self._scores(joined, texts)
        return counts

    def values(self, counts: Counts) -> dict[str, Counts]:
        return {name: ratio(counts[..., place], counts[..., -1]) for place, name in enumerate(TYPES)}

    def details(self, predictions: Sequence[Graded | None], references: Sequence[Graded]) -> dict[str, Any]:
        """The tokenizer, unless it is the usual one."""
        return {} if self.tokenizer == LATIN else {"tokenizer": self.tokenizer}

    def _scores(self, answer: str, references: Sequence[str]) -> list[float]:
        lines = [_lines(text, self.tokenizer) for text in (answer, *references)]
        found = _scorer(self.tokenizer).score_multi(lines[1:], lines[0])
        return [found[name].fmeasure for name in TYPES]


class UnicodeTokenizer(Tokenizer):
    """Lower-cased words of letters, digits and their marks; a script without spaces has a word of each character."""

    def tokenize(self, text: str) -> list[str]:
        return [piece for word in normalize(text).split() for piece in _pieces().findall(word)]


@cache
def _pieces() -> re.Pattern[str]:
    """A pattern of one character of a script without spaces with its marks, or of a run of other characters."""
    unspaced = "".join(f"{first}-{last}" for first, last in _UNSPACED)
    inside = (chr(code) for first, last in _UNSPACED for code in range(ord(first), ord(last) + 1))
    marks = "".join(char for char in inside if unicodedata.category(char) in ("Mn", "Mc"))
    return re.compile(f"[{unspaced}][{marks}]*|[^{unspaced}]+")


@cache
def _scorer(tokenizer: str) -> RougeScorer:
    words = DefaultTokenizer(USE_STEMMER) if tokenizer == LATIN else UnicodeTokenizer()
    return RougeScorer(list(TYPES), tokenizer=words)


def _texts(side: Graded | None) -> Sequence[str]:
    if isinstance(side, Tagged):
        return side.tags
    return [side] if isinstance(side, str) else side or []


def _lines(text: str, tokenizer: str) -> str:
    """``text`` with one sentence a line, because ROUGE-Lsum splits sentences at line breaks."""
    end = r"(?<=[.!?])\s+" if tokenizer == LATIN else r"(?<=[.!?؟।።])\s+|(?<=[。！？｡])\s*"
    return re.sub(end, "\n", text.strip())


METRIC = Rouge

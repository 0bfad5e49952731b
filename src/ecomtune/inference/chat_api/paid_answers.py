"""Answers that were paid for: each is written to scratch as soon as it arrives, so that none is paid for twice."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from ecomtune.core.config import Endpoint
from ecomtune.core.files import dump_json, write_text
from ecomtune.core.paths import SCRATCH
from ecomtune.core.records import Record

#: One file for each answer, named by the sha256 of its question. Whoever deletes them pays again.
FOLDER = SCRATCH / "endpoint"
#: The most tokens of a question or an answer: far more than any model reads, and few enough to be summed over all rows.
MOST_TOKENS = 10**9


@dataclass(frozen=True)
class Question:
    """Everything that determines an answer: who is asked, what, and how the answer is decoded."""

    base: str
    model: str
    prompt: str
    temperature: float
    max_tokens: int

    @property
    def file(self) -> Path:
        """Where its answer is stored."""
        return FOLDER / f"{hashlib.sha256(dump_json(asdict(self)).encode()).hexdigest()}.json"


class PaidAnswer(Record):
    """An answer and the tokens that it cost, None where the server doesn't count them."""

    answer: str
    input_tokens: int | None = Field(ge=0, le=MOST_TOKENS)
    output_tokens: int | None = Field(ge=0, le=MOST_TOKENS)


def lookup(question: Question) -> PaidAnswer | None:
    """The answer that was paid for before; None where there is none, or its file is incomplete."""
    try:
        return PaidAnswer.model_validate_json(question.file.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def store(question: Question, answer: PaidAnswer) -> None:
    """Write an answer, completely or not at all."""
    write_text(question.file, dump_json(answer.model_dump()))


@dataclass(frozen=True)
class Total:
    """What some answers cost: tokens, and money where the prices are known. ``uncounted`` answers came without token counts."""

    answers: int
    input_tokens: int
    output_tokens: int
    uncounted: int
    cost: float | None

    def __str__(self) -> str:
        text = f"{self.answers:,} ({self.input_tokens:,} tokens in, {self.output_tokens:,} out"
        text += f", {self.uncounted:,} of them not counted by the server" if self.uncounted else ""
        return text + (")" if self.cost is None else f", cost {self.cost:.4f})")


def total(answers: Sequence[PaidAnswer], endpoint: Endpoint) -> Total:
    """The sums over ``answers``, at the endpoint's prices of a million tokens."""
    tokens_in = sum(answer.input_tokens or 0 for answer in answers)
    tokens_out = sum(answer.output_tokens or 0 for answer in answers)
    uncounted = sum(None in (answer.input_tokens, answer.output_tokens) for answer in answers)
    cost = None
    if endpoint.input_price is not None and endpoint.output_price is not None:
        cost = (tokens_in * endpoint.input_price + tokens_out * endpoint.output_price) / 1e6
    return Total(len(answers), tokens_in, tokens_out, uncounted, cost)

"""How many tokens a row has: counted where examples are there, else what is known of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict

from ecomtune.core.config.params import Params
from ecomtune.core.files import read_checked
from ecomtune.core.paths import EXAMPLES, PRETRAINED
from ecomtune.core.records import Record, read_records
from ecomtune.datasets.registry import load_reader
from ecomtune.messages.errors import reading
from ecomtune.models.tokenization import common_prefix_length
from ecomtune.tasks.registry import load_task

#: Rows by which the tokens of a row are estimated.
SAMPLE = 200
#: Characters that count as one token where no tokenizer is there.
CHARACTERS = 4
#: How tokens are known: counted on examples, those of the data set's typical row, or the most that there can be.
Basis = Literal["counted", "typical", "most"]
#: What stands before a number that rests on them, the surest first.
MARKS: dict[Basis, str] = {"counted": "", "typical": "~ ", "most": "≤ "}


def weakest(bases: Iterable[Basis]) -> Basis:
    """How a sum of tokens is known that are known in these ways."""
    return max(bases, key=list(MARKS).index, default="counted")


@dataclass(frozen=True)
class RowTokens:
    """Tokens that all rows of a task share at their beginning, and those that a row has of its own, in the mean."""

    prefix: int
    own: int
    basis: Basis = "counted"


class _Texts(Record):
    """What the model reads of an example."""

    model_config = ConfigDict(extra="ignore")
    prompt: str
    target: str


def row_tokens(params: Params, task: str, root: Path) -> RowTokens:
    """Tokens of a row's prompt and target: counted on examples of its data set, else as its reader says, else the most.

    Raises UserError where the examples, their report or the tokenizer are broken.
    """
    folder, settings, shared = root / EXAMPLES / task, params.tasks[task], params.train.shared
    report = folder / "report.json"
    if report.is_file() and read_checked(report, dict[str, Any]).get("dataset") == settings.dataset:
        return tokens_of(folder / "train.jsonl", root, shared.model)
    typical = getattr(load_reader(params.datasets[settings.dataset].reader), "ROW_TOKENS", {}).get(task)
    if typical is None:
        return RowTokens(0, shared.max_length, "most")
    prefix = min(len(load_task(task).instructions[settings.prompt]) // CHARACTERS, shared.max_length)
    return RowTokens(prefix, min(typical, shared.max_length - prefix), "typical")


@lru_cache
def tokens_of(examples: Path, root: Path, model: str) -> RowTokens:
    """Tokens of the first examples of a file, by the model's tokenizer where it is there."""
    texts = [f"{row.prompt}\n{row.target}" for row in read_records(examples, _Texts, SAMPLE)]
    tokenizer = root / PRETRAINED / model / "tokenizer.json"
    if tokenizer.is_file():
        from tokenizers import Tokenizer

        with reading(tokenizer):
            pieces: list[Sequence[int]] = [each.ids for each in Tokenizer.from_file(str(tokenizer)).encode_batch(texts)]
    else:
        pieces = [list(text.encode("utf-32-le")[:: 4 * CHARACTERS]) for text in texts]
    prefix = common_prefix_length(pieces)
    return RowTokens(prefix, sum(map(len, pieces)) // max(len(pieces), 1) - prefix)

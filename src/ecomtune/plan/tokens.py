"""The number of tokens in a row: counted on examples if there are any, otherwise estimated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict

from ecomtune.core.config.params import Params
from ecomtune.core.files import read_json_as
from ecomtune.core.paths import EXAMPLES, FORMAT_REPORT, PRETRAINED, examples_file
from ecomtune.core.records import Record, read_records
from ecomtune.datasets.registry import load_reader
from ecomtune.messages.errors import reading
from ecomtune.models.tokenization import common_prefix_length
from ecomtune.tasks.registry import load_task

#: The number of rows on which tokens are counted.
SAMPLE = 200
#: Characters that count as one token if there is no tokenizer.
CHARACTERS = 4
#: Where a number of tokens comes from: counted on examples, typical of the data set, or an upper bound.
Basis = Literal["counted", "typical", "most"]
#: The sign before such a number, the most reliable basis first.
MARKS: dict[Basis, str] = {"counted": "", "typical": "~ ", "most": "≤ "}


def least_reliable(bases: Iterable[Basis]) -> Basis:
    """The basis of a sum of numbers that have these bases."""
    return max(bases, key=list(MARKS).index, default="counted")


@dataclass(frozen=True)
class RowTokens:
    """Tokens of the prefix that all rows of a task share, and the mean number of tokens that follow it in a row."""

    prefix: int
    own: int
    basis: Basis = "counted"


class _Texts(Record):
    """The two texts of an example that a model reads."""

    model_config = ConfigDict(extra="ignore")
    prompt: str
    target: str


def row_tokens(params: Params, task: str, root: Path) -> RowTokens:
    """Tokens of a row's prompt and target: counted on the task's examples, else typical of its data set, else the maximum.

    Raises UserError if the examples, their report or the tokenizer are broken.
    """
    folder, settings, shared = root / EXAMPLES / task, params.tasks[task], params.train.shared
    report = folder / FORMAT_REPORT
    if report.is_file() and read_json_as(report, dict[str, Any]).get("dataset") == settings.dataset_names:
        return count_row_tokens(examples_file(task, "train", root), root, shared.model)
    asked = load_task(params, task)
    readers = [load_reader(params.datasets[name].reader) for name in settings.dataset]
    known = [getattr(reader, "ROW_TOKENS", {}).get(asked.definition.kind) for reader in readers]
    typical = max((tokens for tokens in known if tokens is not None), default=None)
    if typical is None or None in known:
        return RowTokens(0, shared.max_length, "most")
    prefix = min(len(asked.instruction(settings.prompt)) // CHARACTERS, shared.max_length)
    return RowTokens(prefix, min(typical, shared.max_length - prefix), "typical")


@lru_cache
def count_row_tokens(examples: Path, root: Path, model: str) -> RowTokens:
    """Tokens in the first SAMPLE examples of a file, by the model's tokenizer if it has been downloaded."""
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

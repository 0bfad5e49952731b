"""How many tokens a baseline reads and writes, counted without the libraries that load its model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from ecomtune.baselines.inputs import input_pair, input_text
from ecomtune.core.config import Baseline
from ecomtune.core.records import Example
from ecomtune.messages.errors import reading
from ecomtune.tasks.base import Task


def count_baseline_tokens(
    settings: Baseline, task: Task, folder: Path, examples: Sequence[Example], answers: Sequence[str]
) -> tuple[int, int]:
    """Tokens of all inputs, truncated as for the model, and of all answers; an encoder writes none, a floor has neither."""
    if settings.model is None:
        return 0, 0
    file = folder / "tokenizer.json"
    with reading(file):
        tokenizer = Tokenizer.from_str(file.read_text(encoding="utf-8"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(settings.max_length)
    read = sum(len(_encoded(tokenizer, settings, task, example)) for example in examples)
    if settings.family == "encoder":
        return read, 0
    tokenizer.no_truncation()
    return read, sum(len(tokenizer.encode(answer, add_special_tokens=False)) for answer in answers)


def _encoded(tokenizer: Tokenizer, settings: Baseline, task: Task, example: Example) -> Any:
    if settings.family == "seq2seq":
        return tokenizer.encode(input_text(example, task))
    if task.decoder == "tags":
        return tokenizer.encode(list(task.words(example.fields)), is_pretokenized=True)
    return tokenizer.encode(*input_pair(example, task))

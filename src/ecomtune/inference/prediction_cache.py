"""Answers kept in scratch, so that a stage that DVC runs anew does not ask again what was answered before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ecomtune.core.files import dump_json, parse_json, write_text
from ecomtune.core.paths import SCRATCH
from ecomtune.core.text import replace_surrogates


def remembered(decides: Mapping[str, Any], number: int, answer: Callable[[], list[str]]) -> list[str]:
    """The ``number`` raw answers that ``answer`` gives, or gave when all that ``decides`` them (JSON values) was the same."""
    if (known := recall(decides, number)) is not None:
        return known
    return keep(decides, answer())


def keep(decides: Mapping[str, Any], answers: list[str]) -> list[str]:
    """Keep the answers that ``decides`` decides, and give them as they are kept.

    Half a character (a lone surrogate), which no file can hold, becomes a question mark.
    """
    kept = [replace_surrogates(answer) for answer in answers]
    write_text(_file(decides), dump_json(kept))
    return kept


def _file(decides: Mapping[str, Any]) -> Path:
    return SCRATCH / "answers" / f"{hashlib.sha256(dump_json(dict(decides)).encode()).hexdigest()}.json"


def recall(decides: Mapping[str, Any], number: int) -> list[str] | None:
    """The answers that were kept; None where there are none, or not ``number`` of them whole."""
    try:
        answers = parse_json(_file(decides).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    complete = isinstance(answers, list) and len(answers) == number and all(isinstance(answer, str) for answer in answers)
    return answers if complete else None

"""Answers kept in scratch, so that a stage that DVC runs anew does not ask again what was answered before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ecomtune.files import SCRATCH, dump_json, write_text
from ecomtune.text import whole


def remembered(decides: Mapping[str, Any], number: int, answer: Callable[[], list[str]]) -> list[str]:
    """The ``number`` raw answers that ``answer`` gives, or gave when all that ``decides`` them (JSON values) was the same.

    Half a character (a lone surrogate), which no file can hold, is kept as a question mark.
    """
    key = hashlib.sha256(dump_json(dict(decides)).encode()).hexdigest()
    file = SCRATCH / "answers" / f"{key}.json"
    if (known := _whole(file, number)) is not None:
        return known
    answers = [whole(each) for each in answer()]
    write_text(file, dump_json(answers))
    return answers


def _whole(file: Path, number: int) -> list[str] | None:
    """The answers kept in ``file``; None where it isn't there or doesn't hold ``number`` answers whole."""
    try:
        answers = json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    whole = isinstance(answers, list) and len(answers) == number and all(isinstance(answer, str) for answer in answers)
    return answers if whole else None

"""Predictions kept in scratch, so that a stage that DVC reruns doesn't compute again what was answered before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ecomtune.core.files import dump_json, parse_json, write_text
from ecomtune.core.paths import SCRATCH
from ecomtune.core.text import replace_surrogates

#: All that determines the answers, as JSON values: model, code, inputs, settings.
Key = Mapping[str, Any]


def cached(key: Key, number: int, answer: Callable[[], list[str]]) -> list[str]:
    """The ``number`` raw answers stored under ``key``; without any, those that ``answer`` returns, which are then stored."""
    found = lookup(key, number)
    return store(key, answer()) if found is None else found


def lookup(key: Key, number: int) -> list[str] | None:
    """The answers stored under ``key``; None where there are none, or where the file doesn't hold ``number`` texts."""
    try:
        answers = parse_json(_file(key).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    complete = isinstance(answers, list) and len(answers) == number and all(isinstance(answer, str) for answer in answers)
    return answers if complete else None


def store(key: Key, answers: list[str]) -> list[str]:
    """Store the answers under ``key``, and return them as stored: with a question mark for each lone surrogate."""
    stored = [replace_surrogates(answer) for answer in answers]
    write_text(_file(key), dump_json(stored))
    return stored


def _file(key: Key) -> Path:
    return SCRATCH / "answers" / f"{hashlib.sha256(dump_json(dict(key)).encode()).hexdigest()}.json"

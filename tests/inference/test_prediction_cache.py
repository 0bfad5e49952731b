"""Answers in scratch: computed once for all that determines them, complete, and with any text."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecomtune.inference.prediction_cache import cached


def never() -> list[str]:
    raise AssertionError("what is in the cache is computed again")


def test_the_same_key_is_answered_once_and_another_key_anew(workplace: Path) -> None:
    assert cached({"model": 1}, 2, lambda: ["a", "b"]) == ["a", "b"]
    assert cached({"model": 1}, 2, never) == ["a", "b"]
    assert cached({"model": 2}, 2, lambda: ["c", "d"]) == ["c", "d"]


def test_half_a_character_is_stored_as_a_question_mark(workplace: Path) -> None:
    assert cached({}, 2, lambda: ["cut \ud83d", "\udc00 whole \U0001f600"]) == ["cut ?", "? whole \U0001f600"]
    assert cached({}, 2, never) == ["cut ?", "? whole \U0001f600"]


@pytest.mark.parametrize(
    "broken", [b"", b'["a"', b'["a"]', b'["a", 1]', b'{"a": "b"}', b"\xff", b"[" * 100_000], ids=lambda text: str(text[:9])
)
def test_a_file_without_all_answers_is_answered_again(workplace: Path, broken: bytes) -> None:
    cached({}, 2, lambda: ["a", "b"])
    (file,) = Path(".scratch/answers").iterdir()
    file.write_bytes(broken)
    assert cached({}, 2, lambda: ["c", "d"]) == ["c", "d"]

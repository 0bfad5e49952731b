"""Answers in scratch: given once for all that decides them, whole, and any text of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecomtune.inference.prediction_cache import remembered


def never() -> list[str]:
    raise AssertionError("what was answered before is answered again")


def test_what_was_answered_is_not_answered_again_and_something_else_is(workplace: Path) -> None:
    assert remembered({"model": 1}, 2, lambda: ["a", "b"]) == ["a", "b"]
    assert remembered({"model": 1}, 2, never) == ["a", "b"]
    assert remembered({"model": 2}, 2, lambda: ["c", "d"]) == ["c", "d"]


def test_half_a_character_is_kept_as_a_question_mark(workplace: Path) -> None:
    assert remembered({}, 2, lambda: ["cut \ud83d", "\udc00 whole \U0001f600"]) == ["cut ?", "? whole \U0001f600"]
    assert remembered({}, 2, never) == ["cut ?", "? whole \U0001f600"]


@pytest.mark.parametrize(
    "broken", [b"", b'["a"', b'["a"]', b'["a", 1]', b'{"a": "b"}', b"\xff", b"[" * 100_000], ids=lambda text: str(text[:9])
)
def test_answers_that_are_not_whole_are_answered_again(workplace: Path, broken: bytes) -> None:
    remembered({}, 2, lambda: ["a", "b"])
    (file,) = Path(".scratch/answers").iterdir()
    file.write_bytes(broken)
    assert remembered({}, 2, lambda: ["c", "d"]) == ["c", "d"]

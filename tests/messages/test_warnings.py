"""Warnings about a task's rows."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ecomtune.messages.warnings import other_script

JAPANESE, GERMAN = "赤いマグカップ", "größere Tasse"


def test_gold_texts_that_are_mostly_in_another_script_are_told_with_the_remedy() -> None:
    assert other_script("headline", [JAPANESE, "a mug", JAPANESE]) == (
        "headline: 2 of 3 gold texts are not in Latin letters, the only ones that ROUGE's tokenizer latin reads, so even right "
        "answers score near 0; set tokenizer: unicode in the task's definition"
    )


@pytest.mark.parametrize(
    "references",
    [
        [],
        [JAPANESE, "a mug"],  # half of them
        [GERMAN, "façade"],  # beyond a-z, and Latin
        ["ế ộ ữ ẫm"],
        ["mug 赤い茶", "mug 赤い茶"],  # half of the letters
        ["1 + 1", "★★★"],  # no letters at all
        [["a mug", "赤い"], "a mug"],
    ],
)
def test_texts_in_latin_letters_or_without_any_are_no_reason_for_it(references: Sequence[str | list[str]]) -> None:
    assert other_script("headline", references) is None


@pytest.mark.parametrize("text", ["красная кружка", "κόκκινη κούπα", "كوب أحمر", "빨간 컵", "แก้วแดง", "mug 赤いお茶碗"])
@pytest.mark.parametrize("as_list", [False, True])
def test_other_scripts_are_told_from_latin_letters(text: str, as_list: bool) -> None:
    warning = other_script("headline", [[text] if as_list else text])
    assert warning is not None and warning.startswith("headline: 1 of 1 gold texts")

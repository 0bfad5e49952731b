"""Tags of words as pairs of type and text."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ecomtune.core.entity_pairs import pairs_of
from ecomtune.metrics.entities import spans

TAGS = st.lists(st.sampled_from(["O", "B-color", "I-color", "B-model-name", "I-model-name"]), max_size=8)


def test_an_entity_is_its_type_and_its_words_joined_by_spaces() -> None:
    words = ["acme", "dark", "red", "mug", "12", "oz"]
    tags = ["O", "B-color", "I-color", "B-product", "B-size", "I-size"]
    assert pairs_of(words, tags) == [("color", "dark red"), ("product", "mug"), ("size", "12 oz")]


def test_entities_that_touch_and_equal_ones_are_entities_of_their_own() -> None:
    assert pairs_of(["red", "red"], ["B-color", "B-color"]) == [("color", "red"), ("color", "red")]


@given(tags=TAGS)
@example(tags=["I-color", "B-color", "I-model-name", "I-color", "O", "I-color"])
def test_the_entities_are_those_that_strict_f1_counts(tags: list[str]) -> None:
    words = [f"w{place}" for place in range(len(tags))]
    assert pairs_of(words, tags) == [(kind, " ".join(words[start:end])) for start, end, kind in sorted(spans(tags))]


def test_each_word_has_a_tag() -> None:
    with pytest.raises(ValueError, match="zip"):
        pairs_of(["red", "mug"], ["B-color"])

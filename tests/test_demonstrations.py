"""Demonstrations come from training examples, each of a group of its own, and show different targets first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecomtune.decoding.demonstrations import choose_demonstrations
from ecomtune.errors import UserError
from ecomtune.records import Example


def example(number: int, group: str, target: str) -> Example:
    return Example(
        id=str(number), task="relevance", prompt="p", target=target, reference=target, fields={}, group=group, source="shop"
    )


def examples(*pairs: tuple[str, str]) -> list[Example]:
    return [example(number, *pair) for number, pair in enumerate(pairs)]


def test_no_two_demonstrations_share_a_group_and_targets_differ_first() -> None:
    rows = examples(
        ("a", "Exact"), ("a", "Irrelevant"), ("b", "Exact"), ("b", "Substitute"), ("c", "Exact"), ("d", "Irrelevant")
    )
    assert [row.id for row in choose_demonstrations(rows, 3)] == ["0", "3", "5"]
    assert [row.id for row in choose_demonstrations(rows, 4)] == ["0", "3", "5", "4"]


def test_rows_of_different_targets_and_groups_are_shown_in_their_order() -> None:
    rows = examples(("a", "1"), ("b", "2"), ("c", "3"))
    assert choose_demonstrations(rows, 2) == rows[:2]
    assert choose_demonstrations(rows, 0) == []


def test_more_shots_than_groups_are_refused() -> None:
    with pytest.raises(UserError, match=r"3 shots need as many groups of training examples, there are 2; lower"):
        choose_demonstrations(examples(("a", "1"), ("a", "2"), ("b", "3")), 3)


PAIRS = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("xyz")), min_size=1)


@given(pairs=PAIRS, data=st.data())
def test_as_many_as_asked_each_of_its_own_group(pairs: list[tuple[str, str]], data: st.DataObject) -> None:
    rows = examples(*pairs)
    shots = data.draw(st.integers(0, len({group for group, _ in pairs})))
    chosen = choose_demonstrations(rows, shots)
    assert len(chosen) == shots == len({row.group for row in chosen})

"""A plan of batches has every row once an epoch within the limits, and a collated batch loses no token."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ecomtune.lora.batches import MIN_TOKENS_SAVED, SharedPrefixCollator, plan_batches, plan_of_process
from ecomtune.messages.errors import UserError
from ecomtune.models.tokenization import IGNORED, EncodedExample

PAD = 0


def example(prompt: Sequence[int], target: Sequence[int], group: str = "ner", identity: str = "row") -> EncodedExample:
    return EncodedExample(identity, group, tuple(prompt), tuple(target))


def of_length(length: int, group: str = "ner", identity: str = "row") -> EncodedExample:
    return example([5] * (length - 1), [6], group, identity)


ROWS = st.lists(st.builds(of_length, st.integers(2, 40), st.sampled_from(["ner", "relevance", "description"])), max_size=60)
BUDGETS = st.integers(40, 200)
SIZES = st.integers(1, 7)


@given(rows=ROWS, size=SIZES, budget=BUDGETS, epochs=st.integers(1, 3), seed=st.integers(0, 99))
def test_every_row_occurs_in_every_epoch_once(
    rows: list[EncodedExample], size: int, budget: int, epochs: int, seed: int
) -> None:
    for epoch in range(epochs):
        plan = plan_batches(rows, batch_size=size, token_budget=budget, epoch=epoch, seed=seed)
        assert sorted(row for batch in plan for row in batch) == list(range(len(rows)))


@given(rows=ROWS, size=SIZES, budget=BUDGETS)
def test_a_batch_has_rows_of_one_group(rows: list[EncodedExample], size: int, budget: int) -> None:
    for batch in plan_batches(rows, batch_size=size, token_budget=budget, epoch=0, seed=0):
        assert len({rows[row].group for row in batch}) == 1


@given(rows=ROWS, size=SIZES, budget=BUDGETS)
def test_a_batch_keeps_within_its_rows_and_its_padded_tokens(rows: list[EncodedExample], size: int, budget: int) -> None:
    for batch in plan_batches(rows, batch_size=size, token_budget=budget, epoch=0, seed=0):
        assert 1 <= len(batch) <= size
        assert len(batch) * max(len(rows[row]) for row in batch) <= budget


def test_batches_are_as_full_as_their_limits_allow() -> None:
    rows = [of_length(10)] * 24
    by_rows = plan_batches(rows, batch_size=4, token_budget=1000, epoch=0, seed=0)
    by_tokens = plan_batches(rows, batch_size=24, token_budget=30, epoch=0, seed=0)
    assert [len(batch) for batch in by_rows] == [4] * 6
    assert [len(batch) for batch in by_tokens] == [3] * 8


def test_rows_of_similar_length_share_a_batch() -> None:
    rows = [of_length(10 if index % 2 else 90) for index in range(32)]
    plans = [plan_batches(rows, batch_size=8, token_budget=10_000, epoch=epoch, seed=0) for epoch in range(3)]
    assert all(len({len(rows[row]) for row in batch}) == 1 for plan in plans for batch in plan)


PLANNED = [of_length(2 + index % 9, "ner" if index % 3 else "relevance") for index in range(40)]


def planned(epoch: int, seed: int) -> list[list[int]]:
    return plan_batches(PLANNED, batch_size=4, token_budget=100, epoch=epoch, seed=seed)


def test_equal_seeds_make_equal_plans() -> None:
    assert planned(2, seed=3) == planned(2, seed=3)


def test_another_seed_makes_another_plan() -> None:
    assert planned(0, seed=3) != planned(0, seed=4)


def test_every_epoch_has_its_own_order() -> None:
    assert planned(0, seed=3) != planned(1, seed=3)


def test_a_row_over_the_budget_is_refused_with_its_id() -> None:
    rows = [of_length(20), of_length(31, identity="ner-9"), of_length(4)]
    with pytest.raises(UserError, match=r"ner-9: 31 tokens .*token_budget 30\b"):
        plan_batches(rows, batch_size=4, token_budget=30, epoch=0, seed=0)
    assert plan_batches(rows, batch_size=1, token_budget=31, epoch=0, seed=0)


# Token 0 is padding and occurs in no row, so that confusing the two would show.
WORDS = st.lists(st.integers(1, 9), min_size=1, max_size=12)


@st.composite
def batches(draw: st.DrawFn) -> list[EncodedExample]:
    """Rows whose prompts begin with the same tokens, often enough of them that sharing pays."""
    stem = draw(st.lists(st.integers(1, 3), max_size=3)) * draw(st.integers(0, 40))
    rows = draw(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=6))
    return [example([*stem, *own], target) for own, target in rows]


@given(rows=batches(), share=st.booleans())
def test_prefix_and_rows_reassemble_every_sequence(rows: list[EncodedExample], share: bool) -> None:
    collated = SharedPrefixCollator(PAD, share=share)(rows)
    prefix = collated["prefix_ids"].tolist()
    for row, ids in zip(rows, collated["input_ids"].tolist(), strict=True):
        whole = [*prefix, *ids]
        assert whole[: len(row)] == [*row.prompt_ids, *row.target_ids]
        assert set(whole[len(row) :]) <= {PAD}


@given(rows=batches(), share=st.booleans())
def test_a_batch_is_no_wider_than_its_longest_row(rows: list[EncodedExample], share: bool) -> None:
    collated = SharedPrefixCollator(PAD, share=share)(rows)
    assert len(collated["prefix_ids"]) + collated["input_ids"].shape[1] == max(map(len, rows))


@given(rows=batches(), share=st.booleans())
def test_labels_are_the_targets_tokens_in_their_positions_and_no_others(rows: list[EncodedExample], share: bool) -> None:
    collated = SharedPrefixCollator(PAD, share=share)(rows)
    assert collated["labels"].shape == collated["input_ids"].shape
    for row, labels in zip(rows, collated["labels"].tolist(), strict=True):
        start = len(row.prompt_ids) - len(collated["prefix_ids"])
        expected = [IGNORED] * len(labels)
        expected[start : start + len(row.target_ids)] = row.target_ids
        assert labels == expected


@given(rows=batches(), share=st.booleans())
def test_a_prompt_token_of_every_row_stays_out_of_the_prefix(rows: list[EncodedExample], share: bool) -> None:
    collated = SharedPrefixCollator(PAD, share=share)(rows)
    assert all(len(collated["prefix_ids"]) < len(row.prompt_ids) for row in rows)
    assert collated["labels"][:, 0].tolist() == [IGNORED] * len(rows)


def test_equal_prompts_are_shared_up_to_their_last_token() -> None:
    rows = [example(range(1, 101), [7, 8])] * 3
    assert SharedPrefixCollator(PAD)(rows)["prefix_ids"].tolist() == list(range(1, 100))


def test_a_prefix_is_shared_where_it_saves_enough_tokens() -> None:
    enough = MIN_TOKENS_SAVED // 2
    for length, shared in [(enough, enough), (enough - 1, 0)]:
        rows = [example([*[5] * length, own], [7]) for own in (1, 2, 3)]  # the prefix is saved for two of three rows
        assert len(SharedPrefixCollator(PAD)(rows)["prefix_ids"]) == shared


def test_a_single_row_shares_nothing() -> None:
    assert len(SharedPrefixCollator(PAD)([example([5] * 500, [7])])["prefix_ids"]) == 0


def test_nothing_is_shared_where_sharing_is_off() -> None:
    rows = [example([*[5] * 500, own], [7]) for own in (1, 2, 3)]
    collated = SharedPrefixCollator(PAD, share=False)(rows)
    assert len(collated["prefix_ids"]) == 0
    assert collated["input_ids"].shape == (3, 502)


def test_a_batch_has_integer_tensors_even_without_a_prefix() -> None:
    collated = SharedPrefixCollator(PAD)([example([5], [7])])
    assert {tensor.dtype for tensor in collated.values()} == {torch.long}


@given(batch=batches())
def test_a_batch_counts_the_tokens_that_it_computes(batch: list[EncodedExample]) -> None:
    collate = SharedPrefixCollator(PAD)
    made = collate(batch)
    assert collate.tokens(batch) == len(made["prefix_ids"]) + int(made["lengths"].sum())


@given(plan=st.lists(st.lists(st.integers(0, 99), min_size=4, max_size=8), max_size=9), processes=st.integers(1, 4))
def test_processes_split_a_plan_without_losing_or_repeating_a_row(plan: list[list[int]], processes: int) -> None:
    parts = [plan_of_process(plan, process, processes) for process in range(processes)]
    assert len({len(part) for part in parts}) == 1  # otherwise some would wait forever
    for step, batches_of_step in enumerate(zip(*parts, strict=True)):
        together = plan[step * processes : (step + 1) * processes]
        assert sorted(chain(*batches_of_step)) == sorted(chain(*together))
        assert all(batches_of_step)
    assert sum(map(len, chain(*parts))) == sum(map(len, plan))


def test_a_single_process_has_the_complete_plan() -> None:
    assert plan_of_process([[3, 1], [2]], 0, 1) == [[3, 1], [2]]


def test_fewer_rows_than_processes_in_the_last_step_are_refused() -> None:
    with pytest.raises(UserError, match=r"fewer rows than there are processes \(3\); start fewer processes"):
        plan_of_process([[1, 2]], 0, 3)

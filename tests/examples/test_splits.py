"""Splits never divide a group, samples nest, and an input or group that two splits share is named."""

from __future__ import annotations

import dataclasses
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecomtune.core.records import Row
from ecomtune.examples.splits import SPLITS, RowKeys, check_leakage, sample
from ecomtune.messages.errors import UserError
from tests.support.readers import keys_of

GROUPS = st.lists(st.text(max_size=4), max_size=20)
SEEDS = st.integers(0, 2**32)


def row(group: str, number: int = 0, split: str | None = None, words: list[str] | None = None) -> Row:
    return Row(fields={"words": words or [f"w{number}"]}, reference=["O"], group=group, split=split, source=f"shop:{number}")


def sampled(rows: list[Row], size: int, seed: int, labels: list[int] | None = None) -> list[Row]:
    """A sample of a data set that consists of training rows alone."""
    training = [each.model_copy(update={"split": "train"}) for each in rows]
    return [training[number] for number in sample(keys_of("ner", training, seed, labels), "train", size)]


def split_rows(rows: list[Row], seed: int) -> dict[str, list[Row]]:
    """The rows of each split, in file order."""
    keys = keys_of("ner", rows, seed)
    return {split: [rows[number] for number in sorted(sample(keys, split, len(rows)))] for split in SPLITS}


def rows_of(groups: list[str]) -> list[Row]:
    return [row(group, number) for number, group in enumerate(groups)]


@settings(deadline=None, max_examples=60)
@given(groups=GROUPS, seed=SEEDS, sizes=st.tuples(st.integers(0, 25), st.integers(0, 25)))
def test_a_smaller_sample_is_a_prefix_of_a_larger_one(groups: list[str], seed: int, sizes: tuple[int, int]) -> None:
    rows = rows_of(groups)
    small, large = sorted(sizes)
    assert sampled(rows, small, seed) == sampled(rows, large, seed)[:small]


@settings(deadline=None, max_examples=60)
@given(groups=GROUPS, seed=SEEDS)
def test_a_sample_of_all_holds_each_row_once_with_groups_together_and_in_file_order(groups: list[str], seed: int) -> None:
    found = sampled(rows_of(groups), len(groups), seed)
    assert sorted(each.source for each in found) == sorted(each.source for each in rows_of(groups))
    order = [each.group for each in found]
    assert all(order[order.index(group) :][: order.count(group)] == [group] * order.count(group) for group in order)
    for group in groups:
        numbers = [int(each.source.partition(":")[2]) for each in found if each.group == group]
        assert numbers == sorted(numbers)


@settings(deadline=None, max_examples=60)
@given(groups=GROUPS, seed=SEEDS, kept=st.sets(st.text(max_size=4)))
def test_the_order_of_a_sample_does_not_depend_on_other_groups(groups: list[str], seed: int, kept: set[str]) -> None:
    kept = kept | set(groups[::2])
    rows = rows_of(groups)
    alone = sampled([each for each in rows if each.group in kept], len(rows), seed)
    assert alone == [each for each in sampled(rows, len(rows), seed) if each.group in kept]


def test_another_seed_gives_another_sample() -> None:
    rows = rows_of([f"q{number}" for number in range(50)])
    assert [sampled(rows, 10, seed) == sampled(rows, 10, 1) for seed in (1, 2, 3)] == [True, False, False]


@settings(deadline=None, max_examples=60)
@given(groups=GROUPS, seed=SEEDS)
def test_drawn_splits_hold_each_row_once_and_never_divide_a_group(groups: list[str], seed: int) -> None:
    found = split_rows(rows_of(groups), seed)
    assert tuple(found) == SPLITS
    assert sorted(each.source for rows in found.values() for each in rows) == sorted(each.source for each in rows_of(groups))
    homes = defaultdict(set)
    for split, rows in found.items():
        for each in rows:
            homes[each.group].add(split)
    assert all(len(splits) == 1 for splits in homes.values())


@settings(deadline=None, max_examples=60)
@given(groups=GROUPS, seed=SEEDS, kept=st.sets(st.text(max_size=4)))
def test_a_drawn_split_does_not_depend_on_other_groups(groups: list[str], seed: int, kept: set[str]) -> None:
    kept = kept | set(groups[::2])
    rows = rows_of(groups)
    alone = split_rows([each for each in rows if each.group in kept], seed)
    together = split_rows(rows, seed)
    assert alone == {split: [each for each in found if each.group in kept] for split, found in together.items()}


@settings(deadline=None, max_examples=60)
@given(splits=st.lists(st.sampled_from(SPLITS), max_size=10), seed=SEEDS)
def test_official_splits_are_kept_whatever_the_seed(splits: list[str], seed: int) -> None:
    rows = [row("one group", number, split) for number, split in enumerate(splits)]
    assert split_rows(rows, seed) == {split: [each for each in rows if each.split == split] for split in SPLITS}


def test_drawn_splits_have_about_their_shares_and_change_with_the_seed() -> None:
    rows = rows_of([f"query {number}" for number in range(2000)])
    found = split_rows(rows, 7)
    assert {split: len(each) / 2000 for split, each in found.items()} == pytest.approx(
        {"train": 0.8, "validation": 0.1, "test": 0.1}, abs=0.02
    )
    assert split_rows(rows, 8) != found


def check(**splits: list[Row]) -> None:
    rows = [each.model_copy(update={"split": split}) for split, found in splits.items() for each in found]
    keys = keys_of("ner", rows, 7)
    check_leakage("ner", keys, {split: sample(keys, split, len(rows)) for split in SPLITS}, rows.__getitem__)


def leak(**splits: list[Row]) -> str:
    with pytest.raises(UserError) as caught:
        check(**splits)
    return str(caught.value).partition(",")[0].partition(";")[0]


@pytest.mark.parametrize(("first", "second"), [("train", "test"), ("train", "validation"), ("validation", "test")])
def test_an_input_in_two_splits_is_refused_with_both_rows(first: str, second: str) -> None:
    splits = {first: [row("a", 1, words=["x"]), row("b", 2)], second: [row("c", 3), row("d", 4, words=["x"])]}
    assert leak(**splits) == f"tasks.ner: shop:4 in {second} has the same input as shop:1 in {first}"


@pytest.mark.parametrize("copy", [["Red", "mug"], ["red", "mug!"], ["red", "-", "mug"], ["RED  MUG"], ["ｒｅｄ", "mug"]])
def test_a_near_copy_in_two_splits_is_refused_with_both_rows(copy: list[str]) -> None:
    found = leak(train=[row("a", 1, words=["red", "mug"])], test=[row("b", 2, words=copy)])
    assert found == "tasks.ner: shop:2 in test has the same input as shop:1 in train"


def test_a_group_in_two_splits_is_refused_with_both_rows() -> None:
    found = leak(train=[row("a", 1), row("b", 2)], validation=[row("b", 3)])
    assert found == "tasks.ner: shop:3 in validation has the same group as shop:2 in train"


def test_a_copy_with_decomposed_accents_is_refused() -> None:
    found = leak(train=[row("a", 1, words=["caf\u00e9"])], test=[row("b", 2, words=["cafe\u0301"])])
    assert found == "tasks.ner: shop:2 in test has the same input as shop:1 in train"
    found = leak(train=[row("caf\u00e9", 1)], test=[row("cafe\u0301", 2)])
    assert found == "tasks.ner: shop:2 in test has the same group as shop:1 in train"


def test_copies_within_a_split_and_similar_inputs_across_splits_are_no_leak() -> None:
    twins = [row("a", 1, words=["red", "mug"]), row("a", 2, words=["Red", "mug"])]
    others = [row("b", 3, words=["red", "mugs"])]
    check(train=twins, test=others)


def test_rows_outside_the_samples_leak_nothing() -> None:
    rows = [row("a", 1, "train"), row("a", 2, "test")]
    keys = keys_of("ner", rows, 7)
    chosen = {split: sample(keys, split, int(split == "train")) for split in SPLITS}
    check_leakage("ner", keys, chosen, rows.__getitem__)


@settings(deadline=None, max_examples=60)
@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=40), seed=SEEDS)
def test_each_smaller_sample_holds_the_labels_in_their_shares(labels: list[int], seed: int) -> None:
    rows = rows_of([f"q{number // 3}" for number in range(len(labels))])
    found = [labels[int(each.source.partition(":")[2])] for each in sampled(rows, len(rows), seed, labels)]
    assert sorted(found) == sorted(labels)
    for size in range(len(found) + 1):
        for label in set(labels):
            assert abs(found[:size].count(label) - size * labels.count(label) / len(labels)) <= 2


@pytest.mark.parametrize("seed", range(8))
def test_a_rare_label_is_placed_in_the_middle_of_its_share(seed: int) -> None:
    """The k-th of a label's n rows is placed at (k - 1/2) / n: one among three others is neither the first nor the last."""
    labels = [0, 1, 1, 1]
    found = [labels[int(each.source.partition(":")[2])] for each in sampled(rows_of(["a", "b", "c", "d"]), 4, seed, labels)]
    assert found[0] == found[-1] == 1


def test_more_than_256_labels_are_told_apart() -> None:
    """A data set of product categories has hundreds of labels; two with one number would be sampled as one label."""
    labels = [label for label in (0, 256, 65535) for _ in range(10)]
    rows = [row(f"g{number}", number, "train") for number in range(30)]
    assert keys_of("ner", rows, 7, labels).label.tolist() == labels


def test_the_keys_of_parts_concatenated_are_those_of_all_rows() -> None:
    rows, labels = rows_of([f"q{number}" for number in range(9)]), [0, 1, 2, 3, 0, 1, 2, 3, 0]
    parts = [keys_of("ner", rows[:4], 7, labels[:4]), keys_of("ner", [], 7), keys_of("ner", rows[4:], 7, labels[4:])]
    joined, together = RowKeys.concatenate(parts), keys_of("ner", rows, 7, labels)
    assert together.label.tolist() == labels
    assert all((getattr(joined, each.name) == getattr(together, each.name)).all() for each in dataclasses.fields(RowKeys))

"""Rows become examples or are rejected with a reason, and a data set that can't be used stops with a sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ecomtune.core.config import TaskSettings
from ecomtune.core.records import Example, Reference, Rejected, Row, read_records
from ecomtune.examples.formatting import format_rows
from ecomtune.examples.screening import rejection_reason
from ecomtune.messages.errors import UserError
from ecomtune.messages.warnings import unlearnable
from tests.support import slow_reader
from tests.support.scratch_clone import REPOSITORY
from tests.support.tasks import load_task

LABELS = load_task("relevance").labels

SPLITS = {"train": 6, "validation": 2, "test": 3}


def ner_row(number: int, split: str | None, words: list[str] | None = None, tags: list[str] | None = None) -> Row:
    words = [f"brand{number}", "mug"] if words is None else words
    reference: Reference = ["B-creator", "B-core_product_type"] if tags is None else tags
    return Row(fields={"words": words}, reference=reference, group=f"g{number}", split=split, source=f"shop:{number}")


def good_rows() -> list[Row]:
    splits = [split for split, count in SPLITS.items() for _ in range(count)]
    return [ner_row(number, split) for number, split in enumerate(splits)]


def task_settings(**changes: Any) -> TaskSettings:
    values = {"dataset": "shop", "train_size": 100, "validation_size": 100, "test_size": 100, "max_new_tokens": 8}
    return TaskSettings.model_validate({**values, **changes})


Formatted = tuple[dict[str, list[Example]], list[Rejected], dict[str, Any]]


def formatted(*parts: Sequence[Row | Rejected], name: str = "ner", seed: int = 7, **changes: Any) -> Formatted:
    """Examples by split, rejected rows and the report of a data set in one or several parts."""
    with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory() as scratch:
        readers = [partial(list, part) for part in parts]
        report = format_rows(load_task(name), readers, task_settings(**changes), seed, Path(made), Path(scratch))
        examples = {split: read_records(Path(made) / f"{split}.jsonl", Example) for split in SPLITS}
        return examples, read_records(Path(made) / "rejected.jsonl", Rejected), report


def refusal(rows: list[Row], **changes: Any) -> str:
    with pytest.raises(UserError) as caught:
        formatted(rows, **changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_example_holds_prompt_target_and_all_of_its_row() -> None:
    task = load_task("ner")
    examples, rejected, _ = formatted(good_rows(), prompt="long")
    assert rejected == []
    rows = {row.source: row for row in good_rows()}
    for split, found in examples.items():
        for example in found:
            row = rows.pop(example.source)
            assert (row.split, row.fields, row.reference, row.group) == (
                split,
                example.fields,
                example.reference,
                example.group,
            )
            assert example.task == "ner"
            assert example.prompt == task.prompt(row.fields, "long")
            assert example.target == task.target(row.fields, row.reference)
    assert rows == {}


def test_the_pairs_of_a_row_are_in_its_example() -> None:
    rows = good_rows()
    rows[-1] = rows[-1].model_copy(update={"pairs": [("color", "light blue")]})
    examples, _, _ = formatted(rows)
    pairs = {example.source: example.pairs for found in examples.values() for example in found}
    assert pairs == {row.source: row.pairs for row in rows} and pairs["shop:10"] == [("color", "light blue")]


def test_ids_are_unique_and_name_task_split_and_place() -> None:
    examples, _, _ = formatted(good_rows())
    ids = [example.id for found in examples.values() for example in found]
    assert len(set(ids)) == len(ids) == 11
    assert [example.id for example in examples["test"]] == ["ner-test-000000", "ner-test-000001", "ner-test-000002"]


@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_smaller_size_yields_a_prefix_of_a_larger_one(size: int) -> None:
    whole, _, _ = formatted(good_rows())
    part, _, report = formatted(good_rows(), train_size=size)
    assert part["train"] == whole["train"][:size]
    assert part["test"] == whole["test"]
    assert report["splits"]["train"] == {"available": 6, "rows": size, "groups": size}


def test_equal_seeds_give_equal_examples_and_other_seeds_another_order() -> None:
    first, again, other = (formatted(good_rows(), seed=seed)[0] for seed in (7, 7, 8))
    assert first == again != other
    assert {example.source for example in first["train"]} == {example.source for example in other["train"]}


@pytest.mark.parametrize(
    ("name", "fields", "reference", "reason"),
    [
        ("ner", {"words": []}, [], "field words is missing or empty"),
        ("ner", {"words": ["", " "]}, ["O", "O"], "field words is missing or empty"),
        ("ner", {"query": "mug"}, ["O"], "field words is missing or empty"),
        ("ner", {"words": ["mug"]}, ["O", "O"], "1 words but 2 tags"),
        (
            "ner",
            {"words": ["mug"]},
            ["I-color"],
            "tag 'I-color' after 'O' is not valid IOB2: it continues no entity of its type; write B-color",
        ),
        ("ner", {"words": ["a\nb"]}, ["O"], "its target doesn't parse back to its reference"),
        ("relevance", {"query": "mug", "title": ""}, "Exact", "field title is missing or empty"),
        (
            "relevance",
            {"query": "mug", "title": "Mug"},
            "E",
            f"label 'E' is not one of {', '.join(LABELS)}",
        ),
        ("summarization", {"reviews": ["Good."]}, [""], "the reference text is empty"),
        ("description", {"title": "Mug", "bullets": ["a"]}, [], "the reference text is empty"),
        ("description", {"title": "Mug", "bullets": []}, ["A mug."], "field bullets is missing or empty"),
    ],
)
def test_a_row_that_cannot_become_an_example_has_its_reason(
    name: str, fields: dict[str, Any], reference: Reference, reason: str
) -> None:
    row = Row(fields=fields, reference=reference, group="g", split=None, source="shop:1")
    assert rejection_reason(load_task(name), row) == reason


@pytest.mark.parametrize(
    ("name", "fields", "reference"),
    [
        ("ner", {"words": ["mug"]}, ["O"]),
        ("relevance", {"query": "mug", "title": "Mug"}, "Exact"),
        ("summarization", {"reviews": ["Good."]}, [" Good mug.\n", ""]),
        ("description", {"title": "Mug", "bullets": ["a"]}, "A mug."),
    ],
)
def test_a_sound_row_has_no_fault(name: str, fields: dict[str, Any], reference: Reference) -> None:
    row = Row(fields=fields, reference=reference, group="g", split=None, source="shop:1")
    assert rejection_reason(load_task(name), row) is None


def test_rejected_rows_are_named_with_their_reason_and_counted() -> None:
    bad = [ner_row(20, "train", words=[]), ner_row(21, "test", tags=["O"]), ner_row(22, "train", words=[""])]
    examples, rejected, report = formatted([*bad, *good_rows()], max_rejected=0.3)
    assert rejected == [
        Rejected(
            source="shop:20",
            reason="field words is missing or empty",
            text='{"words": [], "reference": ["B-creator", "B-core_product_type"]}',
        ),
        Rejected(source="shop:21", reason="2 words but 1 tags", text='{"words": ["brand21", "mug"], "reference": ["O"]}'),
        Rejected(
            source="shop:22",
            reason="field words is missing or empty",
            text='{"words": [""], "reference": ["B-creator", "B-core_product_type"]}',
        ),
    ]
    assert report["rejected"] == {"2 words but 1 tags": 1, "field words is missing or empty": 2}
    assert {split: len(found) for split, found in examples.items()} == SPLITS


def test_the_report_counts_available_chosen_and_groups() -> None:
    twin = ner_row(0, "train", words=["other", "mug"]).model_copy(update={"source": "shop:0b"})
    _, _, report = formatted([*good_rows(), twin], test_size=2)
    assert report == {
        "dataset": "shop",
        "task": "ner",
        "task_version": load_task("ner").definition.version,
        "rejected": {},
        "leakage": {
            "inputs": {"train": 7, "validation": 2, "test": 2, "shared": 0},
            "groups": {"train": 6, "validation": 2, "test": 2, "shared": 0},
        },
        "splits": {
            "train": {"available": 7, "rows": 7, "groups": 6},
            "validation": {"available": 2, "rows": 2, "groups": 2},
            "test": {"available": 3, "rows": 2, "groups": 2},
        },
    }


def test_more_rejected_rows_than_max_rejected_stop_with_the_first_of_them() -> None:
    bad = [ner_row(20, "train", words=[]), ner_row(21, "train", words=[])]
    assert refusal([*good_rows(), *bad], max_rejected=0.15) == (
        "tasks.ner: 2 of 13 rows are rejected, more than max_rejected 0.15 allows, the first (shop:20) because field words is "
        "missing or empty; correct the data, or raise max_rejected"
    )


def test_as_many_rejected_rows_as_max_rejected_allows_pass() -> None:
    rows = [*good_rows(), ner_row(20, "train", words=[])]
    _, rejected, _ = formatted(rows, max_rejected=1 / 12)
    assert len(rejected) == 1


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_an_empty_split_stops(split: str) -> None:
    rows = [row for row in good_rows() if row.split != split]
    assert (
        refusal(rows)
        == f"tasks.ner: data set shop has no {split} rows; add rows of more groups to it, or name another data set"
    )


def test_no_rows_at_all_stop() -> None:
    assert refusal([]) == "tasks.ner: data set shop has no train rows; add rows of more groups to it, or name another data set"


def test_a_validation_size_of_zero_needs_no_validation_rows() -> None:
    rows = [row for row in good_rows() if row.split != "validation"]
    examples, _, _ = formatted(rows, validation_size=0)
    assert examples["validation"] == []


@pytest.mark.parametrize(
    ("spoil", "shared"),
    [
        (lambda row: row.model_copy(update={"fields": {"words": ["BRAND0", "mug!"]}}), "input"),
        (lambda row: row.model_copy(update={"group": "g0"}), "group"),
    ],
)
def test_an_input_or_group_that_two_splits_share_stops_with_both_rows(spoil: Callable[[Row], Row], shared: str) -> None:
    rows = good_rows()
    rows[-1] = spoil(rows[-1])
    assert refusal(rows).startswith(f"tasks.ner: shop:10 in test has the same {shared} as shop:0 in train; remove one")


def test_parts_read_in_parallel_yield_what_the_whole_yields() -> None:
    bad = [Rejected(source="shop:30", reason="broken"), ner_row(31, "test", words=[])]
    rows = [*good_rows()[:4], *bad, *good_rows()[4:]]
    assert formatted(rows[:3], rows[3:5], [], rows[5:], max_rejected=0.5) == formatted(rows, max_rejected=0.5)


def test_half_a_character_is_rejected() -> None:
    _, rejected, _ = formatted([*good_rows(), ner_row(20, "train", words=["\ud800", "mug"])], max_rejected=0.5)
    reason, text = "a text holds half a character (a lone surrogate)", '{"words": ["?", "mug"], "reference": '
    assert [(each.source, each.reason) for each in rejected] == [("shop:20", reason)] and rejected[0].text.startswith(text)


def test_samples_keep_the_shares_of_the_labels() -> None:
    labels = ["Exact"] * 60 + ["Irrelevant"] * 30 + ["Substitute"] * 10
    rows = [
        Row(
            fields={"query": f"q{number % 7}", "title": f"Mug {number}"},
            reference=label,
            group=f"q{number % 7}",
            split="test" if number % 7 == 0 else "train",
            source=f"shop:{number}",
        )
        for number, label in enumerate(labels)
    ]
    examples, _, _ = formatted(rows, name="relevance", train_size=20, validation_size=0)
    found = Counter(str(example.reference) for example in examples["train"])
    assert found == {"Exact": 12, "Irrelevant": 6, "Substitute": 2}


def test_labels_keep_their_shares_across_parts() -> None:
    rows = [
        Row(fields={"query": f"q{n}", "title": f"Mug {n}"}, reference=label, group=f"q{n}", split=split, source=f"shop:{n}")
        for n, (label, split) in enumerate(zip(["Exact", "Irrelevant"] * 20, ["train"] * 30 + ["test"] * 10, strict=True))
    ]
    changes: dict[str, Any] = {"name": "relevance", "train_size": 10, "validation_size": 0}
    assert formatted(rows[:7], rows[7:33], rows[33:], **changes) == formatted(rows, **changes)


def test_the_report_counts_labels_and_a_label_without_training_rows_is_a_warning() -> None:
    labels = ["Exact", "Exact", "Irrelevant", "Exact", "Substitute", "Substitute", "Exact"]
    splits = ["train"] * 3 + ["test"] * 4
    rows = [
        Row(fields={"query": f"q{n}", "title": f"Mug {n}"}, reference=label, group=f"q{n}", split=split, source=f"shop:{n}")
        for n, (label, split) in enumerate(zip(labels, splits, strict=True))
    ]
    _, _, report = formatted(rows, name="relevance", validation_size=0)
    assert report["splits"]["train"]["labels"] == {"Exact": 2, "Substitute": 0, "Complement": 0, "Irrelevant": 1}
    assert report["splits"]["test"]["labels"] == {"Exact": 2, "Substitute": 2, "Complement": 0, "Irrelevant": 0}
    (warning,) = unlearnable(report)
    assert warning.startswith("relevance: no training row has the label Substitute, which 2 test rows have")
    assert unlearnable(formatted(good_rows())[2]) == []  # a task without labels


def refusal_of_parts(*readers: Callable[[], Any]) -> str:
    with tempfile.TemporaryDirectory() as made, pytest.raises(UserError) as caught:
        format_rows(load_task("ner"), readers, task_settings(), 7, Path(made), Path(made))
    return str(caught.value)


def test_a_broken_part_stops_the_others_with_its_sentence(tmp_path: Path) -> None:
    started = time.monotonic()
    sentence = refusal_of_parts(slow_reader.failing, partial(slow_reader.waiting, tmp_path))
    assert sentence == "part.parquet is broken; download it again"
    assert time.monotonic() - started < 60


def test_a_killed_process_stops_with_one_sentence() -> None:
    sentence = "a process that formats rows was killed, probably because memory ran out; free some and run this again"
    assert refusal_of_parts(slow_reader.dying, partial(list, good_rows())) == sentence


@pytest.fixture
def reading(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A process that formats rows in two others, and the ids of these two, in a process group of its own."""
    command = [sys.executable, "-m", "tests.support.slow_reader", str(tmp_path)]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        until = time.monotonic() + 60
        while len(found := list(tmp_path.glob("*.reading"))) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        yield process, [int(file.stem) for file in found]
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def gone(number: int) -> bool:
    """Whether a process has ended, within ten seconds."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_an_interrupt_ends_all_processes_and_only_the_parent_speaks(reading: tuple[subprocess.Popen[str], list[int]]) -> None:
    process, readers = reading
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=30)[1].strip() == "stopped"
    assert len(readers) == 2 and all(map(gone, readers))


def test_the_processes_of_a_killed_parent_end_too(reading: tuple[subprocess.Popen[str], list[int]]) -> None:
    process, readers = reading
    process.kill()
    assert len(readers) == 2 and all(map(gone, readers))


@pytest.mark.parametrize("rows", [200, 20_000])
def test_memory_does_not_hold_the_rows(rows: int) -> None:
    def read() -> Iterator[Row]:
        return (ner_row(number, None, words=[f"brand{number}", "mug" * 100]) for number in range(rows))

    tracemalloc.start()
    with tempfile.TemporaryDirectory() as made:
        format_rows(load_task("ner"), [read], task_settings(), 7, Path(made), Path(made))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6


def test_a_split_of_another_name_is_rejected() -> None:
    _, rejected, _ = formatted([*good_rows(), ner_row(20, "dev")], max_rejected=0.5)
    assert [(each.source, each.reason) for each in rejected] == [
        ("shop:20", "split 'dev' is not one of train, validation, test")
    ]


def test_a_reason_with_half_a_character_is_written_with_a_question_mark() -> None:
    _, rejected, _ = formatted([*good_rows(), Rejected(source="shop:20", reason="bad \ud800")], max_rejected=0.5)
    assert rejected == [Rejected(source="shop:20", reason="bad ?")]


def test_the_excerpt_of_a_rejected_row_is_short_however_long_the_row_is() -> None:
    bad = [Rejected(source="shop:20", reason="bad", text='a "\u20ac"\n' * 1000), ner_row(21, "train", words=["mug"] * 5000)]
    _, rejected, _ = formatted([*good_rows(), *bad], max_rejected=0.5)
    assert [len(each.text) for each in rejected] == [200, 200]
    assert rejected[0].text.startswith('a "\u20ac"\na ') and rejected[1].text.startswith('{"words": ["mug", "mug", ')

"""QueryNER's files are read completely, and a line that can't be read is named."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ecomtune.core.config import Dataset
from ecomtune.core.records import Row
from ecomtune.datasets import queryner
from ecomtune.examples.screening import rejection_reason
from ecomtune.messages.errors import UserError
from ecomtune.metrics.registry import load_metric
from tests.support.readers import check_no_leak, mirrored
from tests.support.sample_data import CONLL_TRAIN, write_conll
from tests.support.tasks import definition, load_task


def rows(folder: Path) -> list[Row]:
    return list(queryner.rows(folder, definition("ner"), Dataset(reader="queryner")))


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        rows(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_each_query_is_a_row_of_its_official_split_in_file_order(tmp_path: Path) -> None:
    found = rows(write_conll(tmp_path))
    assert [(row.fields["words"], row.reference, row.split, row.source) for row in found] == [
        (["acme", "red", "mug"], ["B-creator", "B-color", "B-core_product_type"], "train", "queryner:train.txt:1"),
        (["größe", '12"'], ["B-UoM", "I-UoM"], "train", "queryner:train.txt:2"),
        (["tea"], ["O"], "validation", "queryner:dev.txt:1"),
        (["+"], ["O"], "test", "queryner:test.txt:1"),
        (["none"], ["O"], "test", "queryner:test.txt:2"),
    ]


def test_near_copies_share_a_group_and_a_query_of_punctuation_is_its_own(tmp_path: Path) -> None:
    copies = "Red\tO\nmug!\tO\n\nred\tO\n-\tO\nmug\tO\n\n&\tO\n"
    assert [row.group for row in rows(write_conll(tmp_path, train=copies))][:3] == ["red mug", "red mug", "&"]


@pytest.mark.parametrize(
    "train",
    [
        CONLL_TRAIN,
        f"\n\n{CONLL_TRAIN}\n\n\n",
        CONLL_TRAIN.replace("\n", "\r\n"),
        CONLL_TRAIN.replace("\n\n", "\n\n\n"),
        CONLL_TRAIN.removesuffix("\n"),
    ],
)
def test_blank_lines_and_line_ends_change_nothing(tmp_path: Path, train: str) -> None:
    expected = [["acme", "red", "mug"], ["größe", '12"']]
    assert [row.fields["words"] for row in rows(write_conll(tmp_path, train=train))][:2] == expected


@pytest.mark.parametrize("line", ["red", "red O", "red\t", "\tO", "red\tO\tO", " ", "\t"])
def test_a_bad_line_is_named_with_its_number(tmp_path: Path, line: str) -> None:
    path = write_conll(tmp_path, train=f"acme\tO\n\n{line}\nmug\tO\n") / "train.txt"
    assert refusal(tmp_path) == f"{path} line 3: expected a word, a tab and a tag; download the file again"


def test_a_file_of_another_encoding_is_named(tmp_path: Path) -> None:
    write_conll(tmp_path, train="größe\tO\n".encode("latin-1"))
    assert refusal(tmp_path).startswith(f"{tmp_path / 'train.txt'} can't be read as UTF-8 text (")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """QueryNER's own files, and its annotators' labels."""
    folder = tmp_path_factory.mktemp("queryner")
    mirrored("queryner-annotators", mirrored("queryner", folder))
    (folder / "test.jsonl").rename(folder / "offsets.jsonl")
    return folder


@pytest.mark.mirror
def test_the_real_files_hold_the_queries_and_entities_on_the_card(real: Path) -> None:
    found = rows(real)
    assert Counter(row.split for row in found) == {"train": 7841, "validation": 871, "test": 993}
    starts = Counter(row.split for row in found for tag in row.reference if tag.startswith("B-"))
    # two tags of the test file are read as B-, hence two more than the 2,319 published
    assert starts == {"train": 17507, "validation": 1930, "test": 2321}
    assert len({tag[2:] for row in found for tag in row.reference if tag != "O"}) == 17


@pytest.mark.mirror
def test_every_real_target_parses_back_exactly_and_no_query_is_lost(real: Path) -> None:
    task = load_task("ner")
    assert {row.source: reason for row in rows(real) if (reason := rejection_reason(task, row))} == {}


def test_an_inside_tag_that_continues_no_entity_is_read_as_its_beginning() -> None:
    tags = ["I-color", "I-color", "O", "I-content", "B-content", "I-color"]
    assert queryner.as_iob2(tags) == ["B-color", "I-color", "O", "B-content", "B-content", "B-color"]


@pytest.mark.mirror
def test_no_real_input_or_group_is_shared_by_splits(real: Path) -> None:
    check_no_leak("ner", rows(real), 7)


def annotated(folder: Path, labels: str = '["O"]', offsets: str = '["O"]') -> Path:
    """Files with the labels of two annotators, of whom the first has one more example in another order."""
    write_conll(folder)
    (folder / "offsets.jsonl").write_text(f'{{"example_id": 9, "labels": {offsets}}}\n{{"example_id": 4, "labels": ["O"]}}\n')
    lines = [
        '{"example_id": 1, "labels": []}',
        f'{{"example_id": 4, "labels": {labels}}}',
        '{"example_id": 9, "labels": ["I-color"]}',
    ]
    (folder / "annotator-1.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "annotator-2.jsonl").write_text("\n".join(lines[1:]) + "\n")
    return folder


def test_only_test_rows_have_the_annotators_answers_and_obscure_words_are_outside(tmp_path: Path) -> None:
    found = rows(annotated(tmp_path, labels='["B-obscure"]'))
    assert [row.answers for row in found if row.split != "test"] == [{}, {}, {}]
    assert [row.answers for row in found if row.split == "test"] == [
        {"annotator_1": ["B-color"], "annotator_2": ["B-color"]},
        {"annotator_1": ["O"], "annotator_2": ["O"]},
    ]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("annotator-2.jsonl", '{"example_id": 9, "labels": ["O"]}', "annotator-2.jsonl has no labels for example 4; download"),
        (
            "annotator-2.jsonl",
            '{"example_id": "9", "labels": ["O"]}',
            "line 1 is not an object with an example_id and labels;",
        ),
        (
            "annotator-2.jsonl",
            '{"example_id": 9, "labels": "O"}',
            "line 1 is not an object with an example_id and labels;",
        ),
        (
            "annotator-2.jsonl",
            '{"example_id": 9, "labels": [1]}',
            "line 1 is not an object with an example_id and labels;",
        ),
        ("annotator-2.jsonl", "[9]", "line 1 is not an object with an example_id and labels;"),
        ("annotator-2.jsonl", "<html>", "annotator-2.jsonl is an HTML page, not data; "),
        ("offsets.jsonl", None, "offsets.jsonl is missing; run dvc repro download@"),
        ("offsets.jsonl", '{"example_id": 9, "labels": ["O"]}', "queryner: test query 2 has other labels in offsets.jsonl or"),
        (
            "offsets.jsonl",
            '{"example_id": 9, "labels": ["B-color"]}\n{"example_id": 4, "labels": ["O"]}',
            "queryner: test query 1 has other labels in offsets.jsonl or an annotator's file than in test.txt; use",
        ),
        (
            "annotator-1.jsonl",
            '{"example_id": 9, "labels": ["O", "O"]}\n{"example_id": 4, "labels": ["O"]}',
            "queryner: test query 1 has other labels in offsets.jsonl or an annotator's file than in test.txt; use",
        ),
    ],
)
def test_annotators_files_that_do_not_fit_are_refused(tmp_path: Path, name: str, content: str | None, sentence: str) -> None:
    file = annotated(tmp_path) / name
    if content is None:
        file.unlink()
    else:
        file.write_text(content, encoding="utf-8")
    assert sentence in refusal(tmp_path)


@pytest.mark.mirror
def test_each_real_annotator_agrees_with_gold_as_the_released_files_do(real: Path) -> None:
    """Computed from the released files without this reader: 0.745, 0.739 and 0.702, where obscure words count as entities."""
    task = load_task("ner")
    found = [row for row in rows(real) if row.split == "test"]
    groups = [row.source for row in found]
    scores = [
        load_metric("entities").score([row.answers[f"annotator_{n}"] for row in found], [r.reference for r in found], groups)
        for n in (1, 2, 3)
    ]
    assert [round(score["f1"], 3) for score in scores] == [0.751, 0.740, 0.709]
    assert all(task.target(row.fields, answer) for row in found for answer in row.answers.values())

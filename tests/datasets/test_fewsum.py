"""FewSum's tab-separated files: eight reviews in, three references out, official splits, a broken line rejected alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.support.readers import accepted, check_no_leak, mirrored, reasons, refusal, rows_of, screened
from tests.support.sample_data import fewsum_line, write_fewsum


def test_each_product_is_a_row_of_its_official_split(tmp_path: Path) -> None:
    found = accepted(rows_of("fewsum", write_fewsum(tmp_path), "summarization"))
    assert found[0].fields == {"reviews": [f"review {number}" for number in range(1, 9)]}
    assert found[0].reference == ["summary 1", "summary 2", "summary 3"]
    assert [(row.group, row.split, row.source) for row in found] == [
        ("B1", "train", "fewsum:train.csv:1"),
        ("B2", "validation", "fewsum:val.csv:1"),
        ("B3", "test", "fewsum:test.csv:1"),
    ]


def test_quotes_inside_a_text_stay_and_those_around_it_are_resolved(tmp_path: Path) -> None:
    texts = (
        fewsum_line("B1")
        .replace("review 1", 'a 12" pan')
        .replace("review 2", '"a ""soft"" shoe"')
        .replace("review 3", 'so "warm"')
    )
    (row,) = [row for row in accepted(rows_of("fewsum", write_fewsum(tmp_path, texts), "summarization")) if row.group == "B1"]
    assert row.fields["reviews"][:3] == ['a 12" pan', 'a "soft" shoe', 'so "warm"']


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (fewsum_line("B4").replace("review 5", " "), "rev5 is missing or empty"),
        (fewsum_line("B4").replace("summary 2", ""), "summ2 is missing or empty"),
        (fewsum_line(" "), "group_id is missing or empty"),
        (fewsum_line("B1"), "its product is that of an earlier row"),
        (fewsum_line("B4") + "\tmore", "it has more or fewer cells than there are columns"),
        ("only one cell", "it has more or fewer cells than there are columns"),
        (fewsum_line("B4").replace("review 1", '"open" quote'), "its quotes don't match, or a cell is far too long"),
        (fewsum_line("B4").encode().replace(b"review 1", b"gr\xf6\xdfe"), "broken UTF-8"),
        (fewsum_line("B4", reviews="word " * 5000), "reviews is over-long, more than 20000 characters"),
    ],
)
def test_a_broken_line_is_rejected_alone(tmp_path: Path, broken: str | bytes, reason: str) -> None:
    found = rows_of("fewsum", write_fewsum(tmp_path, fewsum_line("B1"), broken, fewsum_line("B5")), "summarization")
    assert reasons(found) == {"fewsum:train.csv:2": reason}
    assert [row.group for row in accepted(found)] == ["B1", "B5", "B2", "B3"]


def test_a_comma_separated_file_lacks_the_columns(tmp_path: Path) -> None:
    path = write_fewsum(tmp_path) / "val.csv"
    path.write_text(path.read_text().replace("\t", ","))
    assert refusal("fewsum", tmp_path, "summarization").startswith(
        f"{path} has no column 'group_id'; its columns are 'cat,group_id,"
    )


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mirrored("fewsum-amazon", tmp_path_factory.mktemp("fewsum"))


@pytest.mark.mirror
def test_every_real_product_becomes_an_example_of_its_split(real: Path) -> None:
    good, bad = screened("summarization", rows_of("fewsum", real, "summarization"))
    assert bad == {}
    assert Counter(row.split for row in good) == {"train": 28, "validation": 12, "test": 20}
    assert {(len(row.fields["reviews"]), len(row.reference)) for row in good} == {(8, 3)}


@pytest.mark.mirror
def test_no_real_input_or_group_is_shared_by_splits(real: Path) -> None:
    rows = accepted(rows_of("fewsum", real, "summarization"))
    check_no_leak("summarization", rows, 7)

"""A user's own table serves any task through a column map alone; each fault is reported for its row or its file."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow.parquet import ParquetFile, write_table

from ecomtune.core.config import Dataset, SourceFile, TaskSettings
from ecomtune.core.records import Rejected, Row
from ecomtune.datasets import table
from ecomtune.datasets.reading import parquet, table_files
from ecomtune.datasets.registry import part_readers
from ecomtune.examples.formatting import format_rows
from ecomtune.messages.errors import UserError
from tests.support.readers import accepted, reasons, refusal, rows_of, screened
from tests.support.tasks import STUDY, definition, load_task

LABELS = load_task("relevance").labels
RELEVANCE = {"query": "q", "title": "t", "reference": "label"}
HEADER = "q,t,label\n"
TEXT = {"reviews": "r", "reference": "s"}


def csv_of(folder: Path, content: str | bytes, name: str = "mine.csv") -> Path:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def jsonl_of(folder: Path, *records: Any, name: str = "mine.jsonl") -> Path:
    lines = [record if isinstance(record, bytes) else json.dumps(record).encode() for record in records]
    (folder / name).write_bytes(b"\n".join(lines) + b"\n")
    return folder


def parquet_of(folder: Path, **columns: list[Any]) -> Path:
    pl.DataFrame(columns).write_parquet(folder / "mine.parquet")
    return folder


def only(folder: Path, task: str, columns: dict[str, str]) -> Row:
    (row,) = rows_of("table", folder, task, columns=columns)
    assert isinstance(row, Row), row
    return row


def reason_of(folder: Path, task: str, columns: dict[str, str]) -> str:
    (reason,) = reasons(rows_of("table", folder, task, columns=columns)).values()
    return reason


def test_a_csv_of_200_rows_becomes_examples_of_three_splits_by_a_column_map_alone(tmp_path: Path) -> None:
    lines = [f'red mug {number // 4},"Mug, no. {number}",{LABELS[number % 4]}\n' for number in range(200)]
    csv_of(tmp_path, HEADER + "".join(lines))
    settings = TaskSettings(dataset="mine", train_size=1000, validation_size=100, test_size=100, max_new_tokens=4)
    dataset, made = Dataset(reader="table", columns=RELEVANCE), tmp_path / "made"
    made.mkdir()
    report = format_rows(
        load_task("relevance"),
        part_readers({tmp_path.name: dataset}, tmp_path.parent, "relevance", definition("relevance")),
        settings,
        7,
        made,
        made,
    )
    counts = [split["rows"] for split in report["splits"].values()]
    assert report["rejected"] == {} and sum(counts) == 200 and all(counts)


def test_answers_of_others_are_columns_too(tmp_path: Path) -> None:
    csv_of(tmp_path, "q,t,label,now\na,b,Exact,substitute\nc,d,Substitute,?\ne,f,Complement,\n")
    found = accepted(rows_of("table", tmp_path, "relevance", columns={**RELEVANCE, "answer_in_use": "now"}))
    assert [row.answers for row in found] == [{"in_use": "Substitute"}, {"in_use": "?"}, {}]
    words = csv_of(tmp_path, "q,t,o\nred mug,O O,B-color O\n")
    row = only(words, "ner", {"words": "q", "reference": "t", "answer_other": "o"})
    assert row.answers == {"other": ["B-color", "O"]}


@pytest.mark.parametrize("write", ["csv", "jsonl", "parquet"])
def test_the_same_rows_come_from_every_kind_of_file(tmp_path: Path, write: str) -> None:
    names, values = ["q", "t", "label", "maker", "n", "part"], ['tea "hot"', "Größe, 12", "substitute", "Acme", "7", "dev"]
    if write == "csv":
        csv_of(tmp_path, f'{",".join(names)}\n"tea ""hot""","Größe, 12",substitute,Acme,7,dev\n')
    elif write == "jsonl":
        jsonl_of(tmp_path, {**dict(zip(names, values, strict=True)), "n": 7})
    else:
        parquet_of(tmp_path, **{name: [value] for name, value in zip(names, values, strict=True)})
    columns = {**RELEVANCE, "brand": "maker", "id": "n", "group": "maker", "split": "part"}
    assert only(tmp_path, "relevance", columns) == Row(
        fields={"query": 'tea "hot"', "title": "Größe, 12", "brand": "Acme"},
        reference="Substitute",
        group="Acme",
        split="validation",
        source=f"table:mine.{write}:{2 if write == 'csv' else 1}",
    )


@pytest.mark.parametrize(
    ("label", "word"),
    [("Exact", "Exact"), ("substitute", "Substitute"), (" complement ", "Complement"), ("EXACT", "Exact")],
)
def test_a_label_may_be_in_any_case(tmp_path: Path, label: str, word: str) -> None:
    assert only(csv_of(tmp_path, f"{HEADER}mug,Mug,{label}\n"), "relevance", RELEVANCE).reference == word


def test_words_and_tags_are_lists_or_texts_separated_by_white_space(tmp_path: Path) -> None:
    words, tags = ["red", "mug"], ["B-color", "B-core_product_type"]
    jsonl_of(tmp_path, {"w": words, "t": tags}, {"w": " red  mug", "t": " ".join(tags)})
    found = accepted(rows_of("table", tmp_path, "ner", columns={"words": "w", "reference": "t"}))
    assert [(row.fields["words"], row.reference, row.group) for row in found] == [(words, tags, "red mug")] * 2


def test_lists_in_parquet_are_words_reviews_and_references(tmp_path: Path) -> None:
    parquet_of(tmp_path, r=[["soft ", "warm\nand big"]], s=[["Nice.", "Fine."]])
    row = only(tmp_path, "summarization", TEXT)
    assert (row.fields["reviews"], row.reference) == (["soft", "warm and big"], ["Nice.", "Fine."])


def test_a_text_of_bullets_is_split_at_line_breaks(tmp_path: Path) -> None:
    csv_of(tmp_path, 't,b,d\nMug,"holds 12 oz\r\n\nred\rround","A mug.\nFor tea."\n')
    row = only(tmp_path, "description", {"title": "t", "bullets": "b", "reference": "d"})
    assert (row.fields["bullets"], row.reference) == (["holds 12 oz", "red", "round"], ["A mug.\nFor tea."])


def test_rows_without_a_group_column_are_grouped_by_their_first_input(tmp_path: Path) -> None:
    csv_of(tmp_path, f"{HEADER}Red mug!,Mug,Exact\nred  MUG,Cup,Substitute\n&,Cup,Substitute\n")
    assert [row.group for row in accepted(rows_of("table", tmp_path, "relevance", columns=RELEVANCE))] == [
        "red mug",
        "red mug",
        "&",
    ]


def test_files_are_read_in_sorted_order_and_share_their_ids(tmp_path: Path) -> None:
    jsonl_of(tmp_path, {"q": "mug", "t": "Mug", "label": "Exact", "n": 2}, name="b.jsonl")
    csv_of(tmp_path, "q,t,label,n\nmug,Mug,Exact,1\nmug,Mug,Exact,2\n", name="a.CSV")
    csv_of(tmp_path, "no table", name="README.md")
    found = rows_of("table", tmp_path, "relevance", columns={**RELEVANCE, "id": "n"})
    assert [row.source for row in found] == ["table:a.CSV:2", "table:a.CSV:3", "table:b.jsonl:1"]
    assert reasons(found) == {"table:b.jsonl:1": "its id is that of an earlier row"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("mug,Mug,X", "label 'X' is not one of Exact, Substitute, Complement, Irrelevant"),
        ("mug,Mug,", "label '' is not one of Exact, Substitute, Complement, Irrelevant"),
        ("mug,Mug", "it has more or fewer cells than there are columns"),
        ("mug,Mug,Exact,S", "it has more or fewer cells than there are columns"),
        ('"mug" red,Mug,E', "its quotes don't match, or a cell is far too long"),
        ("mug,<b>Mug</b>,Exact", "HTML is left in title"),
        (f"mug,{'x' * 20_001},Exact", "title is over-long, more than 20000 characters"),
        (f"mug,{'x' * 200_000},Exact", "its quotes don't match, or a cell is far too long"),
        ("gr\udcf6\udcdfe,Mug,Exact", "broken UTF-8"),
    ],
)
def test_a_broken_line_of_a_csv_is_rejected_alone(tmp_path: Path, line: str, reason: str) -> None:
    content = f"{HEADER}red mug,Mug,Exact\n{line}\n\ntea,Cup,Substitute\n".encode(errors="surrogateescape")
    found = rows_of("table", csv_of(tmp_path, content), "relevance", columns=RELEVANCE)
    assert reasons(found) == {"table:mine.csv:3": reason}
    assert [row.source for row in accepted(found)] == ["table:mine.csv:2", "table:mine.csv:5"]


def test_an_empty_required_field_is_left_to_formatting(tmp_path: Path) -> None:
    found = rows_of("table", csv_of(tmp_path, f"{HEADER}mug, ,Exact\n"), "relevance", columns=RELEVANCE)
    assert screened("relevance", found) == ([], {"field title is missing or empty": 1})


def test_every_line_that_an_open_quote_swallows_is_rejected(tmp_path: Path) -> None:
    csv_of(tmp_path, f'{HEADER}mug,Mug,Exact\n"mug,Mug,Exact\ntea,Cup,Substitute\ntea,Pot,Substitute\n')
    found = rows_of("table", tmp_path, "relevance", columns=RELEVANCE)
    assert list(reasons(found)) == [f"table:mine.csv:{number}" for number in (3, 4, 5)]
    assert texts(found) == ['"mug,Mug,Exact', "tea,Cup,Substitute", "tea,Pot,Substitute"]


def texts(rows: Iterable[Row | Rejected]) -> list[str]:
    return [row.text for row in rows if isinstance(row, Rejected)]


def test_a_row_of_a_csv_is_named_by_its_first_line_as_an_editor_shows_it(tmp_path: Path) -> None:
    lines = ["q,t,label", "mug,Mug,Exact", "", '"red', 'mug",Mug,X', "tea,Cup,X", ""]
    found = rows_of("table", csv_of(tmp_path, "\r\n".join(lines)), "relevance", columns=RELEVANCE)
    assert [row.source for row in found] == [f"table:mine.csv:{number}" for number in (2, 4, 6)]
    assert [json.loads(text)["query"] for text in texts(found)] == ["red\r\nmug", "tea"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("mug,Mug", "mug,Mug"),
        ('"mug" red,Mug,E', '"mug" red,Mug,E'),
        ("mug,Mug,X", '{"query": "mug", "title": "Mug", "reference": "X"}'),
        (f"mug,{'x' * 20_001},Exact", f'{{"query": "mug", "title": "{"x" * 173}'),
        ("a\tb,gr\u00f6\u00dfe" * 50, ("a\tb,gr\u00f6\u00dfe" * 50)[:200]),
    ],
)
def test_a_rejected_row_has_an_excerpt_of_at_most_two_hundred_characters(tmp_path: Path, line: str, text: str) -> None:
    found = rows_of("table", csv_of(tmp_path, f"{HEADER}{line}\n"), "relevance", columns=RELEVANCE)
    assert texts(found) == [text] and len(text) <= 200


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b'{"q": "gr\xf6\xdfe", "t": "Mug", "label": "Exact"}', "broken UTF-8"),
        (b'{"q": "mug", "t": "Mug", "label": ', "invalid JSON"),
        (b"[1, 2]", "not a JSON object"),
        ({"q": "half \ud83d", "t": "Mug", "label": "Exact"}, "query holds broken UTF-8"),
        ({"q": {"text": "mug"}, "t": "Mug", "label": "Exact"}, "query is not text"),
        ({"q": ["mug"], "t": "Mug", "label": "Exact"}, "query is not text"),
        ({"q": True, "t": "Mug", "label": "Exact"}, "query is not text"),
        ({"q": "mug", "t": "Mug"}, "reference is missing or empty"),
        ({"q": "mug", "t": "Mug", "label": None}, "reference is missing or empty"),
    ],
)
def test_a_broken_line_of_json_is_rejected_alone(tmp_path: Path, record: Any, reason: str) -> None:
    good = {"q": "mug", "t": "Mug", "label": "Exact"}
    found = rows_of("table", jsonl_of(tmp_path, good, record, b"", good), "relevance", columns=RELEVANCE)
    assert reasons(found) == {"table:mine.jsonl:2": reason}
    assert [row.source for row in accepted(found)] == ["table:mine.jsonl:1", "table:mine.jsonl:4"]


def test_too_few_tags_are_left_to_formatting(tmp_path: Path) -> None:
    csv_of(tmp_path, "w,t\nred mug,O\nred mug,O B-shade\n")
    good, bad = screened("ner", rows_of("table", tmp_path, "ner", columns={"words": "w", "reference": "t"}))
    assert (good, bad) == (
        [],
        {"2 words but 1 tags": 1, f"the type of tag 'B-shade' is not one of {', '.join(definition('ner').types)}": 1},
    )


@pytest.mark.parametrize(
    ("split", "reason"), [("old", "the split is not one of train, validation, dev, test"), (None, "split is missing or empty")]
)
def test_an_unknown_split_is_rejected(tmp_path: Path, split: str | None, reason: str) -> None:
    jsonl_of(tmp_path, {"r": "soft", "s": "Nice.", "part": split})
    assert reason_of(tmp_path, "summarization", {**TEXT, "split": "part"}) == reason


@pytest.mark.parametrize("key", ["id", "group"])
def test_a_key_that_is_empty_is_rejected(tmp_path: Path, key: str) -> None:
    csv_of(tmp_path, "r,s,k\nsoft,Nice.,\n")
    assert reason_of(tmp_path, "summarization", {**TEXT, key: "k"}) == f"{key} is missing or empty"


def test_a_rejected_row_does_not_use_up_its_id(tmp_path: Path) -> None:
    csv_of(tmp_path, "q,t,label,n\nmug,Mug,X,1\nmug,Mug,Exact,1\n")
    found = rows_of("table", tmp_path, "relevance", columns={**RELEVANCE, "id": "n"})
    assert (len(accepted(found)), list(reasons(found))) == (1, ["table:mine.csv:2"])


@pytest.mark.parametrize("name", ["mine.csv", "mine.jsonl", "mine.parquet"])
def test_a_missing_column_is_named_with_the_file_and_the_others(tmp_path: Path, name: str) -> None:
    {
        "mine.csv": lambda: csv_of(tmp_path, "q,text,label\nmug,Mug,Exact\n"),
        "mine.jsonl": lambda: jsonl_of(tmp_path, {"q": "mug", "text": "Mug"}, {"label": "Exact"}),
        "mine.parquet": lambda: parquet_of(tmp_path, q=["mug"], text=["Mug"], label=["Exact"]),
    }[name]()
    sentence = f"{tmp_path / name} has no column 't'; its columns are 'q', 'text', 'label'; correct the name or the file"
    assert refusal("table", tmp_path, "relevance", columns=RELEVANCE) == sentence


def test_a_repeated_column_is_named(tmp_path: Path) -> None:
    csv_of(tmp_path, "q,t,t,label\nmug,Mug,Cup,Exact\n")
    assert "has more than one column 't'" in refusal("table", tmp_path, "relevance", columns=RELEVANCE)


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (
            {"query": "q", "reference": "label"},
            "the task needs a column for title (there: query, reference); add title: YOUR_COLUMN",
        ),
    ],
)
def test_a_column_map_that_does_not_fit_is_refused(tmp_path: Path, columns: dict[str, str], sentence: str) -> None:
    assert refusal("table", csv_of(tmp_path, HEADER), "relevance", columns=columns).startswith(
        f"columns of reader table: {sentence}"
    )


def test_columns_of_other_tasks_are_ignored(tmp_path: Path) -> None:
    csv_of(tmp_path, f"{HEADER}mug,Mug,Exact\n")
    assert only(tmp_path, "relevance", {**RELEVANCE, "bullets": "absent"}).reference == "Exact"


@pytest.mark.parametrize("number", [50, 90, 120])
def test_a_damaged_page_of_a_parquet_file_loses_no_rows_silently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A page of 3,000 rows states another number, which polars' own iterator of batches takes for the end of the file."""
    rows = pyarrow.table({name: ["ESCI"[row % 4] for row in range(30_000)] for name in ("q", "t", "label")})
    write_table(rows, tmp_path / "mine.parquet", row_group_size=3000)
    content = bytearray((tmp_path / "mine.parquet").read_bytes())
    content[ParquetFile(tmp_path / "mine.parquet").metadata.row_group(8).column(0).data_page_offset + 10] = number
    (tmp_path / "mine.parquet").write_bytes(content)
    monkeypatch.setattr(parquet, "BATCH_ROWS", 5000)
    sentence = refusal("table", tmp_path, "relevance", columns=RELEVANCE)
    assert sentence.startswith(f"{tmp_path / 'mine.parquet'} is broken or cut off (")


def test_reading_a_parquet_file_can_be_stopped_early(tmp_path: Path) -> None:
    frame = pl.DataFrame({"q": ["mug"] * 400_000})
    frame.write_parquet(tmp_path / "mine.parquet")
    before = threading.active_count()
    read = parquet.tuples(parquet.scan(tmp_path / "mine.parquet", {"q": None}), tmp_path / "mine.parquet")
    assert next(read) == ("mug",)
    read.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("value", [date(9999, 1, 1), datetime(9999, 1, 1)], ids=["date", "timestamp"])
def test_a_date_that_python_cannot_represent_is_refused(tmp_path: Path, value: date) -> None:
    late = pl.Series("q", [value]).to_physical() * 30
    kind = pl.Date if type(value) is date else pl.Datetime("us")
    pl.DataFrame({"q": late.cast(kind), "t": ["Mug"], "label": ["Exact"]}).write_parquet(tmp_path / "mine.parquet")
    sentence = refusal("table", tmp_path, "relevance", columns=RELEVANCE)
    assert sentence.startswith(f"{tmp_path / 'mine.parquet'} is broken or cut off (")


def test_nan_is_a_missing_value_and_decimals_are_texts(tmp_path: Path) -> None:
    values = pl.Series("q", [Decimal("1.50"), Decimal("2.25")])
    pl.DataFrame({"q": values, "t": [1.5, float("nan")], "label": ["Exact", "Exact"]}).write_parquet(tmp_path / "mine.parquet")
    found = rows_of("table", tmp_path, "relevance", columns=RELEVANCE)
    assert reasons(found) == {"table:mine.parquet:2": "title is missing or empty"}
    assert accepted(found)[0].fields == {"query": "1.50", "title": "1.5"}


@pytest.mark.parametrize("path", ["more.tsv", "part/more.csv", "more"])
def test_a_file_whose_rows_would_not_be_read_is_named(tmp_path: Path, path: str) -> None:
    csv_of(tmp_path, HEADER + "mug,Mug,Exact\n")
    files = tuple(SourceFile(path=each, url=each, sha256="a" * 64, bytes=9, licence="own") for each in ("mine.csv", path))
    sentence = f"files of data set {tmp_path.name}: {path} is not a .csv, .jsonl or .parquet file directly in its folder, so"
    assert refusal("table", tmp_path, "relevance", columns=RELEVANCE, files=files).startswith(sentence)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_json_lines_in_another_encoding_are_refused(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "mine.jsonl").write_bytes('{"q": "mug", "t": "Mug", "label": "Exact"}\n'.encode(encoding))
    sentence = f"{tmp_path / 'mine.jsonl'} holds no JSON object with columns; write one per line, and save it as UTF-8"
    assert refusal("table", tmp_path, "relevance", columns=RELEVANCE) == sentence


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_column_names_in_another_encoding_are_refused(tmp_path: Path, encoding: str) -> None:
    csv_of(tmp_path, "größe,t,label\nmug,Mug,Exact\n".encode(encoding))
    assert (
        refusal("table", tmp_path, "relevance", columns=RELEVANCE)
        == f"{tmp_path / 'mine.csv'} is not UTF-8 text; save it as UTF-8"
    )


def test_the_byte_order_mark_of_spreadsheets_is_not_part_of_a_name(tmp_path: Path) -> None:
    csv_of(tmp_path, f"\ufeff{HEADER}mug,Mug,Exact\n")
    jsonl_of(tmp_path, '\ufeff{"q": "mug", "t": "Mug", "label": "Exact"}'.encode())
    assert len(accepted(rows_of("table", tmp_path, "relevance", columns=RELEVANCE))) == 2


def test_a_named_table_that_is_missing_is_brought_by_the_download(tmp_path: Path) -> None:
    own = SourceFile(path="mine.csv", url="data of ours/mine.csv", sha256="a" * 64, bytes=9, licence="own")
    sentence = refusal("table", tmp_path / "mine", "relevance", columns=RELEVANCE, files=(own,))
    run = "run dvc repro download@mine, which puts a copy of data of ours/mine.csv there"
    assert sentence == f"{tmp_path / 'mine'} is missing; {run}"


def test_a_file_with_only_a_header_and_an_empty_folder_are_named(tmp_path: Path) -> None:
    assert refusal("table", tmp_path, "relevance", columns=RELEVANCE).startswith(
        f"{tmp_path} holds no .csv, .jsonl or .parquet file"
    )
    path = csv_of(tmp_path, HEADER) / "mine.csv"
    assert refusal("table", tmp_path, "relevance", columns=RELEVANCE).startswith(f"{path} holds no rows; ")


CELL = st.text(alphabet=st.sampled_from('aé," \n\r<b>;\t'), max_size=8)


@given(st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=5))
def test_a_written_csv_is_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]) -> None:
    path = tmp_path_factory.mktemp("table") / "mine.csv"
    pl.DataFrame(rows, schema=["a", "b", "c"], orient="row").write_csv(path, quote_style="always")
    assert [tuple(record.values()) for _, record in table_files.read_table(path, ["a"]) if isinstance(record, dict)] == rows


@given(st.binary(max_size=200))
def test_any_bytes_of_a_csv_yield_rows_or_reasons(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = csv_of(tmp_path_factory.mktemp("table"), HEADER.encode() + b"mug,Mug,Exact\n" + content)
    good, _ = screened("relevance", rows_of("table", folder, "relevance", columns=RELEVANCE))
    assert good[0].source == "table:mine.csv:2"


@given(st.floats(0, 1, exclude_max=True), st.binary(max_size=4))
def test_damage_anywhere_in_a_parquet_file_yields_rows_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, place: float, damage: bytes
) -> None:
    """No damage means that the file ends there."""
    path = parquet_of(tmp_path_factory.mktemp("table"), r=["soft"] * 50, s=["Nice."] * 50) / "mine.parquet"
    content = path.read_bytes()
    start = int(place * len(content))
    path.write_bytes(content[:start] + damage + (content[start + len(damage) :] if damage else b""))
    try:
        screened("summarization", rows_of("table", path.parent, "summarization", columns=TEXT))
    except UserError as error:
        assert str(error).startswith(str(path))


VALUE: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["<b>", "E", "O", "test"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=6,
)


@given(st.sampled_from(STUDY), st.data())
def test_any_values_of_a_row_become_an_example_or_a_reason(task: str, data: st.DataObject) -> None:
    names = [*definition(task).names, "reference", "group", "split"]
    values = {name: data.draw(VALUE) for name in names}
    try:
        row = table.as_row(definition(task), values, "1")
    except ValueError as error:
        assert str(error)
    else:
        good, bad = screened(task, [row])
        assert len(good) + bad.total() == 1

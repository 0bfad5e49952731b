"""Records are read back as they were written, and an invalid line is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ecomtune.core.records import Example, Prediction, Record, Row, dump_line, read_records, read_task, write_records
from ecomtune.messages.errors import UserError

#: Texts with characters that end a line or a string in one format or another.
TEXT = st.text(max_size=12) | st.text(alphabet='\u2028\u2029\x85\x0b\x0c\x1c\x00\r\n\t"\\ /<>ß漢😀', max_size=12)
REFERENCE = TEXT | st.lists(TEXT, max_size=3)
FIELDS = st.dictionaries(TEXT, TEXT | st.lists(TEXT, max_size=3), max_size=3)
PAIRS = st.none() | st.lists(st.tuples(TEXT, TEXT), max_size=3)
ROW = st.builds(Row, fields=FIELDS, reference=REFERENCE, group=TEXT, split=st.none() | TEXT, source=TEXT, pairs=PAIRS)
EXAMPLE = st.builds(
    Example,
    id=TEXT,
    task=TEXT,
    prompt=TEXT,
    target=TEXT,
    reference=REFERENCE,
    fields=FIELDS,
    group=TEXT,
    source=TEXT,
    pairs=PAIRS,
)
PREDICTION = st.builds(
    Prediction,
    id=TEXT,
    task=TEXT,
    system=TEXT,
    answer=TEXT,
    parsed=st.none() | REFERENCE,
    valid=st.booleans(),
    reference=REFERENCE,
    group=TEXT,
    pairs=PAIRS,
    gold_pairs=PAIRS,
)
LINES = "one\u2028two\u2029three\x85four\x00five\rsix\nseven\x1ceight\x0c"


def row(**changes: Any) -> Row:
    values = {"fields": {"words": ["a"]}, "reference": ["O"], "group": "a", "split": None, "source": "shop:1"}
    return Row.model_validate({**values, **changes})


def refusal(path: Path, kind: type[Record] = Row) -> str:
    with pytest.raises(UserError) as caught:
        read_records(path, kind)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def with_line(folder: Path, line: str | bytes) -> Path:
    """A file of three records, the second of which is replaced with ``line``."""
    good = dump_line(row()).encode()
    path = folder / "rows.jsonl"
    path.write_bytes(b"\n".join([good, line if isinstance(line, bytes) else line.encode(), good, b""]))
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(records=st.lists(ROW, max_size=3) | st.lists(EXAMPLE, max_size=3) | st.lists(PREDICTION, max_size=3))
@example(records=[row(fields={"words": [LINES]}, reference=[LINES], group=LINES, split=LINES, source=LINES)])
def test_records_read_back_as_they_were_written(workplace: Path, records: list[Any]) -> None:
    path = workplace / "records.jsonl"
    write_records(path, records)
    assert read_records(path, type(records[0]) if records else Row) == records


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(records=st.lists(ROW, max_size=3))
@example(records=[row(group=LINES), row()])
def test_a_record_is_one_line_of_json_with_ordered_keys(workplace: Path, records: list[Row]) -> None:
    write_records(workplace / "records.jsonl", records)
    lines = (workplace / "records.jsonl").read_bytes().split(b"\n")
    assert lines.pop() == b""
    expected = [json.dumps(record.model_dump(), ensure_ascii=False, separators=(",", ":")) for record in records]
    assert [line.decode() for line in lines] == expected


def test_a_record_without_pairs_has_no_such_key_and_one_with_none_of_them_an_empty_list() -> None:
    assert dump_line(row()).endswith(',"source":"shop:1","answers":{}}')
    assert dump_line(row(pairs=[])).endswith(',"answers":{},"pairs":[]}')
    assert dump_line(row(pairs=[("color", "red")])).endswith(',"pairs":[["color","red"]]}')


@pytest.mark.parametrize("pair", ['["color"]', '["color", "red", "x"]', '["color", 1]', '"color"'])
def test_a_pair_of_another_shape_is_refused(tmp_path: Path, pair: str) -> None:
    line = dump_line(row(pairs=[("color", "red")])).replace('["color","red"]', pair)
    assert "line 2: pairs" in refusal(with_line(tmp_path, line))


def test_records_that_fail_in_the_middle_leave_the_former_file(workplace: Path) -> None:
    write_records(workplace / "records.jsonl", [row()])
    with pytest.raises(ValueError, match="surrogate"):
        write_records(workplace / "records.jsonl", (each for each in [row(), row().model_copy(update={"group": "\ud800"})]))
    assert read_records(workplace / "records.jsonl", Row) == [row()]


def test_a_file_with_windows_line_endings_reads_the_same(tmp_path: Path) -> None:
    line = dump_line(row()).encode()
    (tmp_path / "rows.jsonl").write_bytes(line + b"\r\n" + line + b"\r\n")
    assert read_records(tmp_path / "rows.jsonl", Row) == [row(), row()]


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").touch()
    assert read_records(tmp_path / "rows.jsonl", Row) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"colour": "red"}, "colour: unknown key"),
        ({"group": 7}, "group: "),
        ({"split": 1.5}, "split: "),
        ({"reference": {"a": "b"}}, "reference"),
        ({"reference": ["O", 1]}, "reference"),
        ({"fields": ["a"]}, "fields: "),
        ({"fields": {"words": 3}}, "fields.words"),
    ],
)
def test_a_wrong_or_unknown_key_is_named_with_file_and_line(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    path = with_line(tmp_path, json.dumps({**row().model_dump(), **changes}))
    assert refusal(path).startswith(f"{path} line 2: {problem}")


@pytest.mark.parametrize("key", [name for name, field in Row.model_fields.items() if field.is_required()])
def test_a_missing_key_is_named_with_file_and_line(tmp_path: Path, key: str) -> None:
    values = row().model_dump()
    del values[key]
    path = with_line(tmp_path, json.dumps(values))
    assert refusal(path).startswith(f"{path} line 2: {key}: this key is missing")


@pytest.mark.parametrize("line", ["", " ", "{", "null", "[]", "no json", '{"a": NaN}', "\ufeff{}", "\u2028"])
def test_a_line_that_is_not_a_record_is_named(tmp_path: Path, line: str) -> None:
    path = with_line(tmp_path, line)
    message = refusal(path)
    assert message.startswith(f"{path} line 2: ")
    assert message.endswith("; delete the file and run dvc repro again")


def test_records_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = with_line(tmp_path, "{}")
    assert refusal(path, Prediction).startswith(f"{path} line 1: ")


def test_a_file_of_another_encoding_is_named(tmp_path: Path) -> None:
    path = with_line(tmp_path, "grün".encode("latin-1"))
    assert refusal(path).startswith(f"{path} is not UTF-8 text")


def test_a_missing_file_is_named_with_what_to_run(tmp_path: Path) -> None:
    assert refusal(tmp_path / "x.jsonl") == f"{tmp_path / 'x.jsonl'} is missing; run the stage that writes it (dvc repro)"


@pytest.mark.parametrize("value", [7, "7", 1.0, True])
def test_a_value_is_never_converted_silently(value: Any) -> None:
    values = {"id": "1", "task": "ner", "system": "s", "answer": "a", "parsed": None, "reference": "r", "group": "g"}
    assert Prediction.model_validate({**values, "valid": True}).valid is True
    wrong = {"valid": value} if value is not True else {"group": value}
    with pytest.raises(ValueError, match="Input should be a valid"):
        Prediction.model_validate({**values, "valid": True, **wrong})


def predictions_of(folder: Path, *pairs: tuple[str, str]) -> Path:
    values = {"system": "s", "answer": "a", "parsed": None, "valid": False, "reference": "r", "group": "g"}
    records = [Prediction.model_validate({**values, "id": identity, "task": task}) for identity, task in pairs]
    write_records(folder / "ner.jsonl", records)
    return folder / "ner.jsonl"


def test_the_predictions_of_one_task_are_read_in_their_order(tmp_path: Path) -> None:
    path = predictions_of(tmp_path, ("2", "ner"), ("1", "ner"))
    assert [record.id for record in read_task(path, Prediction, "ner")] == ["2", "1"]


def test_a_task_without_records_is_refused_unless_it_may_be_empty(tmp_path: Path) -> None:
    path = predictions_of(tmp_path)
    with pytest.raises(UserError, match=f"^{path} is empty; delete it and run dvc repro again$"):
        read_task(path, Prediction, "ner")
    assert read_task(path, Prediction, "ner", may_be_empty=True) == []


@pytest.mark.parametrize(("second", "problem"), [(("1", "ner"), "repeats id 1"), (("2", "relevance"), "is of task relevance")])
def test_a_repeated_prediction_or_one_of_another_task_is_refused(tmp_path: Path, second: tuple[str, str], problem: str) -> None:
    path = predictions_of(tmp_path, ("1", "ner"), second)
    with pytest.raises(UserError, match=f"ner.jsonl line 2 {problem}; delete the file and run dvc repro again"):
        read_task(path, Prediction, "ner")

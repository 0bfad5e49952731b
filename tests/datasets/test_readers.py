"""What datasets/registry.py promises of a reader holds for every module that is one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ecomtune.checks.references import modules_with
from ecomtune.core.config import Dataset
from ecomtune.core.config.definition import ANSWER_KINDS, TaskDefinition
from ecomtune.core.records import Rejected, Row
from ecomtune.datasets.reading.raw_files import EXCERPT_CHARACTERS, check_file
from ecomtune.datasets.registry import check_keys, load_reader, part_readers
from ecomtune.examples.splits import SPLITS
from ecomtune.messages.errors import UserError
from tests.support.readers import SPOILT, accepted, refusal, rows_of, screened, spoil
from tests.support.sample_data import SAMPLES, Sample
from tests.support.tasks import STUDY, definition

READERS = modules_with("KINDS", "datasets")
ROW_KEYS = {"locales": ("us",), "columns": {"reference": "a"}, "part": "pros"}
#: Formats that are refused too where the second half of the file is missing.
BINARY = (".parquet", ".zip")

each_reader = pytest.mark.parametrize("reader", READERS)
each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=str)


def read(sample: Sample, folder: Path) -> list[Row | Rejected]:
    return rows_of(sample.reader, folder, sample.task, **sample.keys)


def test_every_kind_of_every_reader_has_a_sample() -> None:
    """A new reader needs one in tests/support/sample_data.py, and is then held to all that follows."""
    promised = {(reader, kind) for reader in READERS for kind in load_reader(reader).KINDS}
    assert {(sample.reader, definition(sample.task).kind) for sample in SAMPLES} == promised


@each_reader
def test_a_reader_names_its_kinds_of_task_with_their_inputs_and_its_options(reader: str) -> None:
    module = load_reader(reader)
    assert module.KINDS and set(module.KINDS) <= set(ANSWER_KINDS)
    assert all(inputs is None or inputs for inputs in module.KINDS.values())
    assert set(getattr(module, "OPTIONS", ())) <= set(ROW_KEYS)
    assert set(getattr(module, "ROW_TOKENS", {})) <= set(module.KINDS)
    assert callable(module.rows)


@each_reader
@pytest.mark.parametrize("part", ["source", "licence", "size", "columns", "known faults"])
def test_the_data_card_states_each_of_its_parts(reader: str, part: str) -> None:
    card = " ".join((load_reader(reader).__doc__ or "").split())
    assert re.search(rf"\b{part}", card, re.IGNORECASE), f"the docstring of datasets/{reader}.py doesn't state its {part}"


def part_refusal(reader: str, task: TaskDefinition) -> str:
    with pytest.raises(UserError) as caught:
        part_readers({"shop": Dataset(reader=reader)}, Path(), "mine", task)
    return str(caught.value)


@pytest.mark.parametrize(
    ("reader", "task"),
    [(reader, task) for reader in READERS for task in STUDY if definition(task).kind not in load_reader(reader).KINDS],
)
def test_a_kind_that_a_reader_does_not_serve_is_refused_with_those_it_does(reader: str, task: str) -> None:
    kinds, kind = ", ".join(load_reader(reader).KINDS), definition(task).kind
    start = f"tasks.mine.dataset: reader {reader} of shop has no rows for kind {kind}, only for {kinds}; "
    assert part_refusal(reader, definition(task)).startswith(start)


@pytest.mark.parametrize(
    ("reader", "kind"),
    [(reader, kind) for reader in READERS for kind, inputs in load_reader(reader).KINDS.items() if inputs is not None],
)
def test_an_input_that_the_rows_of_a_reader_lack_is_refused_with_those_there_are(reader: str, kind: str) -> None:
    task = next(definition(task) for task in STUDY if definition(task).kind == kind)
    renamed = task.model_copy(update={"inputs": {"photo": "Photo"}, "optional": (), "lists": (), "append": {}})
    start = f"tasks.mine.dataset: rows of reader {reader} of shop have no input photo, which the task's definition requires "
    told = part_refusal(reader, renamed)
    assert told.startswith(f"{start}(there: {', '.join(load_reader(reader).KINDS[kind])}); ")


@pytest.mark.parametrize("reader", ["nothing", "fetch", "demo", "reading", "registry", "", "../queryner"])
def test_a_name_of_no_reader_is_refused(reader: str) -> None:
    told = part_refusal(reader, definition("ner"))
    assert told == f"datasets: no reader called {reader!r}; each is a module src/ecomtune/datasets/NAME.py"


@each_reader
@pytest.mark.parametrize("key", ROW_KEYS)
def test_a_key_that_is_not_an_option_of_the_reader_is_refused(reader: str, key: str) -> None:
    options = getattr(load_reader(reader), "OPTIONS", ())
    only = f", only for {', '.join(options)}" if options else ""
    expected = f"datasets.some.{key}: reader {reader} has no use for {key}{only}; remove the key"
    with pytest.raises(UserError) as caught:
        check_keys("some", Dataset.model_validate({"reader": reader, key: ROW_KEYS[key]}))
    assert (str(caught.value) == expected) == (key not in options)  # where it is, the files are missing


@each_sample
def test_valid_rows_become_examples_of_the_task(sample: Sample, tmp_path: Path) -> None:
    sample.write(tmp_path)
    found = read(sample, tmp_path)
    good, bad = screened(sample.task, found)
    assert good and len(good) + bad.total() == len(found)
    task = definition(sample.task)
    for row in good:
        assert set(task.required) <= set(row.fields) <= set(task.names)
        assert row.split in (None, *SPLITS) and row.group


@each_sample
def test_rows_come_in_the_same_order_whatever_the_order_of_the_folder(sample: Sample, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    sample.write(tmp_path / "first")
    files = sorted((tmp_path / "first").iterdir(), reverse=True)
    for file in files:
        (tmp_path / "second" / file.name).write_bytes(file.read_bytes())
    rows = read(sample, tmp_path / "first")
    assert rows == read(sample, tmp_path / "first") == read(sample, tmp_path / "second")


@each_sample
def test_a_source_names_the_reader_the_file_and_the_row_and_no_two_rows_share_one(sample: Sample, tmp_path: Path) -> None:
    (sample.write_broken or sample.write)(tmp_path)
    sources = [row.source for row in read(sample, tmp_path)]
    assert len(set(sources)) == len(sources)
    for source in sources:
        reader, file, number = re.fullmatch(r"(\w+):(.+):(\d+)", source).groups()  # type: ignore[union-attr]
        assert reader == sample.reader and int(number) > 0
        assert any(path.name.startswith(Path(file).parts[0]) for path in tmp_path.iterdir())


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample.write_broken], ids=str)
def test_a_broken_record_is_rejected_alone_with_its_reason_and_an_excerpt(sample: Sample, tmp_path: Path) -> None:
    for name in ("valid", "broken"):
        (tmp_path / name).mkdir()
    sample.write(tmp_path / "valid")
    assert sample.write_broken
    sample.write_broken(tmp_path / "broken")
    before, after = read(sample, tmp_path / "valid"), read(sample, tmp_path / "broken")
    assert len(after) == len(before) + 1
    assert [row.fields for row in accepted(after)] == [row.fields for row in accepted(before)]
    for row in after:
        if isinstance(row, Rejected):
            assert row.reason and 0 < len(row.text) <= EXCERPT_CHARACTERS


SPOILT_FILES = [
    pytest.param(sample, name, how, id=f"{sample}-{name}-{how}")
    for sample in SAMPLES
    for name in sample.files
    for how in (*SPOILT, *(["cut"] if name.endswith(BINARY) else []))
]


@pytest.mark.parametrize(("sample", "name", "how"), SPOILT_FILES)
def test_a_file_that_is_missing_empty_or_something_else_stops_in_one_sentence(
    sample: Sample, name: str, how: str, tmp_path: Path
) -> None:
    sample.write(tmp_path)
    spoil(tmp_path / name, how)
    path = tmp_path / name if how != "missing" or len(sample.files) > 1 else tmp_path  # of files of any name, the folder
    assert refusal(sample.reader, tmp_path, sample.task, **sample.keys).startswith(str(path))


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("missing", "is missing; run dvc repro download@shop, and if it is still missing, name it under files of its data set"),
        ("empty", "is empty; correct its url and sha256 under datasets in params.yaml and run dvc repro again"),
        ("page", "is an HTML page, not data; correct its url"),
        ("pointer", "is a Git LFS pointer, which only names the data, not data; correct its url"),
    ],
)
def test_the_sentence_says_what_to_change(how: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "shop" / "a.csv"
    path.parent.mkdir()
    path.write_bytes(b"a,b\n1,2\n")
    check_file(path)
    spoil(path, how)
    with pytest.raises(UserError) as caught:
        check_file(path)
    assert str(caught.value).startswith(f"{path} {sentence}")

"""A file or folder is written completely or not at all, and equal contents have equal bytes and hashes."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecomtune.core import files
from ecomtune.core.files import (
    dump_json,
    output_folder,
    read_json,
    read_json_as,
    sha256_file,
    sha256_folder,
    write_lines,
    write_text,
)
from ecomtune.messages.errors import UserError

#: Any JSON value.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
#: Code that reports that it is ready, then waits to be killed.
WAIT = "print('ready', flush=True); import time; time.sleep(60)"


def test_an_output_is_renamed_into_place_and_never_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has the former file open goes on reading it, and at no moment is half of the new one visible."""
    monkeypatch.chdir(tmp_path)
    write_text(Path("out.json"), "old")
    with Path("out.json").open() as former:
        write_text(Path("out.json"), "new")
        assert former.read() == "old" and Path("out.json").read_text() == "new"
    with output_folder(Path("out")) as folder:
        (folder / "weights").write_text("new")
        made = folder.stat().st_ino
    assert Path("out").stat().st_ino == made


class Stopped(Exception):
    """Any exception that ends a block early."""


def kill_in_the_middle(folder: Path, code: str) -> None:
    """Run Python code in ``folder`` until it prints that it is ready, then end it with SIGKILL."""
    environment = {**os.environ, "PYTHONPATH": str(Path(files.__file__).parents[2])}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def contents(folder: Path) -> dict[str, str]:
    return {file.relative_to(folder).as_posix(): file.read_text() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def former(workplace: Path) -> Path:
    """An output folder as an earlier run left it."""
    with output_folder(workplace / "out" / "model") as folder:
        (folder / "weights").write_text("old")
    return workplace / "out" / "model"


@pytest.mark.parametrize("renames", [2, 3], ids=["new folder not in place", "former folder not restored"])
def test_a_second_signal_between_the_last_renames_loses_no_former_output(
    former: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    """The first signal interrupts the rename into place, the second one the undoing: then the output is left in scratch."""
    calls = 0
    rename = Path.replace

    def interrupted_rename(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if 2 <= calls <= renames:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", interrupted_rename)
    with pytest.raises(KeyboardInterrupt), output_folder(former) as folder:
        (folder / "weights").write_text("new")
    monkeypatch.undo()
    left = former if renames == 2 else next((former.parents[1] / ".scratch").glob("model.*/old"))
    assert contents(left) == {"weights": "old"} and former.exists() == (renames == 2)


def test_json_that_is_nested_too_deeply_is_refused(workplace: Path) -> None:
    (workplace / "a.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match=r"a\.json is not valid JSON \(nested too deeply\); delete it"):
        read_json(workplace / "a.json")


def test_a_text_is_written_as_utf_8_with_its_own_line_endings(workplace: Path) -> None:
    write_text(workplace / "a" / "b.txt", "grün\nrot\r\n\u2028")
    assert (workplace / "a" / "b.txt").read_bytes() == "grün\nrot\r\n\u2028".encode()


def test_lines_each_end_with_one_line_feed(workplace: Path) -> None:
    write_lines(workplace / "lines", iter(["a", "b"]))
    assert (workplace / "lines").read_bytes() == b"a\nb\n"


def test_a_text_that_fails_leaves_the_former_file_and_nothing_else(workplace: Path) -> None:
    write_text(workplace / "file", "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(workplace / "file", "new" * 10_000 + "\ud800")
    assert (workplace / "file").read_text() == "old"
    assert list((workplace / ".scratch").iterdir()) == []


def test_lines_that_stop_in_the_middle_leave_the_former_file(workplace: Path) -> None:
    write_text(workplace / "file", "old")
    kill_in_the_middle(
        workplace,
        "from pathlib import Path\nfrom ecomtune.core.files import write_lines\n"
        f"def lines():\n    yield 'new'\n    {WAIT}\nwrite_lines(Path('file'), lines())",
    )
    assert (workplace / "file").read_text() == "old"


def test_a_written_file_and_folder_can_be_read_by_all_users(workplace: Path) -> None:
    write_text(workplace / "file", "text")
    with output_folder(workplace / "out") as folder:
        (folder / "inner").mkdir(0o700)
        (folder / "inner" / "secret").touch(0o600)
        (folder / "tool").touch(0o777)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in [workplace / "file", *(workplace / "out").rglob("*")]}
    assert modes == {"file": "0o644", "inner": "0o755", "secret": "0o644", "tool": "0o644"}
    assert (workplace / "out").stat().st_mode & 0o777 == 0o755


def test_a_finished_output_folder_replaces_the_former_one_completely(former: Path, workplace: Path) -> None:
    with output_folder(former) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "config").write_text("new")
    assert contents(former) == {"deep/config": "new"}
    assert list((workplace / ".scratch").iterdir()) == []


@pytest.mark.parametrize("error", [Stopped, KeyboardInterrupt, SystemExit])
def test_an_error_in_the_block_leaves_the_former_folder_and_nothing_else(
    former: Path, workplace: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error), output_folder(former) as folder:
        (folder / "weights").write_text("new")
        raise error
    assert contents(former) == {"weights": "old"}
    assert list((workplace / ".scratch").iterdir()) == []


def test_an_error_while_the_folder_is_moved_into_place_leaves_the_former_one(former: Path) -> None:
    with pytest.raises(FileNotFoundError), output_folder(former) as folder:
        shutil.rmtree(folder)
    assert contents(former) == {"weights": "old"}


def test_an_output_folder_may_be_empty(workplace: Path) -> None:
    with output_folder(workplace / "out"):
        pass
    assert list((workplace / "out").iterdir()) == []


def test_a_failed_first_run_leaves_no_folder(workplace: Path) -> None:
    with pytest.raises(Stopped), output_folder(workplace / "out"):
        raise Stopped
    assert not (workplace / "out").exists()


def test_a_kill_in_the_block_leaves_the_former_folder(former: Path, workplace: Path) -> None:
    kill_in_the_middle(
        workplace,
        "from pathlib import Path\nfrom ecomtune.core.files import output_folder\n"
        f"with output_folder(Path('out/model')) as folder:\n    (folder / 'weights').write_text('new')\n    {WAIT}",
    )
    assert contents(former) == {"weights": "old"}


def test_nothing_half_written_is_next_to_an_output(workplace: Path) -> None:
    with output_folder(workplace / "out" / "model") as folder:
        (folder / "weights").write_text("new")
        assert not (workplace / "out").exists()
        assert workplace / ".scratch" in folder.resolve().parents


@settings(deadline=None)
@given(value=JSON)
def test_json_reads_back_equal_and_does_not_depend_on_the_order_of_keys(value: Any) -> None:
    text = dump_json(value)
    assert json.loads(text) == value
    assert text.endswith("\n")
    reordered = dict(reversed(value.items())) if isinstance(value, dict) else value
    assert dump_json(reordered) == text


def test_json_has_sorted_keys_unescaped_letters_and_two_spaces() -> None:
    assert dump_json({"b": [1], "a": {"ü": 0.5}}) == '{\n  "a": {\n    "ü": 0.5\n  },\n  "b": [\n    1\n  ]\n}\n'


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_infinity_and_nan_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        dump_json({"f1": value})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(value=JSON)
def test_written_json_reads_back(workplace: Path, value: Any) -> None:
    write_text(workplace / "value.json", dump_json(value))
    assert read_json(workplace / "value.json") == value


def test_a_missing_json_file_is_named_with_what_to_run(workplace: Path) -> None:
    with pytest.raises(UserError, match=r"^value\.json is missing; run the stage that writes it \(dvc repro\)$"):
        read_json(Path("value.json"))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff{}"])
def test_a_broken_json_file_is_named_with_what_to_do(workplace: Path, content: bytes) -> None:
    (workplace / "value.json").write_bytes(content)
    with pytest.raises(UserError, match=r"^value\.json is not valid JSON .*; delete it and run dvc repro again$"):
        read_json(Path("value.json"))


def tree(folder: Path, texts: dict[str, bytes]) -> Path:
    for name, content in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_a_files_hash_is_the_sha256_of_its_bytes(tmp_path: Path) -> None:
    path = tree(tmp_path, {"a": b"abc"}) / "a"
    assert sha256_file(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_equal_folders_have_equal_hashes_wherever_they_are(tmp_path: Path) -> None:
    texts = {"b": b"2", "a": b"1", "c/a": b"3"}
    first = tree(tmp_path / "first", texts)
    second = tree(tmp_path / "second", dict(reversed(texts.items())))
    (second / "a").touch()
    assert sha256_folder(first) == sha256_folder(second)


@pytest.mark.parametrize(
    "changed",
    [
        {"a": b"1", "b": b"3"},
        {"a": b"1", "c": b"2"},
        {"a": b"2", "b": b"1"},
        {"a": b"1"},
        {"a": b"1", "b": b"2", "c": b""},
        {"a": b"1", "d/b": b"2"},
        {"a": b"12"},
        {},
    ],
)
def test_another_name_or_byte_changes_the_hash(tmp_path: Path, changed: dict[str, bytes]) -> None:
    (tmp_path / "changed").mkdir()
    before = sha256_folder(tree(tmp_path / "before", {"a": b"1", "b": b"2"}))
    assert sha256_folder(tree(tmp_path / "changed", changed)) != before


@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("data/examples/ner/report.json", "format@ner"),
        ("data/predictions/single/costs.json", "predict@single"),
        ("models/adapters/merged/tasks/recipe.json", "merge@tasks"),
        ("models/adapters/single/ner/training.json", "train"),
        ("models/baselines/encoder/ner/training.json", "baseline"),
        ("reports/summary.json", ""),
    ],
)
def test_a_missing_output_is_named_with_the_stage_that_writes_it(workplace: Path, file: str, stage: str) -> None:
    for path in (Path(file), workplace / file):
        with pytest.raises(UserError) as caught:
            read_json_as(path, dict[str, Any])
        assert str(caught.value) == f"{path} is missing; run the stage that writes it ({f'dvc repro {stage}'.strip()})"

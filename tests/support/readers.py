"""What the tests of the data sets' readers share: reading, refusals, spoilt files and real ones."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ecomtune.core.config import Dataset
from ecomtune.core.files import sha256_file
from ecomtune.core.records import Rejected, Row
from ecomtune.datasets.registry import part_readers
from ecomtune.examples.screening import rejection_reason
from ecomtune.examples.splits import SPLITS, RowKeys, check_leakage, row_keys, sample
from ecomtune.messages.errors import UserError
from tests.support.tasks import definition, load_task

#: What may be found in place of a file's data.
SPOILT = {
    "missing": None,
    "empty": b"",
    "page": b"\n<!DOCTYPE html><html><body>Not found</body></html>",
    "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
}


def rows_of(reader: str, folder: Path, task: str, **keys: Any) -> list[Row | Rejected]:
    """The rows of a data set, whose files are in ``folder``, for a task that the repository defines."""
    datasets = {folder.name: Dataset(reader=reader, **keys)}
    return [row for read in part_readers(datasets, folder.parent, task, definition(task)) for row in read()]


def refusal(reader: str, folder: Path, task: str, **keys: Any) -> str:
    """The sentence with which the reader stops."""
    with pytest.raises(UserError) as caught:
        rows_of(reader, folder, task, **keys)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def reasons(rows: Iterable[Row | Rejected]) -> dict[str, str]:
    """Why each rejected row is rejected, by its source."""
    return {row.source: row.reason for row in rows if isinstance(row, Rejected)}


def accepted(rows: Iterable[Row | Rejected]) -> list[Row]:
    return [row for row in rows if isinstance(row, Row)]


def spoil(path: Path, how: str) -> None:
    """Replace the file by what SPOILT names, or by its first half ("cut")."""
    content = path.read_bytes()[: path.stat().st_size // 2] if how == "cut" else SPOILT[how]
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


def mirrored(dataset: str, folder: Path) -> Path:
    """``folder`` with the real files of a data set, by the mirror's index."""
    mirror = Path(os.environ["ECOMTUNE_MIRROR"])
    for entry in json.loads((mirror / "index.json").read_text(encoding="utf-8")):
        if entry["dataset"] == dataset:
            path = folder / Path(entry["path"]).name
            shutil.copyfile(mirror / "sha256" / entry["sha256"], path)
            assert sha256_file(path) == entry["sha256"]
    return folder


def screened(task: str, rows: Iterable[Row | Rejected]) -> tuple[list[Row], Counter[str]]:
    """The rows that become examples, and the number of the others by reason: each row is in one of the two."""
    good: list[Row] = []
    bad: Counter[str] = Counter()
    for row in rows:
        reason = row.reason if isinstance(row, Rejected) else rejection_reason(load_task(task), row)
        if reason is None:
            assert isinstance(row, Row)
            good.append(row)
        else:
            bad[reason] += 1
    return good, bad


def keys_of(task: str, rows: Sequence[Row], seed: int, labels: Sequence[int] | None = None) -> RowKeys:
    """The keys of rows, whose labels have these indices (by default all 0)."""
    inputs = [load_task(task).input_key(row.fields) for row in rows]
    found = zip(rows, labels or [0] * len(rows), inputs, strict=True)
    return RowKeys.from_values([value for row, label, key in found for value in row_keys(row, label, key, seed)])


def check_no_leak(task: str, rows: Sequence[Row], seed: int) -> None:
    """Let the project's own check look at all rows."""
    keys = keys_of(task, rows, seed)
    check_leakage(task, keys, {split: sample(keys, split, len(rows)) for split in SPLITS}, rows.__getitem__)

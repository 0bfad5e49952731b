"""docs/reliability.md claims nothing that no test does: each row of its tables names tests, and they are there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.support.scratch_clone import REPOSITORY

PAGE = (REPOSITORY / "docs/reliability.md").read_text(encoding="utf-8")
COLUMNS = ["fault", "how it is brought about", "tries", "lost", "what the user sees", "test"]
Row = tuple[str, list[str], str]


@cache
def names_in(file: str) -> list[str]:
    """Names of the test functions of the one file below tests/ that has this name."""
    (found,) = (REPOSITORY / "tests").rglob(file)
    tree = ast.parse(found.read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


def rows(page: str) -> Iterator[Row]:
    """Each row of the page's tables, its cells, and the file that its table's head gives for tests that are named alone."""
    own = ""
    for line in page.splitlines():
        if not line.startswith("|") or set(line) <= set("|-"):
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == "fault":
            own = "".join(re.findall(r"test_\w+\.py", cells[-1]))
            assert [*cells[:-1], cells[-1].partition(" ")[0]] == COLUMNS
        else:
            yield cells[0], cells, own


def missing(cell: str, own: str) -> list[str]:
    """What a row's last cell names and isn't there: ``FILE, FILE: PART, PART; PART``, parts of names of tests."""
    found = []
    for group in cell.split("; "):
        named, colon, parts = group.rpartition(": ")
        files = named.split(", ") if colon else [own]
        found += [part for part in parts.split(", ") if not any(part in test for file in files for test in names_in(file))]
        found += [file for file in files if not any(part in test for part in parts.split(", ") for test in names_in(file))]
    return found


ROWS = {row[0]: row for row in rows(PAGE)}


@pytest.mark.parametrize("fault", ROWS)
def test_a_row_names_tests_that_are_there_and_loses_nothing(fault: str) -> None:
    _, cells, own = ROWS[fault]
    assert len(cells) == len(COLUMNS) and all(cells)
    assert int(re.sub(r"[+,]|each", "", cells[2])) > 0 and cells[3] == "0"
    assert missing(cells[-1], own) == []


def test_a_row_without_a_test_would_be_noticed() -> None:
    assert missing("test_fetch.py: wrong_bytes, no_such_test", "") == ["no_such_test"]
    assert missing("no_such_test", "test_fetch.py") == ["no_such_test", "test_fetch.py"]
    assert missing("test_fetch.py, test_table.py: wrong_bytes", "") == ["test_table.py"]
    assert len(ROWS) == sum(line.startswith("| ") for line in PAGE.splitlines()) - PAGE.count("\n| fault |") > 60


@pytest.mark.parametrize("page", ["docs/reliability.md", "SECURITY.md"])
def test_every_file_of_tests_that_a_page_names_is_there(page: str) -> None:
    for file in re.findall(r"test_\w+\.py", (REPOSITORY / page).read_text(encoding="utf-8")):
        assert names_in(file)

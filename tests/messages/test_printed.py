"""What stages and commands print: the lines needed to judge the numbers, and tables that are complete in a pipe."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from rich.markdown import Markdown
from rich.table import Table

from ecomtune.core.records import FEW_GROUPS
from ecomtune.messages.console import TEXT_WIDTH, show
from ecomtune.messages.warnings import few_groups
from ecomtune.stages.compare import main as compare
from ecomtune.stages.score import main as score
from tests.support.report_data import params, write_report


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(output: Table | Markdown, file: io.StringIO) -> list[str]:
    with redirect_stdout(file):
        show(output)
    return file.getvalue().splitlines()


def wide_table() -> Table:
    grid = Table("system", *(f"task {number}" for number in range(12)), title="Wide")
    grid.add_row("merged_shards", *["0.123 0.10–0.15 (3 invalid)"] * 12)
    return grid


@pytest.mark.parametrize("forced", [True, False], ids=["with FORCE_COLOR", "without"])
def test_a_table_is_complete_in_a_pipe_and_fits_a_terminal(monkeypatch: pytest.MonkeyPatch, forced: bool) -> None:
    if forced:
        monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    (row,) = [line for line in printed(wide_table(), io.StringIO()) if "merged_shards" in line]
    assert row.count("0.123 0.10–0.15 (3 invalid)") == 12
    assert max(map(len, printed(wide_table(), Terminal()))) <= 80


def test_a_page_in_a_pipe_is_as_wide_as_its_widest_table_and_text_alone_is_wrapped() -> None:
    cells = ["x" * length for length in (60, 70, 80)]
    rows = [f"| {' | '.join(row)} |" for row in ("abc", ("---",) * 3, cells, cells[::-1])]
    page = "\n".join(["# Title", "", "word " * 200, "", *rows])
    lines = printed(Markdown(page), io.StringIO())
    assert any(all(cell in line for cell in cells) for line in lines)
    assert max(map(len, lines)) < 280
    assert max(map(len, printed(Markdown("word " * 200), io.StringIO()))) <= TEXT_WIDTH


@pytest.mark.parametrize("groups", [1, 2, FEW_GROUPS - 1, FEW_GROUPS, 500])
def test_a_task_with_too_few_groups_is_reported_with_what_to_change(groups: int) -> None:
    warning = few_groups("ner", groups, FEW_GROUPS)
    assert (warning is None) == (groups >= FEW_GROUPS)
    if warning:
        assert f"too few groups ({groups}, of at least {FEW_GROUPS})" in warning and "tasks.ner.test_size" in warning


def test_score_and_compare_warn_once_for_each_task_with_too_few_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_report()
    (tmp_path / "metrics/gone.json").write_text("{}")
    capsys.readouterr()
    for stage in (score, compare):
        stage(params(), "single")
        lines = capsys.readouterr().out.splitlines()
        warnings = [line for line in lines if "too few groups" in line]
        # both print the same sentence, which report/ has a copy of
        assert warnings == [few_groups("ner", 2, FEW_GROUPS), few_groups("summarization", 1, FEW_GROUPS)]
    assert "ignored metrics files that belong to no system in params.yaml; remove them with: rm metrics/gone.json" in lines
    assert "ner: no other system is at least as good for no more operations than single" in lines
    assert len([line for line in lines if "whose interval excludes 0 may therefore not be significant" in line]) == 1

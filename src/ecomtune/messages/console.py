"""Printing of tables and pages: as wide as the terminal, and uncut in a pipe or a file."""

from __future__ import annotations

from itertools import groupby

from rich.console import Console
from rich.markdown import Markdown
from rich.measure import Measurement
from rich.table import Table

#: The width of text, in columns, where the output is not a terminal, and a width that no table reaches.
TEXT_WIDTH, UNBOUNDED = 100, 10_000
#: Has no effect on what is printed, but without a height rich ignores a width where FORCE_COLOR is set and TERM is dumb.
HEIGHT = 25


def show(output: Table | Markdown) -> None:
    """Print a table or page; where the output is not a terminal, no table is cut."""
    console = Console()
    if not console.file.isatty():  # rich's own is_terminal follows FORCE_COLOR, which is about colours and not about width
        needed = _width_of_tables(output.markup) if isinstance(output, Markdown) else _width(output)
        console = Console(width=max(TEXT_WIDTH, needed), height=HEIGHT)
    console.print(output)


def _width(output: Table) -> int:
    console = Console(width=UNBOUNDED, height=HEIGHT)
    return Measurement.get(console, console.options, output).maximum


def _width_of_tables(page: str) -> int:
    """The width of the widest table in a Markdown page: its cells, and three columns between two of them."""
    tables = [list(lines) for is_table, lines in groupby(page.splitlines(), lambda line: line.startswith("|")) if is_table]
    cells = [[[len(cell) for cell in line.split(" | ")] for line in lines if "|---" not in line] for lines in tables]
    return max((sum(max(column) + 3 for column in zip(*lengths, strict=False)) for lengths in cells), default=0)

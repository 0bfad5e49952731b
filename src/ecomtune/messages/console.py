"""What is printed: as wide as a terminal is, and whole in a pipe or a file."""

from __future__ import annotations

from itertools import groupby

from rich.console import Console, RenderableType
from rich.markdown import Markdown
from rich.measure import Measurement
from rich.table import Table

#: Columns of text where the output is no terminal, and of a table that may be as wide as it needs.
TEXT, UNBOUNDED = 100, 10_000


def show(shown: Table | Markdown) -> None:
    """Print a table or page, in which nothing is cut where the output is no terminal."""
    console = Console()
    if not console.file.isatty():  # rich's own is_terminal goes by FORCE_COLOR, which says nothing of the width
        wide = Console(width=UNBOUNDED)
        needed = _of_tables(shown.markup) if isinstance(shown, Markdown) else _of(wide, shown)
        console = Console(width=max(TEXT, needed))
    console.print(shown)


def _of(console: Console, shown: RenderableType) -> int:
    return Measurement.get(console, console.options, shown).maximum


def _of_tables(page: str) -> int:
    """Columns that the widest table of a Markdown page needs: its cells', and three between two of them."""
    tables = [list(lines) for is_table, lines in groupby(page.splitlines(), lambda line: line.startswith("|")) if is_table]
    cells = [[[len(cell) for cell in line.split(" | ")] for line in lines if "|---" not in line] for lines in tables]
    return max((sum(max(column) + 3 for column in zip(*lengths, strict=False)) for lengths in cells), default=0)

"""``ecomtune answers``: the study's six questions, answered by the current run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def answers(
    markdown: Annotated[bool, typer.Option(help="as Markdown text, for a file or a comment")] = False,
) -> None:
    """Print the current run's answers to the study's six questions, with figures, intervals and paired tests."""
    from rich.markdown import Markdown

    from ecomtune.checks.parameters import load_params
    from ecomtune.messages.console import show
    from ecomtune.runs import questions
    from ecomtune.runs.stale_outputs import stale_numbers
    from ecomtune.runs.study import read_study

    page = questions.page(read_study(load_params()))
    for problem in reversed(stale_numbers(Path())):
        page = f"**These answers are stale:** {problem}\n\n{page}"
    if markdown:
        print(page, end="")
    else:
        show(Markdown(page))

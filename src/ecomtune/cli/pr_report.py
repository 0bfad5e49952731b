"""``ecomtune pr-report``: what a branch changes."""

from __future__ import annotations

from typing import Annotated

import typer

from ecomtune.cli.common import problems_here


def pr_report(
    base: Annotated[str, typer.Option(help="the branch or commit to compare with, usually the one to merge into")] = "main",
) -> None:
    """Print, as Markdown for a pull request, which parameters and metrics this branch changes."""
    from ecomtune.runs.pull_request import report

    found = problems_here()
    print(report(base))
    for problem in found:
        print(f"- **Stale:** {problem}")

"""``ecomtune pr-report``: what a branch changes."""

from __future__ import annotations

from typing import Annotated

import typer

from ecomtune.cli.common import problems_here


def pr_report(
    base: Annotated[str, typer.Option(help="the branch or commit that this one is to be merged into")] = "main",
) -> None:
    """Print, as Markdown, which parameters and metrics this branch changes, for its pull request."""
    from ecomtune.runs import pull_request

    found = problems_here()
    print(pull_request.report(base))
    for problem in found:
        print(f"- **Stale:** {problem}")

"""``ecomtune table``: every system by task."""

from __future__ import annotations

from pathlib import Path


def table() -> None:
    """Print every system by task, and what its answers cost, from metrics/."""
    from ecomtune.checks.parameters import load_params
    from ecomtune.messages.console import show
    from ecomtune.report import quality_cost as costs
    from ecomtune.report import summary
    from ecomtune.runs.stale_outputs import stale_numbers

    found = summary.summarize(load_params())
    for problem in stale_numbers(Path()):
        print(f"these numbers are stale: {problem}")
    show(costs.costs_table(found))
    print("\n".join(costs.remarks(found)))
    show(summary.table(found))
    for line in [*summary.warnings(found), *summary.left_out(found)]:
        print(line)

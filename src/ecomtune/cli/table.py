"""``ecomtune table``: every system by task."""

from __future__ import annotations

from pathlib import Path


def table() -> None:
    """Print every system by task, and what its answers cost, from metrics/."""
    from ecomtune.checks.parameters import load_params
    from ecomtune.messages.console import show
    from ecomtune.report.quality_cost import cost_remarks, costs_table
    from ecomtune.report.summary import summarize
    from ecomtune.report.systems_table import few_groups_warnings, left_over_metrics, systems_table
    from ecomtune.runs.stale_outputs import stale_numbers

    scores = summarize(load_params())
    for problem in stale_numbers(Path()):
        print(f"these numbers are stale: {problem}")
    show(costs_table(scores))
    print("\n".join(cost_remarks(scores)))
    show(systems_table(scores))
    for line in [*few_groups_warnings(scores), *left_over_metrics(scores)]:
        print(line)

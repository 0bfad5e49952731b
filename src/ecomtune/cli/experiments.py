"""``ecomtune experiments``: DVC's experiments side by side."""

from __future__ import annotations


def experiments() -> None:
    """Print this commit's dvc experiments side by side: the parameters and main metrics in which they differ."""
    from ecomtune.messages.console import show
    from ecomtune.runs import curve as report
    from ecomtune.runs.experiments import table as side_by_side

    found = report.runs()
    if found.others:
        print(f"left out, since they have failed, are running or are queued: {len(found.others)} ({', '.join(found.others)})")
    show(side_by_side(found.ended))

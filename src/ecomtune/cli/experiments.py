"""``ecomtune experiments``: DVC's experiments side by side."""

from __future__ import annotations


def experiments() -> None:
    """Print this commit's dvc experiments side by side: the parameters and main metrics in which they differ."""
    from ecomtune.messages.console import show
    from ecomtune.runs.experiments import table
    from ecomtune.runs.revisions import runs_of_commit

    runs = runs_of_commit()
    if names := runs.unfinished:
        print(f"left out, because they failed, are running or are queued: {len(names)} ({', '.join(names)})")
    show(table(runs.finished))

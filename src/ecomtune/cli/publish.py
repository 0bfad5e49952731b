"""``ecomtune publish NAME``: results/NAME of the current run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ecomtune.cli.common import profile_file


def publish(name: Annotated[str, typer.Argument(help="the run's profile")]) -> None:
    """Write results/NAME: the current run's table with its params, lock, metrics, data hashes and times."""
    from ecomtune.runs.freshness import problems, stage_names
    from ecomtune.runs.publish import publish_run

    source = profile_file(name)
    print(publish_run(source, stage_names(Path()), problems(Path(), leftovers=False)))

"""What a baseline is fitted from, and where to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ecomtune.checkpoints import Checkpoints
from ecomtune.records import Example
from ecomtune.sections import Baseline
from ecomtune.tasks.base import Task


@dataclass(frozen=True)
class Job:
    """One baseline's training: what answering needs goes into ``folder``, what a killed run needs into ``checkpoints``.

    ``live`` is a folder for the losses as they come, None for none.
    """

    settings: Baseline
    task: Task
    train: Sequence[Example]
    validation: Sequence[Example]
    folder: Path
    seed: int
    checkpoints: Checkpoints
    live: Path | None = None

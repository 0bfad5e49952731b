"""Which code can change the bytes that a stage writes: the one list of it.

dvc.yaml names these folders as dependencies (a test compares the two), and checkpoints and cached predictions are kept under a
key that holds their hashes. What can only stop a stage or speak (messages, checks, the runner) is in no list.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ecomtune.core.files import sha256_file

PACKAGE = Path(__file__).resolve().parent.parent
_TRAIN = ("core", "models", "training", "lora")
#: Folders of src/ecomtune by stage; each stage depends on its own module in stages/ too.
CODE: dict[str, tuple[str, ...]] = {
    "download": ("core", "datasets"),
    "pretrained": ("core", "models"),
    "format": ("core", "tasks", "datasets", "examples"),
    "train": _TRAIN,
    "merge": (*_TRAIN, "adapters"),
    "baseline": ("core", "tasks", "models", "training", "baselines"),
    "predict": ("core", "tasks", "models", "baselines", "inference"),
    "score": ("core", "tasks", "metrics"),
    "compare": ("core", "tasks", "metrics", "adapters", "report"),
}


@cache
def code_hashes(stage: str) -> dict[str, str]:
    """The sha256 of every Python file that can change what a stage writes, by its path in the package."""
    files = [file for folder in CODE[stage] for file in (PACKAGE / folder).rglob("*.py")]
    return {
        file.relative_to(PACKAGE).as_posix(): sha256_file(file) for file in sorted([*files, PACKAGE / "stages" / f"{stage}.py"])
    }

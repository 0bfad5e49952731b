"""The folders of code that can change the bytes a stage writes; no other place lists them.

dvc.yaml names the same folders as dependencies (a test compares the two), and the keys of checkpoints and cached predictions
contain their hashes. Code that can only stop a stage or print (messages, checks, the runner) is not listed.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ecomtune.core.files import sha256_file

PACKAGE = Path(__file__).resolve().parent.parent
_TRAIN = ("core", "models", "training", "lora")
#: Folders of src/ecomtune by stage. A stage also depends on its own module in stages/.
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
    """The sha256 of every Python file that can change what a stage writes, by its path inside the package."""
    files = [file for folder in CODE[stage] for file in (PACKAGE / folder).rglob("*.py")]
    return {
        file.relative_to(PACKAGE).as_posix(): sha256_file(file) for file in sorted([*files, PACKAGE / "stages" / f"{stage}.py"])
    }

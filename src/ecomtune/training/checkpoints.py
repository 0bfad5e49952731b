"""Checkpoints of a training, kept in scratch until its output is written: complete ones only, one process at a time.

They are not a stage output, since DVC removes outputs before a stage runs. Their folder is named by the hash of everything
that determines the training, so that a training on other data, settings or code never resumes from them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ecomtune.core.code import code_hashes
from ecomtune.core.config.types import Config
from ecomtune.core.files import dump_json, parse_json, sha256_file, sha256_folder, write_text
from ecomtune.core.locks import locked
from ecomtune.core.paths import SCRATCH
from ecomtune.core.records import Example, dump_line
from ecomtune.messages.errors import UserError, writing
from ecomtune.models.process import is_main_process, is_sharded, world_size

#: The environment variable that sets the seconds between two checkpoints, and their default.
INTERVAL_VARIABLE, DEFAULT_INTERVAL = "ECOMTUNE_CHECKPOINT_SECONDS", 60.0
#: Libraries whose version can change the bytes of a training.
LIBRARIES = ("accelerate", "numpy", "peft", "tokenizers", "torch", "transformers")
_COMPLETE = "complete.json"
_BEST = "best.safetensors"


@dataclass(frozen=True)
class Checkpoints:
    """A folder of checkpoints named checkpoint-STEP, as transformers' Trainer writes them, and of the best weights so far."""

    folder: Path
    interval: float = DEFAULT_INTERVAL

    @property
    def best(self) -> Path:
        """The file with the weights of the lowest validation loss so far; each checkpoint has its own copy."""
        return self.folder / _BEST

    def mark_complete(self, step: int) -> None:
        """Mark the checkpoint of ``step`` as complete, by the hashes of its files, and remove all but the newest two."""
        checkpoint = self.folder / f"checkpoint-{step}"
        if self.best.exists():
            shutil.copyfile(self.best, checkpoint / _BEST)
        files = {str(file.relative_to(checkpoint)): sha256_file(file) for file in checkpoint.rglob("*") if file.is_file()}
        write_text(checkpoint / _COMPLETE, dump_json(files))
        for old in self._newest_first()[2:]:
            shutil.rmtree(old)

    def newest(self) -> Path | None:
        """The newest complete checkpoint, its best weights restored; newer ones, half-written or damaged, are removed.

        Trainer itself would resume from a half-written one, and end with other numbers.
        """
        for checkpoint in self._newest_first():
            if _is_complete(checkpoint):
                if (checkpoint / _BEST).exists():
                    shutil.copyfile(checkpoint / _BEST, self.best)
                return checkpoint
            shutil.rmtree(checkpoint)
        return None

    def _newest_first(self) -> list[Path]:
        found = [path for path in self.folder.glob("checkpoint-*") if path.name.partition("-")[2].isdigit()]
        return sorted(found, key=lambda path: int(path.name.partition("-")[2]), reverse=True)


def _is_complete(checkpoint: Path) -> bool:
    try:
        files = parse_json((checkpoint / _COMPLETE).read_bytes())
        return bool(files) and all(sha256_file(checkpoint / name) == digest for name, digest in files.items())
    except (OSError, ValueError, AttributeError):
        return False


def training_key(
    stage: str, base: Path | None, settings: Config, seed: int, threads: int, *rows: Sequence[Example]
) -> dict[str, Any]:
    """Everything that determines the bytes of a training: the stage's code, libraries, base model, settings, seed, threads,
    processes and rows."""
    return {
        "base": None if base is None else sha256_folder(base),
        "code": code_hashes(stage),
        "libraries": {name: version(name) for name in LIBRARIES},
        "processes": world_size(),
        "rows": [hashlib.sha256("\n".join(map(dump_line, part)).encode()).hexdigest() for part in rows],
        "seed": seed,
        "settings": settings.model_dump(mode="json"),
        "sharded": is_sharded(),  # FSDP writes other checkpoints
        "threads": threads,
    }


@contextmanager
def open_checkpoints(key: Mapping[str, Any]) -> Iterator[Checkpoints]:
    """The checkpoints of the training with this ``key`` (JSON values); removed when the block ends without an error.

    Meanwhile they are locked: a second process of the same training, started after a killed dvc whose stage lives on, say,
    waits. Of processes that train together, rank 0 locks and removes for all. After an error the checkpoints remain.
    """
    folder = SCRATCH / "checkpoints" / hashlib.sha256(dump_json(dict(key)).encode()).hexdigest()
    checkpoints = Checkpoints(folder, _interval())
    if not is_main_process():
        yield checkpoints
        return
    waiting = "another process is running this training; waiting until it ends"
    with locked(folder.with_suffix(".lock"), lambda: print(waiting, flush=True)):
        folder.mkdir(exist_ok=True)
        try:
            with writing(folder):
                yield checkpoints
        except BaseException:
            with suppress(OSError):  # not empty: it holds checkpoints
                folder.rmdir()
            raise
        shutil.rmtree(folder)


def _interval() -> float:
    text = os.environ.get(INTERVAL_VARIABLE, str(DEFAULT_INTERVAL))
    with suppress(ValueError):
        if (seconds := float(text)) >= 0:  # False for nan
            return seconds
    raise UserError(f"{INTERVAL_VARIABLE} is {text!r}, which is not a number of seconds; correct or unset it")

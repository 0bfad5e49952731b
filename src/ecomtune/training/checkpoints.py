"""Checkpoints of a training, kept in scratch until its output stands: complete ones only, and one process at a time.

They are no stage output, since DVC removes outputs before a stage runs. A folder is named by the hash of all that decides the
training, so that another data set, setting or version of the code never resumes from it.
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

#: The environment variable that sets the seconds between two checkpoints, and how many they are without it.
INTERVAL, DEFAULT_INTERVAL = "ECOMTUNE_CHECKPOINT_SECONDS", 60.0
_FILES = "complete.json"
_BEST = "best.safetensors"


@dataclass(frozen=True)
class Checkpoints:
    """A folder of checkpoints named checkpoint-STEP, as transformers' Trainer writes them, and what else a training keeps."""

    folder: Path
    interval: float = DEFAULT_INTERVAL

    @property
    def best(self) -> Path:
        """Where a training puts the weights of its lowest validation loss; each checkpoint holds those of its time."""
        return self.folder / _BEST

    def complete(self, step: int) -> None:
        """Mark the checkpoint of ``step`` as whole, by the hashes of its files, and remove all but it and the one before."""
        checkpoint = self.folder / f"checkpoint-{step}"
        if self.best.exists():
            shutil.copyfile(self.best, checkpoint / _BEST)
        files = {str(file.relative_to(checkpoint)): sha256_file(file) for file in checkpoint.rglob("*") if file.is_file()}
        write_text(checkpoint / _FILES, dump_json(files))
        for old in self._newest_first()[2:]:
            shutil.rmtree(old)

    def newest(self) -> Path | None:
        """The newest checkpoint that is whole, its best weights put back; newer ones, half-written or damaged, are removed.

        Trainer itself would take a half-written one, and train on with other numbers.
        """
        for checkpoint in self._newest_first():
            if _is_whole(checkpoint):
                if (checkpoint / _BEST).exists():
                    shutil.copyfile(checkpoint / _BEST, self.best)
                return checkpoint
            shutil.rmtree(checkpoint)
        return None

    def _newest_first(self) -> list[Path]:
        found = [path for path in self.folder.glob("checkpoint-*") if path.name.partition("-")[2].isdigit()]
        return sorted(found, key=lambda path: int(path.name.partition("-")[2]), reverse=True)


def _is_whole(checkpoint: Path) -> bool:
    try:
        files = parse_json((checkpoint / _FILES).read_bytes())
        return bool(files) and all(sha256_file(checkpoint / name) == digest for name, digest in files.items())
    except (OSError, ValueError, AttributeError):
        return False


def decides(
    stage: str, base: Path | None, settings: Config, seed: int, threads: int, *rows: Sequence[Example]
) -> dict[str, Any]:
    """All that decides the bytes of a training: the stage's code, the base model, settings, seed, threads and rows."""
    return {
        "base": None if base is None else sha256_folder(base),
        "code": code_hashes(stage),
        "libraries": {name: version(name) for name in ("accelerate", "numpy", "peft", "tokenizers", "torch", "transformers")},
        "processes": world_size(),
        "rows": [hashlib.sha256("\n".join(map(dump_line, part)).encode()).hexdigest() for part in rows],
        "seed": seed,
        "settings": settings.model_dump(mode="json"),
        "sharded": is_sharded(),  # which writes other checkpoints
        "threads": threads,
    }


@contextmanager
def checkpoints_of(decides: Mapping[str, Any]) -> Iterator[Checkpoints]:
    """The checkpoints of the training that ``decides`` (JSON values) describes; removed when the block ends without an error.

    Locked meanwhile: a second process of the same training, such as one after a killed dvc whose stage lives on, waits. Of
    processes that train together, the first one locks and removes for all. An error leaves the checkpoints that there are.
    """
    folder = SCRATCH / "checkpoints" / hashlib.sha256(dump_json(dict(decides)).encode()).hexdigest()
    checkpoints = Checkpoints(folder, _interval())
    if not is_main_process():
        yield checkpoints
        return
    told = "another process runs this very training; waiting until it ends"
    with locked(folder.with_suffix(".lock"), lambda: print(told, flush=True)):
        folder.mkdir(exist_ok=True)
        try:
            with writing(folder):
                yield checkpoints
        except BaseException:
            with suppress(OSError):  # it holds checkpoints
                folder.rmdir()
            raise
        shutil.rmtree(folder)


def _interval() -> float:
    text = os.environ.get(INTERVAL, str(DEFAULT_INTERVAL))
    with suppress(ValueError):
        if (seconds := float(text)) >= 0:  # which nan isn't
            return seconds
    raise UserError(f"{INTERVAL} is {text!r}, no number of seconds; correct or unset it")

"""The log of stage runs: times and memory are kept in scratch, since in an output no two runs would have the same bytes."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ecomtune.core.paths import SCRATCH
from ecomtune.messages.errors import UserError
from ecomtune.models.process import arithmetic, peak_memory

TIMES = SCRATCH / "times.jsonl"


class StageTime(BaseModel):
    """One run of a stage: seconds, peak memory in MiB, the sha256 of params.yaml at its start, and, if it computed with torch,
    the number of threads and the BLAS library."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)
    stage: str
    seconds: float = Field(ge=0)
    memory_mib: int | None = None
    params: str | None = None
    arithmetic: str | None = None


def log_time(stage: str, seconds: float, params: str) -> None:
    """Append the run of this process to the log; ``params`` is the sha256 of params.yaml at its start."""
    run = StageTime(stage=stage, seconds=round(seconds, 1), memory_mib=peak_memory(), params=params, arithmetic=arithmetic())
    SCRATCH.mkdir(exist_ok=True)
    with TIMES.open("a", encoding="utf-8") as log:
        log.write(run.model_dump_json() + "\n")


def read_times(root: Path = Path()) -> list[StageTime]:
    """All runs in the log of the repository at ``root``, in order.

    Raises UserError that names a line if it isn't such a run.
    """
    file = root / TIMES
    runs = []
    for number, line in enumerate(file.read_bytes().splitlines() if file.is_file() else [], start=1):
        try:
            runs.append(StageTime.model_validate_json(line))
        except ValidationError as error:
            raise UserError(f"line {number} of {file} is not a stage's time; remove it") from error
    return runs

"""The log of stage runs in scratch, with time and memory: in an output, no two runs would have the same bytes."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ecomtune.core.paths import SCRATCH
from ecomtune.messages.errors import UserError

TIMES = SCRATCH / "times.jsonl"


class StageTime(BaseModel):
    """One run of a stage: seconds, peak memory in MiB, the sha256 of params.yaml at its start, and torch's threads and BLAS
    where it computed."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)
    stage: str
    seconds: float = Field(ge=0)
    memory_mib: int | None = None
    params: str | None = None
    arithmetic: str | None = None


def log_time(run: StageTime) -> None:
    """Append a run to the log."""
    SCRATCH.mkdir(exist_ok=True)
    with TIMES.open("a", encoding="utf-8") as log:
        log.write(run.model_dump_json() + "\n")


def read_times(root: Path = Path()) -> list[StageTime]:
    """All runs that the log of the repository at ``root`` holds, in their order.

    Raises UserError naming a line that is not such a run.
    """
    file = root / TIMES
    found = []
    for number, line in enumerate(file.read_bytes().splitlines() if file.is_file() else [], start=1):
        try:
            found.append(StageTime.model_validate_json(line))
        except ValidationError as error:
            raise UserError(f"line {number} of {file} is not a stage's time; remove it") from error
    return found

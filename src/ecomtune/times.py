"""What each run of a stage noted in scratch of its time and memory: in an output, no two runs would be alike."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ecomtune.errors import UserError
from ecomtune.files import SCRATCH

TIMES = SCRATCH / "times.jsonl"


class StageTime(BaseModel):
    """A run of a stage: its seconds, its memory in MiB at the most, the sha256 of params.yaml as it was then, and torch's
    threads and BLAS where it computed."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)
    stage: str
    seconds: float = Field(ge=0)
    memory_mib: int | None = None
    params: str | None = None
    arithmetic: str | None = None


def read_times(root: Path = Path()) -> list[StageTime]:
    """The runs in a folder, in their order; none where no stage has run. Raises UserError for a line that is no such note."""
    file = root / TIMES
    found = []
    for number, line in enumerate(file.read_bytes().splitlines() if file.is_file() else [], start=1):
        try:
            found.append(StageTime.model_validate_json(line))
        except ValidationError as error:
            raise UserError(f"line {number} of {file} is no stage's time; remove it") from error
    return found

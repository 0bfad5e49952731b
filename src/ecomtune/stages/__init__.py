"""One thin module a DVC stage: ``python -m ecomtune.stages.NAME ITEM``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import NoReturn, TypeVar

from ecomtune.errors import UserError
from ecomtune.files import SCRATCH
from ecomtune.params import Params, load

Item = TypeVar("Item")


def run(stage: Callable[[Params, str], None]) -> NoReturn:
    """Run a stage for the item named on the command line; a user's mistake ends it with one sentence and status 1."""
    name = sys.modules["__main__"].__spec__.name.rpartition(".")[2] if sys.modules["__main__"].__spec__ else "stage"
    chosen = sys.argv[1] if len(sys.argv) > 1 else ""
    started = time.monotonic()
    try:
        stage(load(), chosen)
    except UserError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print(f"{name}: stopped; nothing half-written is left", file=sys.stderr)
        sys.exit(130)
    _log_time(f"{name}@{chosen}" if chosen else name, time.monotonic() - started)
    sys.exit(0)


def _log_time(stage: str, seconds: float) -> None:
    """Note how long a stage took, in scratch: times must not stand in an output, which would then never be the same."""
    SCRATCH.mkdir(exist_ok=True)
    with (SCRATCH / "times.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps({"seconds": round(seconds, 1), "stage": stage}) + "\n")


def pick(section: Mapping[str, Item], name: str, where: str) -> Item:
    """The item ``name`` of a section of params.yaml. Raises UserError where it isn't there."""
    if name not in section:
        raise UserError(f"{where}: {name!r} is not there; name one of: {', '.join(section) or 'none, it is empty'}")
    return section[name]

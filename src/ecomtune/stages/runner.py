"""How every stage runs: ``python -m ecomtune.stages.NAME ITEM``."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import NoReturn, TypeVar

from ecomtune.checks.parameters import load_params
from ecomtune.core.config.params import Params
from ecomtune.core.files import sha256_file
from ecomtune.core.paths import PARAMS_FILE
from ecomtune.messages.errors import UserError, sentence
from ecomtune.models.process import forget_other_processes, is_main_process
from ecomtune.stages.timing import log_time

Item = TypeVar("Item")


class Terminated(SystemExit):
    """SIGTERM as an exception, which unwinds the stage as Ctrl-C does, so that everything is cleaned up.

    It is a SystemExit, because asyncio only logs other exceptions that are raised in one of its callbacks.
    """


def run(stage: Callable[[Params, str], None], distributed: bool = False) -> NoReturn:
    """Run a stage for the item named on the command line, log its time, and exit.

    If torchrun or accelerate started several processes, only the first runs a stage that isn't ``distributed``. A user's
    mistake, or a file that can't be read or written, ends the stage with one sentence and status 1, Ctrl-C with status 130 and
    SIGTERM with status 143, as is usual in shells.
    """
    if not distributed:
        if not is_main_process():
            sys.exit(0)
        forget_other_processes()
    name = sys.modules["__main__"].__spec__.name.rpartition(".")[2] if sys.modules["__main__"].__spec__ else "stage"
    item = sys.argv[1] if len(sys.argv) > 1 else ""
    started = time.monotonic()
    try:
        signal.signal(signal.SIGTERM, _terminate)
        if extra := sys.argv[2:]:
            raise UserError(f"a stage runs one item only; leave out {' '.join(extra)}")
        params, digest = load_params(), sha256_file(PARAMS_FILE)  # the file may be edited while the stage runs
        stage(params, item)
        if is_main_process():
            log_time(f"{name}@{item}" if item else name, time.monotonic() - started, digest)
    except (UserError, OSError) as error:
        print(f"{name}: error: {sentence(error)}", file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, Terminated) as stop:
        print(f"{name}: stopped; no partial output was left behind", file=sys.stderr)
        sys.exit(128 + (signal.SIGINT if isinstance(stop, KeyboardInterrupt) else signal.SIGTERM))
    sys.exit(0)


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would interrupt the cleaning up
    raise Terminated


def pick(items: Mapping[str, Item], name: str, key: str) -> Item:
    """The item called ``name`` of those at ``key`` in params.yaml. Raises UserError if there is none."""
    if name not in items:
        problem = f"there is no {name!r}" if name else "no item is named"
        raise UserError(f"{key}: {problem}; name one of: {', '.join(items) or 'there are none in params.yaml'}")
    return items[name]

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
from ecomtune.models.process import arithmetic, forget_other_processes, is_main_process, peak_memory
from ecomtune.stages.timing import StageTime, log_time

Item = TypeVar("Item")


class Terminated(SystemExit):
    """SIGTERM as an exception, which unwinds a stage as Ctrl-C does, so that no cleaning up is left out.

    A SystemExit: any other exception that a signal raises within a callback is only logged by asyncio.
    """


def run(stage: Callable[[Params, str], None], distributed: bool = False) -> NoReturn:
    """Run a stage for the item named on the command line.

    Of several processes that torchrun or accelerate started, the first alone runs a stage that isn't ``distributed``.
    A user's mistake, or a file that can't be read or written, ends it with one sentence and status 1, Ctrl-C with status 130
    and SIGTERM with 143, as shells count them.
    """
    if not distributed:
        if not is_main_process():
            sys.exit(0)
        forget_other_processes()
    name = sys.modules["__main__"].__spec__.name.rpartition(".")[2] if sys.modules["__main__"].__spec__ else "stage"
    chosen = sys.argv[1] if len(sys.argv) > 1 else ""
    started = time.monotonic()
    try:
        signal.signal(signal.SIGTERM, _terminate)
        if needless := sys.argv[2:]:
            raise UserError(f"{' '.join(needless)} is more than the one item that a stage runs; leave it out")
        params, digest = load_params(), sha256_file(PARAMS_FILE)  # now: the file may be edited while the stage runs
        stage(params, chosen)
        if is_main_process():
            log_time(
                StageTime(
                    stage=f"{name}@{chosen}" if chosen else name,
                    seconds=round(time.monotonic() - started, 1),
                    memory_mib=peak_memory(),
                    params=digest,
                    arithmetic=arithmetic(),
                )
            )
    except (UserError, OSError) as error:
        print(f"{name}: error: {sentence(error)}", file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, Terminated) as stop:
        print(f"{name}: stopped; nothing half-written is left", file=sys.stderr)
        sys.exit(128 + (signal.SIGINT if isinstance(stop, KeyboardInterrupt) else signal.SIGTERM))
    sys.exit(0)


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would cut the cleaning up short
    raise Terminated


def pick(section: Mapping[str, Item], name: str, where: str) -> Item:
    """The item ``name`` of a section of params.yaml. Raises UserError where it isn't there."""
    if name not in section:
        wrong = f"{name!r} is not there" if name else "no item is named"
        raise UserError(f"{where}: {wrong}; name one of: {', '.join(section) or 'none, it is empty'}")
    return section[name]

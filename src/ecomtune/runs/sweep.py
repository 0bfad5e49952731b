"""Sweeps: values checked beforehand, queued as DVC experiments, and worked off until the queue is empty."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from ecomtune.checks.fit import check_fits
from ecomtune.checks.parameters import load_params
from ecomtune.core.config.params import Params
from ecomtune.core.files import read_yaml
from ecomtune.core.paths import PARAMS_FILE, SCRATCH
from ecomtune.messages.advice import nearest
from ecomtune.messages.errors import UserError

#: Seconds between two looks at the queue, and looks after which a worker that doesn't come, or one that is gone, is given up.
PAUSE, PATIENCE = 1.0, 30
#: Workers that may end one after the other without having changed anything in the queue.
RESTARTS = 3


def combinations(overrides: Sequence[str]) -> list[list[str]]:
    """Every combination of values of ``key=a,b,c`` overrides, in DVC's grammar (Hydra's).

    Raises UserError for the first that is no override of params.yaml, or breaks its rules.
    """
    from dvc.utils.hydra import apply_overrides, get_hydra_sweeps

    keys = [override.partition("=")[0] for override in overrides]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise UserError(f"{twice[0]} is given twice, and only the last would count; write its values as -S {twice[0]}=1,2")
    try:
        found = [list(each[str(PARAMS_FILE)]) for each in get_hydra_sweeps({str(PARAMS_FILE): list(overrides)})]
    except Exception as error:  # hydra's and its parser's own
        raise UserError(f"-S {' '.join(overrides)}: {_first_line(error)}; write it as in -S train.shared.rank=4,8") from error
    SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        trial = Path(scratch) / PARAMS_FILE
        for values in found:
            shutil.copy(PARAMS_FILE, trial)
            try:
                apply_overrides(trial, values)
                check_fits(load_params(trial))
            except Exception as error:
                reason = _first_line(error if isinstance(error, UserError) else error.__cause__ or error)
                if reason.startswith("Could not override"):
                    reason += f", which params.yaml doesn't hold; {_correction(values)}"
                what = f"-S {' -S '.join(values)}: {reason.removeprefix(f'{trial}: ')}"
                raise UserError(f"{what}; nothing was queued") from error
    return found


def _correction(values: Sequence[str]) -> str:
    """What to write in place of the override whose key the file doesn't hold."""
    there = list(_keys(read_yaml(PARAMS_FILE)))
    wrong = next((key for value in values if (key := value.partition("=")[0]).lstrip("+~") not in there), "key")
    near = nearest(wrong, there)
    return f"correct the key{f' to {near}' if near else ''}, or add it with -S +{wrong}=..."


def _keys(values: Mapping[Any, Any], before: str = "") -> Iterator[str]:
    """The dotted names of all keys."""
    for key, value in values.items():
        yield f"{before}{key}"
        if isinstance(value, dict):
            yield from _keys(value, f"{before}{key}.")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def missing_in_copies(params: Params) -> str | None:
    """A file that experiments would lack, since the queue runs them in copies of what git and DVC track; None: none."""
    untracked = _lines("git", "ls-files", "--others", "--exclude-standard", "--", "src", "dvc.yaml", "params.yaml")
    if untracked:
        return untracked[0]
    for stage, path in _own_paths(params):
        if not _lines("git", "ls-files", "--", path) and _lines("dvc", "status", "--json", stage) != ["{}"]:
            return path
    return None


def _own_paths(params: Params) -> Iterator[tuple[str, str]]:
    """Files and folders of the user's own that are named by relative paths, and the stage that reads each."""
    for name, dataset in params.datasets.items():
        own = [file.url for file in dataset.files if "://" not in file.url and not Path(file.url).is_absolute()]
        yield from ((f"download@{name}", path) for path in own)
    for name, model in params.models.items():
        if model.source == "folder" and not Path(model.folder).is_absolute():
            yield f"pretrained@{name}", model.folder


def _lines(*command: str) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


@dataclass(frozen=True)
class Queue:
    """DVC's queue: experiments by name with their states, and the numbers, 1 and up, of the workers that there are."""

    states: dict[str, str]
    workers: frozenset[int]

    @property
    def next_worker(self) -> int:
        """The number that DVC gives the next worker: the least that none has."""
        return next(number for number in count(1) if number not in self.workers)

    def named(self, *states: str) -> list[str]:
        return [name for name, state in self.states.items() if state in states]


def look() -> Queue:
    """The queue as it is now. Raises UserError outside a repository of DVC and git."""
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo
    from dvc.scm import SCMError

    with ExitStack() as stack:
        try:
            queue = stack.enter_context(Repo()).experiments.celery_queue
        except (NotDvcRepoError, SCMError) as error:
            raise UserError("experiments need a clone of the project, and this folder is none; run this in its root") from error
        states = {entry["name"] or entry["rev"][:7]: entry["status"] for entry in queue.status()}
        nodes = [node.partition("@")[0].rpartition("-")[2] for node in queue.worker_status()]  # dvc-exp-HASH-NUMBER@localhost
        return Queue(states, frozenset(map(int, nodes)))


def enqueue(overrides: Sequence[str]) -> list[str]:
    """Queue an experiment for each combination; their names. Raises UserError with DVC's reason where it refuses."""
    before = set(look().states)
    command = ["dvc", "exp", "run", "--queue", *(part for override in overrides for part in ("-S", override))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
        reason = (errors or lines or ["no reason given"])[-1]
        raise UserError(f"dvc exp run --queue failed ({reason}); run it alone to see more")
    return [name for name in look().states if name not in before]


def work_off(names: Sequence[str], jobs: int, tell: Callable[[str], None]) -> None:
    """Run the queue with ``jobs`` workers until it is empty, starting again those that stop early (dvc issue 10562).

    Where several GPUs are visible, each worker sees one of its own (dvc issue 4586). Raises UserError where experiments of
    ``names`` fail, DVC calls some running that no worker runs, or workers end time and again without running any.
    """
    told: dict[str, str] = {}
    coming = looks = 0  # the worker that was started last, and the looks in a row at which who is to work wasn't there
    before, started = None, 0  # the states at the last look, and the workers that were started since they changed
    while True:
        queue = look()
        before, started = queue.states, started if queue.states == before else 0
        for name in names:
            if (state := queue.states.get(name, "removed")) != told.get(name):
                told[name] = state
                tell(f"{name}: {state}")
        waiting, running = queue.named("Queued"), queue.named("Running")
        if not waiting and not running:
            break
        looks = 0 if coming in queue.workers or (queue.workers and not waiting) else looks + 1
        if looks > PATIENCE and not waiting and not queue.workers:
            lost = running[0]
            raise UserError(f"no worker runs {lost}, which DVC calls running; dvc queue kill {lost}, and sweep again")
        # one at a time: DVC starts all up to a number that aren't there, each with the same variables
        if (
            waiting
            and len(queue.workers) < min(jobs, len(waiting) + len(running))
            and (looks == 0 or looks > PATIENCE or not coming)
        ):
            if started >= jobs + RESTARTS:
                raise UserError(
                    "workers end before they run anything; dvc queue start -v says why, then dvc queue remove --queued"
                )
            coming, looks, started = queue.next_worker, 0, started + 1
            _start_worker(coming)
        time.sleep(PAUSE)
    failed = [name for name in names if told.get(name) != "Success"]
    if failed:
        told_by = f"dvc queue logs {failed[0]} says why"
        raise UserError(f"{len(failed)} of {len(names)} experiments failed, {failed[0]} first; {told_by}")


def _start_worker(number: int) -> None:
    """Start the worker of a number, 1 and up, where those before it run: DVC starts all that aren't there."""
    gpus = visible_gpus()
    own = {"CUDA_VISIBLE_DEVICES": gpus[(number - 1) % len(gpus)]} if len(gpus) > 1 else {}
    command = ["dvc", "queue", "start", "-j", str(number)]
    nowhere = subprocess.DEVNULL  # the worker inherits it, and would keep a pipe open until it ends
    subprocess.run(command, env={**os.environ, **own}, stdin=nowhere, stdout=nowhere, stderr=nowhere, check=False)


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES or else the driver's own tool names them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [gpu for gpu in chosen.split(",") if gpu]
    if shutil.which("nvidia-smi") is None:
        return []
    return _lines("nvidia-smi", "--query-gpu=index", "--format=csv,noheader")


def sweep(overrides: Sequence[str], jobs: int, tell: Callable[[str], Any]) -> None:
    """Check, queue and run every combination of ``overrides``. Raises UserError, before anything is queued, where it can't."""
    if 1 < (gpus := len(visible_gpus())) < jobs:
        raise UserError(f"-j {jobs} is more than the {gpus} GPUs, of which each experiment has one of its own; use -j {gpus}")
    number = len(combinations(overrides))
    lacking = missing_in_copies(load_params())
    if lacking is not None:
        raise UserError(
            f"{lacking} isn't tracked by git, and queued experiments run in copies without it; git add it, or run dvc repro "
            "once so that DVC has what is made of it"
        )
    names = enqueue(overrides)
    tell(f"{number} experiments: {', '.join(names)}")
    work_off(names, jobs, tell)

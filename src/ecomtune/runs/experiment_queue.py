"""DVC's queue of experiments, and the workers that run it until it is empty."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count

from ecomtune.messages.errors import UserError

#: Seconds between two looks at the queue, and the number of looks after which a worker that is not there is given up.
PAUSE, PATIENCE = 1.0, 30
#: The number of workers that may end one after another without any change in the queue.
RESTARTS = 3


@dataclass(frozen=True)
class Queue:
    """The state of each experiment by name, and the numbers, from 1, of the workers that are running."""

    states: dict[str, str]
    workers: frozenset[int]

    @property
    def next_worker(self) -> int:
        """The number that DVC gives the next worker: the lowest that is free."""
        return next(number for number in count(1) if number not in self.workers)

    def names(self, state: str) -> list[str]:
        """The experiments that are in a state."""
        return [name for name, each in self.states.items() if each == state]


def read_queue() -> Queue:
    """The queue as it is now. Raises UserError outside a repository of git and DVC."""
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo
    from dvc.scm import SCMError

    with ExitStack() as stack:
        try:
            queue = stack.enter_context(Repo()).experiments.celery_queue
        except (NotDvcRepoError, SCMError) as error:
            raise UserError(
                "experiments need a clone of the project, and this folder isn't one; run this in its root"
            ) from error
        states = {entry["name"] or entry["rev"][:7]: entry["status"] for entry in queue.status()}
        nodes = [node.partition("@")[0].rpartition("-")[2] for node in queue.worker_status()]  # dvc-exp-HASH-NUMBER@localhost
        return Queue(states, frozenset(map(int, nodes)))


def run_queue(names: Sequence[str], jobs: int, report: Callable[[str], None]) -> None:
    """Run the queue with ``jobs`` workers until it is empty, and ``report`` each change in the state of an experiment.

    Workers that stop early are started again (dvc issue 10562). If several GPUs are visible, each worker sees one of them
    (dvc issue 4586). Raises UserError if experiments of ``names`` fail, if DVC says that some are running but there is no
    worker, or if workers repeatedly end without running any.
    """
    supervisor = _Supervisor(jobs)
    states: dict[str, str] = {}
    while True:
        queue = read_queue()
        for name in names:
            if (state := queue.states.get(name, "removed")) != states.get(name):
                states[name] = state
                report(f"{name}: {state}")
        if not queue.names("Queued") and not queue.names("Running"):
            break
        supervisor.attend(queue)
        time.sleep(PAUSE)
    if failed := [name for name in names if states.get(name) != "Success"]:
        reason = f"for the reason, see dvc queue logs {failed[0]}"
        raise UserError(f"{len(failed)} of {len(names)} experiments failed, {failed[0]} first; {reason}")


class _Supervisor:
    """Starts workers, one at a time, until there are as many as wanted."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.newest = 0  # the worker that was started last
        self.missed = 0  # consecutive looks at which the worker that has to run was not there
        self.started = 0  # workers that were started since the states of the experiments last changed
        self.states: dict[str, str] = {}

    def attend(self, queue: Queue) -> None:
        """Start a worker if one is needed. Raises UserError if workers don't come, or are gone."""
        waiting, running = queue.names("Queued"), queue.names("Running")
        if queue.states != self.states:
            self.states, self.started = queue.states, 0
        is_there = self.newest in queue.workers or (queue.workers and not waiting)
        self.missed = 0 if is_there else self.missed + 1
        if self.missed > PATIENCE and not waiting and not queue.workers:
            lost = running[0]
            raise UserError(f"DVC says that {lost} is running, but no worker is; dvc queue kill {lost}, and sweep again")
        too_few = len(queue.workers) < min(self.jobs, len(waiting) + len(running))
        coming = self.newest and 0 < self.missed <= PATIENCE
        if waiting and too_few and not coming:
            if self.started >= self.jobs + RESTARTS:
                raise UserError(
                    "workers end before they run an experiment; for the reason, run dvc queue start -v, then dvc queue remove "
                    "--queued"
                )
            self.newest, self.missed, self.started = queue.next_worker, 0, self.started + 1
            start_worker(self.newest)


def start_worker(number: int) -> None:
    """Start the worker with a number, from 1, while all lower ones run: DVC starts every worker up to it that isn't running."""
    gpus = visible_gpus()
    own = {"CUDA_VISIBLE_DEVICES": gpus[(number - 1) % len(gpus)]} if len(gpus) > 1 else {}
    command = ["dvc", "queue", "start", "-j", str(number)]
    nowhere = subprocess.DEVNULL  # the worker inherits its streams, and would keep a pipe open until it ends
    subprocess.run(command, env={**os.environ, **own}, stdin=nowhere, stdout=nowhere, stderr=nowhere, check=False)


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, by CUDA_VISIBLE_DEVICES, or by the driver's own tool if that is not set."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [gpu for gpu in chosen.split(",") if gpu]
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()

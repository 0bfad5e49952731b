"""Interleaved measurement: each side is a separate process, and the sides take turns, A B A B.

Neighbouring turns run under the same conditions, so that their ratio is fair even if the machine's speed drifts. Both sides
keep their memory all the time; a side whose turn it isn't waits on a pipe.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any

#: Modules that ``--quick`` loads once for all sides, if they are installed.
PRELOADED = ("ecomtune.lora.adapter_training", "ecomtune.inference.decoding.local_answers", "trl.trainer.sft_trainer")


class BenchmarkError(Exception):
    """A measurement failed; the message is one sentence."""


@dataclass(frozen=True)
class Options:
    """How to measure. ``quick`` takes a pico model, little data and one repeat, to test the benchmarks themselves."""

    base: Path
    scratch: Path
    device: str = "cpu"
    threads: int = 1
    warm_up: int = 1
    repeats: int = 0
    quick: bool = False

    def turns(self, warm_up: int, repeats: int) -> Options:
        """These options with a comparison's own numbers of turns, unless the user gave some."""
        if self.quick:
            return replace(self, warm_up=1, repeats=self.repeats or 1)
        return replace(self, warm_up=warm_up, repeats=self.repeats or repeats)


class Turns:
    """A side's end of the pipe: call ``ready`` once, then ``while turns.begin(): found = work(); turns.end(lambda: found)``."""

    def __init__(self, line: Connection, options: Options) -> None:
        self.line = line
        self.options = options
        self.start_memory = 0
        self.started = 0.0

    def ready(self, facts: Mapping[str, Any]) -> None:
        """Report that everything is loaded; ``facts`` are counts and settings for the results."""
        self.start_memory = _peak_memory()
        self.line.send(("ready", dict(facts)))

    def begin(self) -> bool:
        """Wait for this side's turn and start its clock; False if there are no more turns."""
        if self.line.recv() != "go":
            return False
        self._finish_kernels()
        self.started = perf_counter()
        return True

    def end(self, output: Callable[[], Any]) -> None:
        """Stop the clock, then make the turn's output."""
        self._finish_kernels()
        seconds = perf_counter() - self.started
        self.line.send(("turn", (seconds, output())))

    def _finish_kernels(self) -> None:
        if self.options.device == "cuda":
            import torch

            torch.cuda.synchronize()

    def memory(self) -> dict[str, int]:
        """Peak memory of this process: at the start of the first turn, and now."""
        found = {"at_start_bytes": self.start_memory, "peak_bytes": _peak_memory()}
        if self.options.device == "cuda":
            import torch

            found["peak_cuda_bytes"] = torch.cuda.max_memory_allocated()
        return found


#: What a side does, from loading to its last turn.
Side = Callable[[Turns], None]


@dataclass(frozen=True)
class Measured:
    """One side's turns, starting with those of the warm-up."""

    facts: dict[str, Any]
    memory: dict[str, int]
    warm_up: int
    all_seconds: list[float] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)

    @property
    def seconds(self) -> list[float]:
        """Times of the turns after the warm-up."""
        return self.all_seconds[self.warm_up :]


def measure(name: str, sides: Mapping[str, Side], options: Options) -> dict[str, Measured]:
    """Run all sides in turns. Raises BenchmarkError if one of them fails."""
    workers: dict[str, _Worker] = {}
    found: dict[str, tuple[list[float], list[Any]]] = {side: ([], []) for side in sides}
    try:
        for side, work in sides.items():
            workers[side] = _Worker(f"{name}: {side}", work, options)
        for turn in range(options.warm_up + options.repeats):
            for side, worker in workers.items():
                seconds, output = worker.turn()
                found[side][0].append(seconds)
                found[side][1].append(output)
            times = ", ".join(f"{side} {found[side][0][-1]:.2f} s" for side in sides)
            stage = "warm-up" if turn < options.warm_up else f"turn {turn - options.warm_up + 1} of {options.repeats}"
            print(f"{name}: {stage}: {times}", file=sys.stderr)
        return {side: Measured(worker.facts, worker.stop(), options.warm_up, *found[side]) for side, worker in workers.items()}
    finally:
        for worker in workers.values():
            worker.kill()


def run_once(name: str, work: Side, options: Options) -> dict[str, Any]:
    """Run a side that takes no turns in a separate process, and return its facts."""
    worker = _Worker(name, work, options)
    try:
        worker.stop()
        return worker.facts
    finally:
        worker.kill()


class _Worker:
    """The measuring process's end of the pipe to one side."""

    def __init__(self, name: str, work: Side, options: Options) -> None:
        self.name = name
        # spawn starts each side clean, with a peak memory of its own; forking loaded libraries is faster
        context: Any = multiprocessing.get_context("forkserver" if options.quick else "spawn")
        if options.quick:
            context.set_forkserver_preload(list(PRELOADED))
        self.line, far = multiprocessing.Pipe()
        self.process = context.Process(target=_serve, args=(far, work, options), name=name, daemon=True)
        self.process.start()
        far.close()
        self.facts: dict[str, Any] = self._receive("ready")

    def turn(self) -> tuple[float, Any]:
        self.line.send("go")
        seconds, output = self._receive("turn")
        return seconds, output

    def stop(self) -> dict[str, int]:
        self.line.send("stop")
        memory: dict[str, int] = self._receive("done")
        self.process.join()
        return memory

    def kill(self) -> None:
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.line.close()

    def _receive(self, expected: str) -> Any:
        try:
            kind, value = self.line.recv()
        except (EOFError, ConnectionResetError) as error:
            self.process.join()
            raise BenchmarkError(f"{self.name} ended with exit code {self.process.exitcode} before it was done") from error
        if kind != expected:
            raise BenchmarkError(f"{self.name}: {value if kind == 'error' else f'said {kind} instead of {expected}'}")
        return value


def _serve(line: Connection, work: Side, options: Options) -> None:
    """What a side's process does."""
    turns = Turns(line, options)
    try:
        from ecomtune.models.process import prepare

        prepare(options.threads)
        work(turns)
        line.send(("done", turns.memory()))
    except BaseException:
        line.send(("error", traceback.format_exc()))


def _peak_memory() -> int:
    """Largest resident set so far, in bytes, as Linux counts it, since getrusage starts from the parent process's peak."""
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

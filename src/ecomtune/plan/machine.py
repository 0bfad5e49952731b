"""How fast the machine is for which a run is planned."""

from __future__ import annotations

import os
from dataclasses import dataclass
from time import perf_counter

import numpy as np

#: Sides of the square matrices whose products are timed: small products finish before the scheduler switches to another
#: process, large ones are the fastest on an idle machine.
SIDES = (256, 512, 1024)


@dataclass(frozen=True)
class Peak:
    """Peak operations per second; if measured here, also how many processes were running then, and on how many cores."""

    operations: float
    running: float | None = None
    cores: int = 0

    def __str__(self) -> str:
        """In words, with advice if the machine was busy."""
        text = f"Peak: {self.operations / 1e12:.2f} TFLOP/s"
        if self.running is None:
            return f"{text}."
        text += f", measured now with {self.running:.1f} processes running on {self.cores} cores"
        busy = "; the machine was busy, so its peak is higher: measure again when it is idle, or give --teraflops"
        return f"{text}{busy if self.running > self.cores / 2 else ''}."


def measured_peak(seconds: float = 0.4) -> Peak:
    """The fastest of NumPy's fp32 matrix products on this machine's processors, timed for ``seconds`` with each of SIDES."""
    running = os.getloadavg()[0]
    return Peak(max(_best(side, seconds) for side in SIDES), running, len(os.sched_getaffinity(0)))


def _best(side: int, seconds: float) -> float:
    """Operations per second of the fastest of repeated products of two matrices."""
    left = right = np.ones((side, side), dtype=np.float32)
    best, until = 0.0, perf_counter() + seconds
    while perf_counter() < until:
        started = perf_counter()
        left @ right
        best = max(best, 2 * side**3 / (perf_counter() - started))
    return best

"""How fast the machine is that a run is planned for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from time import perf_counter

import numpy as np

#: Sides of the matrices whose products are timed: short ones end between two turns of other processes, long ones are the
#: fastest on an idle machine.
SIDES = (256, 512, 1024)


@dataclass(frozen=True)
class Peak:
    """Operations a second at the most; where they were measured here, with how many processes running on how many cores."""

    operations: float
    running: float | None = None
    cores: int = 0

    def __str__(self) -> str:
        """In words, with what to make of it where the machine was busy."""
        text = f"Peak: {self.operations / 1e12:.2f} TFLOP/s"
        if self.running is None:
            return f"{text}."
        text += f", measured now with {self.running:.1f} processes running on {self.cores} cores"
        busy = "; it was busy, and alone it is faster: measure again, or give --teraflops"
        return f"{text}{busy if self.running > self.cores / 2 else ''}."


def measured_peak(seconds: float = 0.4) -> Peak:
    """The best of matrix products in fp32 by NumPy on this machine's processors, ``seconds`` of them for each of SIDES."""
    running = os.getloadavg()[0]
    return Peak(max(_best(side, seconds) for side in SIDES), running, len(os.sched_getaffinity(0)))


def _best(side: int, seconds: float) -> float:
    """Operations a second of the fastest of repeated products of two matrices."""
    left = right = np.ones((side, side), dtype=np.float32)
    best, until = 0.0, perf_counter() + seconds
    while perf_counter() < until:
        started = perf_counter()
        left @ right
        best = max(best, 2 * side**3 / (perf_counter() - started))
    return best

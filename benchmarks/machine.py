"""A description of the machine, and the speed of its matrix products."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.harness import Turns

PACKAGES = ("torch", "transformers", "peft", "trl", "datasets", "accelerate", "numpy")


def describe(turns: Turns) -> None:
    """Facts about the machine and the libraries that both sides run on, without paths and dates."""
    import torch

    facts: dict[str, Any] = {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "device": turns.options.device,
        "threads": torch.get_num_threads(),
        "blas": "MKL" if torch.backends.mkl.is_available() else "other",  # type: ignore[no-untyped-call]
        "versions": {name: _version(name) for name in PACKAGES},
    }
    if turns.options.device == "cuda":
        facts["gpu"] = torch.cuda.get_device_name()
        facts["cuda"] = torch.version.cuda
    turns.ready(facts)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def matmul_peak(turns: Turns) -> None:
    """A turn multiplies square matrices of several sizes; its output is the best GFLOP/s of each size."""
    import torch

    cuda = turns.options.device == "cuda"
    sizes = (256,) if turns.options.quick else (4096, 8192, 16384) if cuda else (1024, 1536, 2048, 3072)
    dtype = torch.bfloat16 if cuda else torch.float32
    matrices = {size: torch.randn(2, size, size, dtype=dtype, device=turns.options.device) for size in sizes}
    turns.ready({})
    while turns.begin():
        best = {size: max(_gigaflops(left, right) for _ in range(3)) for size, (left, right) in matrices.items()}
        turns.end(best.copy)


def _gigaflops(left: Any, right: Any) -> float:
    import torch

    start = perf_counter()
    torch.matmul(left, right)
    if left.is_cuda:
        torch.cuda.synchronize()
    return 2.0 * len(left) ** 3 / (perf_counter() - start) / 1e9

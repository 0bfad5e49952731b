"""How a process that computes with torch is set up, and its place among the processes that were started together."""

from __future__ import annotations

import os
import re
import resource
import sys
import warnings


def prepare(threads: int) -> None:
    """Set the number of CPU threads (on which the last digits of sums depend), go offline, and silence libraries."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore", category=FutureWarning)
    import torch
    import transformers

    torch.set_num_threads(threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def is_main_process() -> bool:
    """Whether this process is the only one, or has rank 0 among those that torchrun or accelerate started."""
    return os.environ.get("RANK", "0") == "0"


def world_size() -> int:
    """The number of processes that were started to train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_sharded() -> bool:
    """Whether the processes were started to shard one model (FSDP), according to accelerate's variable."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() in ("1", "true")


def forget_other_processes() -> None:
    """Make libraries work in this process alone, however many were started."""
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "ACCELERATE_USE_FSDP"):
        os.environ.pop(name, None)


def peak_memory() -> int:
    """The peak memory of this process so far in MiB, its GPU's included."""
    unit = 2**20 if sys.platform == "darwin" else 2**10  # getrusage counts bytes on macOS, KiB elsewhere
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    torch = sys.modules.get("torch")
    return round(host + (torch.cuda.max_memory_allocated() / 2**20 if torch and torch.cuda.is_initialized() else 0))


def arithmetic() -> str | None:
    """What the last digits of torch's sums depend on: threads and the BLAS library; None where torch isn't loaded."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    threads = torch.get_num_threads()
    blas = re.search(r"\bBLAS_INFO=(\w+)", torch.__config__.show())
    return f"{threads} {'thread' if threads == 1 else 'threads'} and BLAS {blas[1] if blas else 'unknown'}"

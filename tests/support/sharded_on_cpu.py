"""Run a module with FSDP on this machine's CPU: ``python sharded_on_cpu.py MODULE ARGUMENTS``, started by torchrun.

accelerate runs FSDP only on GPUs, though torch can shard on a CPU with gloo. Here it is made to believe that these processes
have GPUs, whose device is the CPU; everything else is real: Trainer, accelerate's sharding and checkpoints, torch's
collectives. The environment variable STOP_AT names a checkpoint during whose writing the process is killed.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from pathlib import Path

import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType


def _prepare_backend(*_: object, **__: object) -> tuple[str, DistributedType]:
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo")
    return "gloo", DistributedType.MULTI_GPU


def _stop_at(name: str) -> None:
    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | Path) and Path(arguments[0]).parent.name == name:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


if __name__ == "__main__":
    PartialState._prepare_backend = _prepare_backend
    if name := os.environ.get("STOP_AT"):
        _stop_at(name)
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)

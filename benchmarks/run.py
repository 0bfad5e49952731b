"""Run the benchmarks: ``python -m benchmarks.run``, each one alone with ``--only NAME``. In the repository's root."""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.data import pico_base
from benchmarks.harness import BenchmarkError, Options, run_once
from benchmarks.machine import describe
from benchmarks.results import COMPARISONS, Entry, add
from ecomtune.messages.errors import UserError

DEFAULT_BASE = Path("models/pretrained/smollm2")


class Device(StrEnum):
    """Where to compute."""

    cpu = "cpu"
    cuda = "cuda"


def prepare_environment(device: str, threads: int) -> None:
    """What every side's process inherits: the number of threads of all libraries, no hub, and a GPU only where asked for."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def run(names: list[str], options: Options, out: Path) -> None:
    """Run comparisons one after another and write results after each. Raises BenchmarkError."""
    machine: dict[str, Any] = run_once("machine", describe, options)
    for name in names:
        found: Entry = importlib.import_module(f"benchmarks.{name}").run(options)
        add(out, options.device, machine, name, found)


def main(
    only: Annotated[
        list[str] | None, typer.Option(help="a comparison to run (may be given several times); default: all")
    ] = None,
    device: Annotated[Device, typer.Option(help="cuda: bfloat16, results kept apart")] = Device.cpu,
    repeats: Annotated[int, typer.Option(min=0, help="measured turns of each side; default: each comparison's own")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of each side")] = len(os.sched_getaffinity(0)),
    base: Annotated[Path, typer.Option(help="folder of the base weights")] = DEFAULT_BASE,
    out: Annotated[Path, typer.Option(help="folder of results.json and RESULTS.md")] = Path("benchmarks"),
    scratch: Annotated[Path, typer.Option(help="folder of data and adapters that are made once")] = Path(".scratch/bench"),
    quick: Annotated[bool, typer.Option("--quick", help="pico model and one repeat, to try the benchmarks themselves")] = False,
) -> None:
    """Measure this project against its peers, interleaved on this machine."""
    names = list(only or COMPARISONS)
    unknown = sorted(set(names) - set(COMPARISONS))
    if unknown:
        _fail(f"no comparison {unknown[0]!r}; name one of: {', '.join(COMPARISONS)}")
    prepare_environment(device.value, threads)
    options = Options(base, scratch, device.value, threads, repeats=repeats, quick=quick)
    try:
        if quick:
            options = replace(options, base=pico_base(options))
        elif not (base / "model.safetensors").is_file():
            _fail(f"{base} holds no model.safetensors; bring the weights with: dvc repro pretrained@smollm2")
        run(names, options, out)
    except (BenchmarkError, UserError) as error:
        _fail(str(error))
    print(f"written: {out}")


def _fail(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)

"""Run the benchmarks, in the repository's root: ``python -m benchmarks.run``, or one of them with ``--only NAME``."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.data import pico_base
from benchmarks.harness import BenchmarkError, Options, run_once
from benchmarks.machine import describe
from benchmarks.results import COMPARISONS, Entry, add
from ecomtune.core.paths import PRETRAINED
from ecomtune.messages.errors import UserError

DEFAULT_BASE = PRETRAINED / "smollm2"


def prepare_environment(device: str, threads: int) -> None:
    """Set what every side's process inherits: the number of threads of all libraries, no hub, and a GPU only if asked for."""
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


def main() -> None:
    """Measure this project against its peers, interleaved on this machine."""
    arguments = parser().parse_args()
    names = list(arguments.only or COMPARISONS)
    unknown = sorted(set(names) - set(COMPARISONS))
    if unknown:
        sys.exit(f"error: there is no comparison {unknown[0]!r}; name one of: {', '.join(COMPARISONS)}")
    prepare_environment(arguments.device, arguments.threads)
    given = {name: getattr(arguments, name) for name in ("base", "scratch", "device", "threads", "repeats", "quick")}
    options = Options(**given)
    try:
        if options.quick:
            options = replace(options, base=pico_base(options))
        elif not (options.base / "model.safetensors").is_file():
            sys.exit(f"error: {options.base} has no model.safetensors; for the weights, run dvc repro pretrained@smollm2")
        run(names, options, arguments.out)
    except (BenchmarkError, UserError) as error:
        sys.exit(f"error: {error}")
    print(f"written: {arguments.out}")


def parser() -> argparse.ArgumentParser:
    """The options of the command line."""
    found = argparse.ArgumentParser(prog="python -m benchmarks.run", description=main.__doc__)
    add_option = found.add_argument
    add_option("--only", action="append", metavar="NAME", help="a comparison to run, several times for several; default: all")
    add_option("--device", choices=["cpu", "cuda"], default="cpu", help="cuda computes in bfloat16, with results of its own")
    add_option("--repeats", type=_at_least(0), default=0, help="measured turns of each side; default: each comparison's own")
    add_option("--threads", type=_at_least(1), default=len(os.sched_getaffinity(0)), help="CPU threads of each side")
    add_option("--base", type=Path, default=DEFAULT_BASE, help="folder of the base weights")
    add_option("--out", type=Path, default=Path("benchmarks"), help="folder of results.json and RESULTS.md")
    add_option("--scratch", type=Path, default=Path(".scratch/bench"), help="folder of data and adapters that are made once")
    add_option("--quick", action="store_true", help="a pico model and one repeat, to try the benchmarks themselves")
    return found


def _at_least(lowest: int) -> Callable[[str], int]:
    """A parser of numbers from ``lowest``, which raises argparse's error for any other text."""

    def number(text: str) -> int:
        if int(text) < lowest:
            raise argparse.ArgumentTypeError(f"{text} is less than {lowest}")
        return int(text)

    return number


if __name__ == "__main__":
    main()

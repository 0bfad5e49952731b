"""Formatting judgements of ESCI's shape against ``datasets``: a tenth of its size in turns, its full size once by each."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks import esci_shape
from benchmarks.harness import BenchmarkError, Measured, Options, Turns, measure
from benchmarks.results import Comparison, Entry, Target

WARM_UP, TURNS = 0, 3
FULL = esci_shape.Shape()
TENTH = esci_shape.Shape(FULL.judgements // 10, FULL.queries // 10, FULL.products // 10)
TINY = esci_shape.Shape(2_000, 100, 1_500)
SECONDS, BYTES = 240.0, 4 * 2**30


def raw_files(options: Options, shape: esci_shape.Shape) -> Path:
    """The folder of files of a shape, made once."""
    folder = options.scratch / "data" / f"esci_{shape.judgements}"
    if not folder.is_dir():
        part = folder.with_name(f"{folder.name}.part")
        esci_shape.write(part, shape)
        part.rename(folder)
    return folder


def run_command(side: str, raw: Path, out: Path) -> dict[str, float]:
    """Format ``raw`` by a fresh process: its seconds, and the peak memory of it and all its children together."""
    started, peak = time.perf_counter(), 0
    with subprocess.Popen([sys.executable, "-m", "benchmarks.formatting", side, str(raw), str(out)]) as process:
        parent = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, _memory(parent))
            time.sleep(0.1)
    if process.returncode:
        raise BenchmarkError(f"formatting by {side} ended with exit code {process.returncode}")
    return {"seconds": time.perf_counter() - started, "peak_bytes": peak}


def _memory(parent: psutil.Process) -> int:
    """What a process and its children hold; memory that they share counts once."""
    found = 0
    try:
        for each in (parent, *parent.children(recursive=True)):
            found += each.memory_full_info().pss
    except psutil.Error:  # it has just ended
        return 0
    return found


def work(turns: Turns, side: str, raw: Path) -> None:
    """A turn is one formatting of all rows."""
    turns.ready({})
    while turns.begin():
        with tempfile.TemporaryDirectory(dir=turns.options.scratch) as folder:
            out = Path(folder)
            found = run_command(side, raw, out)
            turns.end(partial(_output, out, found))


def _output(out: Path, found: Mapping[str, float]) -> dict[str, Any]:
    """The measured values, and rows and content of each split, whatever their order."""
    splits = {}
    for split in ("train", "validation", "test"):
        digests = []
        with (out / f"{split}.jsonl").open(encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                shown = [row[name] for name in ("prompt", "target", "reference", "group")]
                digests.append(hashlib.sha256(json.dumps(shown).encode()).digest())
        splits[split] = [len(digests), hashlib.sha256(b"".join(sorted(digests))).hexdigest()]
    return {**found, "splits": splits}


def _with_peak(measured: Measured) -> Measured:
    peak = max(int(output["peak_bytes"]) for output in measured.outputs)
    return replace(measured, memory={"at_start_bytes": min(measured.memory["at_start_bytes"], peak), "peak_bytes": peak})


def run(options: Options) -> Entry:
    """A turn is all rows of the smaller shape; the full size is formatted once by each side."""
    options = options.turns(WARM_UP, TURNS)
    shape, full = (TINY, TINY) if options.quick else (TENTH, FULL)
    raw = raw_files(options, shape)
    found = measure("format_esci", {side: partial(work, side=side, raw=raw) for side in ("ours", "theirs")}, options)
    found = {side: _with_peak(measured) for side, measured in found.items()}
    whole = {}
    for side in ("ours", "theirs"):
        with tempfile.TemporaryDirectory(dir=options.scratch) as out:
            whole[side] = run_command(side, raw_files(options, full), Path(out))
    seconds, peak = whole["ours"]["seconds"], whole["ours"]["peak_bytes"]
    outputs = [output["splits"] for measured in found.values() for output in measured.outputs]
    return Comparison(
        against="datasets: filter, map and to_json after a join by pyarrow, as many processes",
        data=f"made up, {shape.judgements:,} judgements of {shape.products:,} products",
        unit="rows",
        settings={"judgements": shape.judgements, "products": shape.products, "queries": shape.queries},
        per_turn=shape.judgements,
        targets={
            "ratio": Target(3.0),
            "memory": Target(1.0, at_most=True),
        },
        checks={
            "equal": all(each == outputs[0] for each in outputs),
            "full_size": {
                "judgements": full.judgements,
                "products": full.products,
                "seconds": seconds,
                "rows_a_second": full.judgements / seconds,
                "peak_mib": peak / 2**20,
                "within_4_minutes_and_4_gib": seconds < SECONDS and peak < BYTES,
                "times_as_fast": whole["theirs"]["seconds"] / seconds,
                "their_peak_mib": whole["theirs"]["peak_bytes"] / 2**20,
            },
        },
    ).entry(found)

"""The stage predict for a system behind an endpoint, as a separate process in a separate folder."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from ecomtune.core.records import Example, Prediction, read_task, write_records
from tests.support.scratch_clone import REPOSITORY
from tests.support.tasks import define_tasks, load_task, mark_formatted


def params_with(system: dict[str, Any]) -> dict[str, Any]:
    """The pico profile with a system ``large`` behind an endpoint."""
    params: dict[str, Any] = yaml.safe_load((REPOSITORY / "profiles/pico.yaml").read_text(encoding="utf-8"))
    params["systems"]["large"] = {"kind": "endpoint", "reads": "data/examples", "tasks": ["relevance"], **system}
    return params


def lay_out(folder: Path, system: dict[str, Any], rows: int) -> list[Example]:
    """Write params.yaml and examples of relevance, ``rows`` for training and as many for testing, which are returned."""
    (folder / "params.yaml").write_text(yaml.safe_dump(params_with(system)), encoding="utf-8")
    for split in ("train", "test"):
        examples = [_example(split, number) for number in range(rows)]
        write_records(folder / f"data/examples/relevance/{split}.jsonl", examples)
    define_tasks(folder)
    mark_formatted("relevance", folder=folder)
    return examples


def _example(split: str, number: int) -> Example:
    fields: dict[str, str | list[str]] = {"query": f"mug {number}", "title": f"Mug {number} of {split}"}
    identity = f"{split}-{number:03}"
    return Example(
        id=identity,
        task="relevance",
        prompt=load_task("relevance").prompt(fields, "compact"),
        target="Exact",
        reference="Exact",
        fields=fields,
        group=identity,
        source="shop",
    )


def start_stage(
    folder: Path, largest_file: int | None = None, on_interrupt: signal.Handlers = signal.SIG_DFL
) -> subprocess.Popen[str]:
    """The running stage predict@large; with ``largest_file`` it can write no file of more bytes, as on a full disk.

    ``on_interrupt`` handles SIGINT: a shell lets background processes ignore it, and their children inherit that.
    """
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'src'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    if largest_file is not None:
        environment.pop("COVERAGE_PROCESS_CONFIG", None)  # its data file would be too large as well

    def begin() -> None:
        signal.signal(signal.SIGINT, on_interrupt)
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    return subprocess.Popen(
        [sys.executable, "-m", "ecomtune.stages.predict", "large"],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=begin,
    )


def predicted(folder: Path) -> list[Prediction]:
    """The predictions that the stage has written."""
    return read_task(folder / "data/predictions/large/relevance.jsonl", Prediction, "relevance")

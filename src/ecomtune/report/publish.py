"""A run as others read it: results/NAME with the table, the data's hashes, the command and the time it took."""

from __future__ import annotations

import json
import os
import platform
import shutil
from pathlib import Path
from typing import Any

import yaml

from ecomtune.errors import UserError
from ecomtune.files import SCRATCH, output_folder, write_text
from ecomtune.params import PARAMS_FILE, Params, load
from ecomtune.report.summary import summarize

TIMES = SCRATCH / "times.jsonl"


def publish(name: str, commit: str, results: Path = Path("results")) -> Path:
    """Copy params, lock and metrics of the current run beside its table. Raises UserError where it isn't complete."""
    params = load()
    summary = summarize(params)
    lock = Path("dvc.lock")
    if not lock.is_file():
        raise UserError("dvc.lock is missing; run dvc repro before publishing")
    with output_folder(results / name) as folder:
        shutil.copy(PARAMS_FILE, folder / "params.yaml")
        shutil.copy(lock, folder / "dvc.lock")
        (folder / "metrics").mkdir()
        for system in params.systems:
            shutil.copy(Path("metrics") / f"{system}.json", folder / "metrics")
        write_text(folder / "README.md", page(name, commit, params, summary, yaml.safe_load(lock.read_text(encoding="utf-8"))))
    return results / name


def page(name: str, commit: str, params: Params, summary: dict[str, Any], lock: dict[str, Any]) -> str:
    """The Markdown page of a run."""
    times = _times(set(lock["stages"]))
    minutes = sum(times.values()) / 60
    hashes = [
        f"| {dataset} | {file.path} | {file.bytes:,} | {file.sha256} |"
        for dataset, spec in params.datasets.items()
        for file in spec.files
    ]
    sizes = [
        f"| {task} | {settings.dataset} | {settings.train_size} | {settings.validation_size} | {settings.test_size} |"
        for task, settings in params.tasks.items()
    ]
    return "\n".join(
        [
            f"# Run `{name}`",
            "",
            f"Code: commit {commit}. Command: `ecomtune profile {name} && dvc repro`. "
            f"Time: {minutes:.0f} minutes of stages on {_machine()}.",
            "",
            *markdown(summary),
            "",
            "Values with their 95% interval (bootstrap over groups); the whole of them stands in metrics/.",
            "",
            "| task | data set | train | validation | test (at most) |",
            "|---|---|---|---|---|",
            *sizes,
            "",
            "| data set | file | bytes | sha256 |",
            "|---|---|---|---|",
            *hashes,
            "",
            "| stage | seconds |",
            "|---|---|",
            *(f"| {stage} | {seconds:.0f} |" for stage, seconds in times.items()),
            "",
        ]
    )


def markdown(summary: dict[str, Any]) -> list[str]:
    """The comparison as a Markdown table, one row a system."""
    tasks = list(summary["main_metric"])
    lines = [
        "| system | " + " | ".join(f"{task}: {summary['main_metric'][task]}" for task in tasks) + " |",
        "|---" * (len(tasks) + 1) + "|",
    ]
    for system, cells in summary["systems"].items():
        lines.append("| " + " | ".join([system, *(_cell(cells.get(task)) for task in tasks)]) + " |")
    return lines


def _cell(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return "–"
    return f"{cell['value']:.3f} ({cell['ci'][0]:.3f}–{cell['ci'][1]:.3f}), n {cell['n']}, invalid {cell['invalid']}"


def _times(stages: set[str]) -> dict[str, float]:
    """Seconds of each stage's last run, from the log that the stages keep in scratch."""
    if not TIMES.is_file():
        return {}
    found = {}
    for line in TIMES.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        found[entry["stage"]] = entry["seconds"]
    return {stage: found[stage] for stage in sorted(stages & found.keys())}


def _machine() -> str:
    return f"{os.cpu_count()} cores ({platform.machine()}, {platform.system()})"

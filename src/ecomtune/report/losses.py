"""How the losses of every adapter's training went, as one picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib import pyplot

from ecomtune.core.files import read_json_as
from ecomtune.core.metadata import LossHistory
from ecomtune.core.paths import TRAINING_RECORD
from ecomtune.report.plots import save

COLUMNS = 4


def records(folder: Path) -> dict[str, dict[str, Any]]:
    """The training record of every adapter below ``folder`` that has one, by the adapter's path there.

    Raises UserError where one is broken.
    """
    files = sorted(folder.rglob(TRAINING_RECORD))
    return {file.parent.relative_to(folder).as_posix(): read_json_as(file, LossHistory).model_dump() for file in files}


def described(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The picture in words: from where to where the loss of each adapter's training went, and its last validation losses."""
    return " ".join(["The loss by step, a panel for each adapter.", *(_described(*each) for each in found.items())])


def _described(name: str, record: Mapping[str, Any]) -> str:
    (_, first), (_, last) = record["loss"][0], record["loss"][-1]
    noted = record["validation"][-1] if record["validation"] else {}
    ends = "".join(f", validation {task} {loss:.3f}" for task, loss in sorted(noted.items()) if task != "step")
    return f"{name}: training {first:.3f} to {last:.3f} in {record['steps']} steps{ends}."


def plot_losses(found: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """One panel an adapter: the loss of its training steps, and after each epoch that of each task's validation rows."""
    rows = -(-len(found) // COLUMNS)
    columns = min(COLUMNS, len(found))
    figure, axes = pyplot.subplots(rows, columns, figsize=(3.2 * columns, 2.6 * rows), squeeze=False)
    for axis in axes.flat[len(found) :]:
        axis.set_visible(False)
    for axis, (name, record) in zip(axes.flat, found.items(), strict=False):
        axis.plot(*zip(*record["loss"], strict=True), color="#7a93ac", label="train")
        tasks = sorted({task for noted in record["validation"] for task in noted if task != "step"})
        for place, task in enumerate(tasks):
            points = [(noted["step"], noted[task]) for noted in record["validation"] if task in noted]
            axis.plot(*zip(*points, strict=True), "o-", color=f"C{place + 1}", markersize=4, label=f"validation, {task}")
        axis.set_title(name, fontsize=9)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=6)
    figure.supxlabel("step", fontsize=8)
    save(figure, path)

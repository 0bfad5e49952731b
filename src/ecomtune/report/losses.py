"""The losses of every adapter's training as one picture."""

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


def read_losses(folder: Path) -> dict[str, dict[str, Any]]:
    """The losses of every adapter below ``folder`` that has a training record, by the adapter's path there.

    Raises UserError if a record is broken.
    """
    files = sorted(folder.rglob(TRAINING_RECORD))
    return {file.parent.relative_to(folder).as_posix(): read_json_as(file, LossHistory).model_dump() for file in files}


def describe_losses(losses: Mapping[str, Mapping[str, Any]]) -> str:
    """The picture in words: the first and last training loss of each adapter, and its last validation losses."""
    return " ".join(["The loss by step, a panel for each adapter.", *(_describe(*each) for each in losses.items())])


def _describe(name: str, record: Mapping[str, Any]) -> str:
    (_, first), (_, last) = record["loss"][0], record["loss"][-1]
    final = record["validation"][-1] if record["validation"] else {}
    validation = "".join(f", validation {task} {loss:.3f}" for task, loss in sorted(final.items()) if task != "step")
    return f"{name}: training {first:.3f} to {last:.3f} in {record['steps']} steps{validation}."


def plot_losses(losses: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """A panel for each adapter: the training loss by step, and after each epoch the loss on each task's validation rows."""
    rows = -(-len(losses) // COLUMNS)
    columns = min(COLUMNS, len(losses))
    figure, axes = pyplot.subplots(rows, columns, figsize=(3.2 * columns, 2.6 * rows), squeeze=False)
    for axis in axes.flat[len(losses) :]:
        axis.set_visible(False)
    for axis, (name, record) in zip(axes.flat, losses.items(), strict=False):
        axis.plot(*zip(*record["loss"], strict=True), color="#7a93ac", label="train")
        tasks = sorted({task for epoch in record["validation"] for task in epoch if task != "step"})
        for place, task in enumerate(tasks):
            points = [(epoch["step"], epoch[task]) for epoch in record["validation"] if task in epoch]
            axis.plot(*zip(*points, strict=True), "o-", color=f"C{place + 1}", markersize=4, label=f"validation, {task}")
        axis.set_title(name, fontsize=9)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=6)
    figure.supxlabel("step", fontsize=8)
    save(figure, path)

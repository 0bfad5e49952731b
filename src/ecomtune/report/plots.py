"""Pictures with the same bytes for the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot


def plot_systems(summary: dict[str, Any], path: Path) -> None:
    """One panel a task: every system's main metric with its interval."""
    columns = list(summary["main_metric"])
    figure, axes = pyplot.subplots(1, len(columns), figsize=(3.4 * len(columns), 3.6), sharey=True, squeeze=False)
    names = list(summary["systems"])[::-1]
    for axis, task in zip(axes[0], columns, strict=True):
        for place, name in enumerate(names):
            cell = summary["systems"][name].get(task)
            if cell is not None:
                axis.plot(cell["ci"], [place, place], color="#7a93ac", linewidth=3, solid_capstyle="round")
                axis.plot(cell["value"], place, "o", color="#12355b")
        axis.set_title(f"{task}\n{summary['main_metric'][task]}", fontsize=10)
        axis.set_xlim(0, 1)
        axis.grid(axis="x", alpha=0.3)
    axes[0][0].set_yticks(range(len(names)), names)
    save(figure, path)


def new_figure(width: float, height: float) -> tuple[Any, Any]:
    """A figure of one panel, in inches, and its axes."""
    figure, axis = pyplot.subplots(figsize=(width, height))
    return figure, axis


def save(figure: Any, path: Path) -> None:
    """Write a picture whose bytes depend on nothing but what it shows."""
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})  # else the library's version stands in the file
    pyplot.close(figure)

"""Pictures with the same bytes for the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot

#: A table of numbers by row and column; None where there is none.
Cells = Mapping[str, Mapping[str, float | None]]


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


def plot_heat_maps(maps: Mapping[str, Cells], path: Path, limit: float = 1.0) -> None:
    """Tables of numbers side by side by their titles, from -limit to limit in color; None is shown as – and left blank.

    All have the rows of the first, whose names stand at its left.
    """
    tables = [np.array([list(row.values()) for row in cells.values()], dtype=float) for cells in maps.values()]
    high, wide = tables[0].shape
    size = (1.8 + len(maps) * max(0.62 * wide + 0.5, 2.8), 1.9 + 0.36 * high)
    figure, axes = pyplot.subplots(1, len(maps), figsize=size, sharey=True, squeeze=False)
    for axis, (title, cells), values in zip(axes[0], maps.items(), tables, strict=True):
        axis.imshow(values, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            text, dark = ("–", False) if np.isnan(value) else (f"{value:.2f}", abs(value) > 0.6 * limit)
            axis.text(column, row, text, ha="center", va="center", fontsize=8, color="white" if dark else "black")
        names = list(next(iter(cells.values())))
        axis.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
        axis.set_title(title, fontsize=10)
    axes[0][0].set_yticks(range(high), list(next(iter(maps.values()))), fontsize=8)
    save(figure, path)


def save(figure: Any, path: Path) -> None:
    """Write a picture whose bytes depend on nothing but what it shows."""
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})  # else the library's version stands in the file
    pyplot.close(figure)

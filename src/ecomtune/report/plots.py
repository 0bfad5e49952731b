"""Pictures with the same bytes for the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from ecomtune.report.quality_cost import known_operations, unbeaten
from ecomtune.report.summary import Scores

matplotlib.use("Agg")
from matplotlib import pyplot

#: A table of numbers by row and column; None where a number is missing.
Cells = Mapping[str, Mapping[str, float | None]]
#: Markers and number of colors of the picture of costs; systems take them in turn.
MARKERS, COLORS = "os^DvPX", 10


def plot_systems(scores: Scores, path: Path) -> None:
    """A panel for each task: every system's main metric with its interval."""
    columns = list(scores.main_metric)
    figure, axes = pyplot.subplots(1, len(columns), figsize=(3.4 * len(columns), 3.6), sharey=True, squeeze=False)
    names = list(scores.systems)[::-1]
    for axis, task in zip(axes[0], columns, strict=True):
        for place, name in enumerate(names):
            cell = scores.systems[name].get(task)
            if cell is not None:
                axis.plot(cell.ci, [place, place], color="#7a93ac", linewidth=3, solid_capstyle="round")
                axis.plot(cell.value, place, "o", color="#12355b")
        axis.set_title(f"{task}\n{scores.main_metric[task]}", fontsize=10)
        axis.set_xlim(0, 1)
        axis.grid(axis="x", alpha=0.3)
    axes[0][0].set_yticks(range(len(names)), names)
    save(figure, path)


def plot_costs(scores: Scores, path: Path) -> None:
    """A panel for each task: quality with its interval against operations; a line joins the unbeaten systems, whose markers
    are filled. One legend names the systems, since points that lie together leave no room for names."""
    tasks = list(scores.main_metric)
    looks = {
        name: {"color": f"C{place % COLORS}", "marker": MARKERS[place % len(MARKERS)], "linestyle": "none", "markersize": 7}
        for place, name in enumerate(scores.systems)
    }
    figure, axes = pyplot.subplots(1, len(tasks), figsize=(4.0 * len(tasks) + 1.6, 4.0), squeeze=False)
    for axis, task in zip(axes[0], tasks, strict=True):
        _plot_task(axis, scores, task, looks)
    shown = [pyplot.Line2D([], [], label=name, **look) for name, look in looks.items()]
    axes[0][-1].legend(handles=shown, bbox_to_anchor=(1.02, 1), loc="upper left", fontsize=8, title="filled: unbeaten")
    save(figure, path)


def _plot_task(axis: Any, scores: Scores, task: str, looks: Mapping[str, Mapping[str, Any]]) -> None:
    cells, known, best = scores.cells(task), known_operations(scores, task), unbeaten(scores, task)
    axis.plot([known[name] for name in best], [cells[name].value for name in best], color="#7a93ac", zorder=1)
    for name, number in known.items():
        color = looks[name]["color"]
        axis.plot([number] * 2, cells[name].ci, color=color, alpha=0.3, linewidth=3, solid_capstyle="round")
        axis.plot(number, cells[name].value, markerfacecolor=color if name in best else "white", **looks[name])
    axis.set_xscale("symlog", linthresh=1e8)  # a floor takes next to no operations
    axis.set_xlim(-1e7, 2 * max([1e8, *known.values()]))  # room for the outermost markers
    axis.set_title(f"{task}\n{scores.main_metric[task]}", fontsize=10)
    axis.set_xlabel("operations of an answer", fontsize=8)
    axis.grid(alpha=0.3)


def new_figure(width: float, height: float) -> tuple[Any, Any]:
    """A figure of one panel, in inches, and its axes."""
    figure, axis = pyplot.subplots(figsize=(width, height))
    return figure, axis


def plot_heat_maps(maps: Mapping[str, Cells], path: Path, limit: float = 1.0) -> None:
    """Draw tables of numbers side by side under their titles, colored from -limit to limit; None is a – without color.

    All tables have the rows of the first, whose names are on its left.
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
    """Write a picture whose bytes depend only on what it shows."""
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})  # by default the version of matplotlib
    pyplot.close(figure)

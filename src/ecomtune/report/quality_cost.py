"""Quality against cost: what an answer of each system takes, and the systems that no other beats on both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

#: The columns of :func:`rows`.
HEADER = ("task", "system", "operations", "tokens read", "written", "weights trained", "on tokens")
#: In which sign and color a picture shows each system: as many as there are before one comes again.
SIGNS, COLORS = "os^DvPX", 10


def compute(costs: Mapping[str, float]) -> float | None:
    """Floating-point operations of an answer: two for each weight and token (arXiv 2001.08361); None where it isn't known.

    An upper bound of what is run here: a batch computes the beginning that its prompts share once.
    """
    if not {"parameters", "input_tokens", "output_tokens"} <= costs.keys():
        return None
    return 2.0 * costs["parameters"] * (costs["input_tokens"] + costs["output_tokens"])


def operations_of(summary: Mapping[str, Any], task: str) -> dict[str, float]:
    """The compute of an answer of each system of a task, of those where it is known."""
    found = {name: compute(cells[task]["costs"]) for name, cells in summary["systems"].items() if task in cells}
    return {name: operations for name, operations in found.items() if operations is not None}


def unbeaten(summary: Mapping[str, Any], task: str) -> list[str]:
    """The systems of a task that no other beats on quality and compute both, the cheapest first.

    One that is as good for as much is no better; a system whose compute isn't known takes no part.
    """
    known = {
        name: (operations, -summary["systems"][name][task]["value"])
        for name, operations in operations_of(summary, task).items()
    }

    def beaten(name: str) -> bool:
        own = known[name]
        return any(other != own and other[0] <= own[0] and other[1] <= own[1] for other in known.values())

    return sorted((name for name in known if not beaten(name)), key=lambda name: (known[name], name))


def costs_section(summary: Mapping[str, Any]) -> dict[str, Any]:
    """By task: the compute of an answer of each system (None: not known), and the systems that no other beats on both."""
    return {
        task: {
            "compute": {
                name: compute(cells[task]["costs"]) for name, cells in sorted(summary["systems"].items()) if task in cells
            },
            "unbeaten": unbeaten(summary, task),
        }
        for task in summary["main_metric"]
    }


def costs_table(summary: Mapping[str, Any]) -> Table:
    """What an answer of each system costs, and what its model has learnt from, for a terminal; the unbeaten in bold."""
    grid = Table(title="What an answer takes: floating-point operations, and tokens read and written; bold: unbeaten")
    for name in HEADER:
        grid.add_column(name, justify="left" if name in HEADER[:2] else "right")
    for task in summary["main_metric"]:
        best = unbeaten(summary, task)
        for row in (row for row in rows(summary) if row[0] == task):
            grid.add_row(*row, style="bold" if row[1] in best else None)
        grid.add_section()
    return grid


def rows(summary: Mapping[str, Any]) -> list[list[str]]:
    """A row of HEADER for each task and system that answers it; a dash where something isn't known."""
    answering = [(task, name, cells) for task in summary["main_metric"] for name, cells in summary["systems"].items()]
    return [[task, name, *_texts(cells[task]["costs"])] for task, name, cells in answering if task in cells]


def _texts(costs: Mapping[str, float]) -> list[str]:
    operations = compute(costs)
    first = "–" if operations is None else f"{operations:.1e}" if operations else "0"
    keys = ("input_tokens", "output_tokens", "trained_parameters", "trained_tokens")
    return [first, *(f"{costs[key]:,.0f}" if key in costs else "–" for key in keys)]


def remarks(summary: Mapping[str, Any]) -> list[str]:
    """What to know beside the rows, a line each: who is unbeaten, what several models come to, why a floor takes nothing."""
    found = [
        f"{task}: no other system is at least as good for no more operations than {', '.join(best)}"
        for task in summary["main_metric"]
        if (best := unbeaten(summary, task))
    ]
    for name, cells in summary["systems"].items():
        learnt = {cell["model"]: cell["costs"] for cell in cells.values() if "trained_tokens" in cell["costs"]}
        if len(learnt) > 1:
            weights, tokens = (total(cells, key) for key in ("trained_parameters", "trained_tokens"))
            found.append(f"{name} is {len(learnt)} models, in all {weights} trained weights on {tokens} tokens")
    if free := [name for name in summary["systems"] if any(row[1:3] == [name, "0"] for row in rows(summary))]:
        found.append(f"{', '.join(free)}: 0 operations where no tokens run through a network (a floor looks words up)")
    return found


def total(cells: Mapping[str, Mapping[str, Any]], key: str) -> str:
    """The sum over the models of a system's tasks; one model that answers several tasks counts once."""
    models = {cell["model"]: cell["costs"][key] for cell in cells.values() if key in cell["costs"]}
    return f"{sum(models.values()):,.0f}" if models else "–"


def in_words(summary: Mapping[str, Any]) -> str:
    """The picture of costs in words: by task the systems that no other beats, the cheapest first."""
    best = {task: ", ".join(unbeaten(summary, task)) or "none is known" for task in summary["main_metric"]}
    told = "; ".join(f"{task}: {names}" for task, names in best.items())
    return f"The main metric of each task against the operations of an answer. No other is better for less than: {told}."


def plot_costs(summary: Mapping[str, Any], path: Path) -> None:
    """One panel a task: quality with its interval against compute; a line joins the systems that no other beats, which are
    filled. One legend names the systems, since points that lie together leave no room for names."""
    from matplotlib import pyplot

    from ecomtune.report.plots import save

    tasks = list(summary["main_metric"])
    looks = {
        name: {"color": f"C{place % COLORS}", "marker": SIGNS[place % len(SIGNS)], "linestyle": "none", "markersize": 7}
        for place, name in enumerate(summary["systems"])
    }
    figure, axes = pyplot.subplots(1, len(tasks), figsize=(4.0 * len(tasks) + 1.6, 4.0), squeeze=False)
    for axis, task in zip(axes[0], tasks, strict=True):
        points = {name: (known, summary["systems"][name][task]) for name, known in operations_of(summary, task).items()}
        best = unbeaten(summary, task)
        axis.plot([points[name][0] for name in best], [points[name][1]["value"] for name in best], color="#7a93ac", zorder=1)
        for name, (operations, cell) in points.items():
            axis.plot([operations] * 2, cell["ci"], color=looks[name]["color"], alpha=0.3, linewidth=3, solid_capstyle="round")
            filled = looks[name]["color"] if name in best else "white"
            axis.plot(operations, cell["value"], markerfacecolor=filled, **looks[name])
        axis.set_xscale("symlog", linthresh=1e8)  # a floor computes next to nothing
        axis.set_xlim(-1e7, 2 * max([1e8, *operations_of(summary, task).values()]))  # room for the outermost signs
        axis.set_title(f"{task}\n{summary['main_metric'][task]}", fontsize=10)
        axis.set_xlabel("operations of an answer", fontsize=8)
        axis.grid(alpha=0.3)
    shown = [pyplot.Line2D([], [], label=name, **look) for name, look in looks.items()]
    axes[0][-1].legend(handles=shown, bbox_to_anchor=(1.02, 1), loc="upper left", fontsize=8, title="filled: unbeaten")
    save(figure, path)

"""Quality against cost: what an answer of each system takes, and the systems that no other beats on both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib import pyplot
from rich.table import Table

from ecomtune.report.plots import save


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
    """What each system's answers cost by task, for a terminal; those that no other beats in bold."""
    tasks = list(summary["main_metric"])
    grid = Table(title="Floating-point operations of an answer, and tokens read + written; bold: none is better for less")
    grid.add_column("system")
    grid.add_column("weights trained", justify="right")
    grid.add_column("on tokens", justify="right")
    for task in tasks:
        grid.add_column(task, justify="right")
    best = {task: unbeaten(summary, task) for task in tasks}
    for name, trained, tokens, *shown in rows(summary):
        cells = [f"[bold]{cell}[/bold]" if name in best[task] else cell for task, cell in zip(tasks, shown, strict=True)]
        grid.add_row(name, trained, tokens, *cells)
    return grid


def rows(summary: Mapping[str, Any]) -> list[list[str]]:
    """For each system its name, the weights that were trained, the tokens they saw, and by task what an answer takes."""
    found = []
    for name, cells in summary["systems"].items():
        own = {task: cell["costs"] for task, cell in cells.items()}
        trained = [total(own, key) for key in ("trained_parameters", "trained_tokens")]
        found.append([name, *trained, *(text(own.get(task)) for task in summary["main_metric"])])
    return found


def total(costs: Mapping[str, Mapping[str, float]], key: str) -> str:
    """The sum over the models of a system's tasks; one model that answers several tasks counts once."""
    models = {(each.get("trained_parameters"), each.get("trained_tokens")): each for each in costs.values() if key in each}
    return f"{sum(each[key] for each in models.values()):,.0f}" if models else "–"


def text(costs: Mapping[str, float] | None) -> str:
    """An answer's operations, and the tokens that it reads and writes; a dash where they aren't known."""
    if costs is None or (operations := compute(costs)) is None:
        return "–"
    return f"{operations:.1e}, {costs['input_tokens']:.0f} + {costs['output_tokens']:.0f}"


def in_words(summary: Mapping[str, Any]) -> str:
    """The picture of costs in words: by task the systems that no other beats, the cheapest first."""
    best = {task: ", ".join(unbeaten(summary, task)) or "none is known" for task in summary["main_metric"]}
    told = "; ".join(f"{task}: {names}" for task, names in best.items())
    return f"The main metric of each task against the operations of an answer. No other is better for less than: {told}."


def plot_costs(summary: Mapping[str, Any], path: Path) -> None:
    """One panel a task: quality with its interval against compute; a line joins the systems that no other beats."""
    tasks = list(summary["main_metric"])
    figure, axes = pyplot.subplots(1, len(tasks), figsize=(4.4 * len(tasks), 4.0), squeeze=False)
    for axis, task in zip(axes[0], tasks, strict=True):
        points = {name: (known, summary["systems"][name][task]) for name, known in operations_of(summary, task).items()}
        best = unbeaten(summary, task)
        axis.plot([points[name][0] for name in best], [points[name][1]["value"] for name in best], color="#7a93ac")
        for name, (operations, cell) in points.items():
            color = "#12355b" if name in best else "#9a9a9a"
            axis.plot([operations] * 2, cell["ci"], color=color, alpha=0.4, linewidth=3, solid_capstyle="round")
            axis.plot(operations, cell["value"], "o", color=color)
            axis.annotate(name, (operations, cell["value"]), textcoords="offset points", xytext=(5, 4), fontsize=7)
        axis.set_xscale("symlog", linthresh=1e8)  # a floor computes next to nothing
        axis.set_xlim(left=0)
        axis.set_title(f"{task}\n{summary['main_metric'][task]}", fontsize=10)
        axis.set_xlabel("operations of an answer", fontsize=8)
        axis.grid(alpha=0.3)
    save(figure, path)

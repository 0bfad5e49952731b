"""Quality against cost: what an answer of each system takes, and which systems no other beats on both (the Pareto front)."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from ecomtune.report.summary import Cell, Scores, TaskCosts

#: The columns of :func:`cost_rows`.
HEADER = ("task", "system", "operations", "tokens read", "written", "weights trained", "on tokens")


def operations(costs: Mapping[str, float]) -> float | None:
    """Floating-point operations of an answer: two for each weight and token (arXiv 2001.08361); None if they are unknown.

    An upper bound of what is computed here: a batch computes the prefix that its prompts share only once.
    """
    if not {"parameters", "input_tokens", "output_tokens"} <= costs.keys():
        return None
    return 2.0 * costs["parameters"] * (costs["input_tokens"] + costs["output_tokens"])


def known_operations(scores: Scores, task: str) -> dict[str, float]:
    """The operations of an answer of each system of a task, where they are known."""
    found = {name: operations(cell.costs) for name, cell in scores.cells(task).items()}
    return {name: number for name, number in found.items() if number is not None}


def unbeaten(scores: Scores, task: str) -> list[str]:
    """The systems of a task that no other beats on both quality and operations, the cheapest first.

    A system that equals another in both doesn't beat it; a system whose operations are unknown takes no part.
    """
    cells = scores.cells(task)
    known = {name: (number, -cells[name].value) for name, number in known_operations(scores, task).items()}

    def beaten(name: str) -> bool:
        own = known[name]
        return any(other != own and other[0] <= own[0] and other[1] <= own[1] for other in known.values())

    return sorted((name for name in known if not beaten(name)), key=lambda name: (known[name], name))


def costs_by_task(scores: Scores) -> dict[str, TaskCosts]:
    """The summary's costs."""
    return {
        task: TaskCosts(
            compute={name: operations(cell.costs) for name, cell in scores.cells(task).items()}, unbeaten=unbeaten(scores, task)
        )
        for task in scores.main_metric
    }


def costs_table(scores: Scores) -> Table:
    """What an answer of each system costs, and how much its model was trained, for a terminal; the unbeaten in bold."""
    grid = Table(title="What an answer takes: floating-point operations, and tokens read and written; bold: unbeaten")
    for name in HEADER:
        grid.add_column(name, justify="left" if name in HEADER[:2] else "right")
    for task in scores.main_metric:
        best = unbeaten(scores, task)
        for row in (row for row in cost_rows(scores) if row[0] == task):
            grid.add_row(*row, style="bold" if row[1] in best else None)
        grid.add_section()
    return grid


def cost_rows(scores: Scores) -> list[list[str]]:
    """A row of HEADER for each task and system that answers it; a dash where a number is unknown."""
    return [[task, name, *_texts(cell.costs)] for task in scores.main_metric for name, cell in scores.cells(task).items()]


def _texts(costs: Mapping[str, float]) -> list[str]:
    number = operations(costs)
    first = "–" if number is None else f"{number:.1e}" if number else "0"
    keys = ("input_tokens", "output_tokens", "trained_parameters", "trained_tokens")
    return [first, *(f"{costs[key]:,.0f}" if key in costs else "–" for key in keys)]


def cost_remarks(scores: Scores) -> list[str]:
    """What to know about the rows, a line each: which systems are unbeaten, the sums of those with several models, and why a
    floor takes 0 operations."""
    lines = [
        f"{task}: no other system is at least as good for no more operations than {', '.join(best)}"
        for task in scores.main_metric
        if (best := unbeaten(scores, task))
    ]
    for name, cells in scores.systems.items():
        models = {cell.model for cell in cells.values() if "trained_tokens" in cell.costs}
        if len(models) > 1:
            weights, tokens = (total(cells, key) for key in ("trained_parameters", "trained_tokens"))
            lines.append(f"{name} has {len(models)} models: in total {weights} weights trained on {tokens} tokens")
    if free := [name for name in scores.systems if any(row[1:3] == [name, "0"] for row in cost_rows(scores))]:
        lines.append(f"{', '.join(free)}: 0 operations, because no neural network computes the answers")
    return lines


def total(cells: Mapping[str, Cell], key: str) -> str:
    """The sum of a cost over the models of a system's tasks; a model that answers several tasks counts once."""
    models = {cell.model: cell.costs[key] for cell in cells.values() if key in cell.costs}
    return f"{sum(models.values()):,.0f}" if models else "–"


def describe_costs(scores: Scores) -> str:
    """The picture in words: the unbeaten systems of each task, the cheapest first."""
    best = {task: ", ".join(unbeaten(scores, task)) or "none is known" for task in scores.main_metric}
    by_task = "; ".join(f"{task}: {names}" for task, names in best.items())
    return f"The main metric of each task against the operations of an answer. Unbeaten, the cheapest first: {by_task}."

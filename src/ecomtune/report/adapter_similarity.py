"""How alike the study's adapters are, beside how much each of them helps each task: summary, tables and pictures."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from operator import itemgetter
from pathlib import Path
from typing import Any

from rich.table import Table

from ecomtune.core.config.params import Params, model_folder
from ecomtune.core.paths import ADAPTERS, PRETRAINED
from ecomtune.metrics.bootstrap import PLACES
from ecomtune.report.plots import Cells, plot_heat_maps

#: What is told of every two adapters, with its name in words.
MEASURES = {
    "cosine": "cosine of ΔW",
    "columns": "principal angles, output side",
    "rows": "principal angles, input side",
}


def adapter_names(params: Params) -> list[str]:
    """Folders of all adapters, trained and merged, relative to models/adapters."""
    return [*(adapter.out for adapter in params.train.adapters.values()), *(f"merged/{name}" for name in params.merge.recipes)]


def similarity_section(names: Sequence[str], pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The summary's "similarity": every pair's measures overall.

    ``pairs`` hold ``first`` and ``second``, names; ``overall``, the measures; and ``modules``, the same by module.
    """
    return {
        "adapters": list(names),
        "pairs": [
            {
                "first": pair["first"],
                "second": pair["second"],
                **{measure: _rounded(pair["overall"][measure]) for measure in MEASURES},
            }
            for pair in pairs
        ],
    }


def by_module(pairs: Sequence[Mapping[str, Any]]) -> str:
    """The measures of every pair by module as CSV, a line each; a module that neither of two adapters changes has none."""
    written = StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(("first", "second", "module", *MEASURES))
    for pair in pairs:
        for module, measures in sorted(pair["modules"].items()):
            table.writerow((pair["first"], pair["second"], module, *(_rounded(measures[measure]) for measure in MEASURES)))
    return written.getvalue()


def _rounded(value: float) -> float:
    return round(value, PLACES) + 0.0  # a small negative one would be -0.0


def transfer_section(params: Params, systems: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The summary's "transfer": by adapter and task, how far the main metric is above that of the base without an adapter.

    ``systems`` are the summary's, by name and task. An adapter's value on a task is that of the first system that answers
    the task with it; the base's is that of the first system that prompts it without demonstrations. What no system has
    measured is null.
    """
    base = str(PRETRAINED / params.train.shared.model)
    zero_shot: dict[str, float] = {}
    tuned: dict[tuple[str, str], float] = {}
    for name, system in params.systems.items():
        for task in system.tasks:
            value = systems[name][task]["value"]
            if system.kind == "prompt" and system.reads == base and not system.shots:
                zero_shot.setdefault(task, value)
            elif system.kind == "adapter":
                tuned.setdefault((model_folder(system, task, params).removeprefix(f"{ADAPTERS}/"), task), value)
    return {
        adapter: {task: _gain(tuned.get((adapter, task)), zero_shot.get(task)) for task in params.tasks}
        for adapter in adapter_names(params)
    }


def _gain(tuned: float | None, zero_shot: float | None) -> float | None:
    return None if tuned is None or zero_shot is None else round(tuned - zero_shot, PLACES)


def measured(transfer: Cells) -> dict[str, Mapping[str, float | None]]:
    """The rows of the adapters that some system has measured on some task."""
    return {adapter: row for adapter, row in transfer.items() if any(value is not None for value in row.values())}


def matrix(similarity: Mapping[str, Any], measure: str) -> dict[str, dict[str, float | None]]:
    """One measure of every two adapters as a square table with an empty diagonal."""
    names: list[str] = similarity["adapters"]
    cells: dict[str, dict[str, float | None]] = {name: dict.fromkeys(names) for name in names}
    for pair in similarity["pairs"]:
        cells[pair["first"]][pair["second"]] = cells[pair["second"]][pair["first"]] = pair[measure]
    return cells


def plot_similarity(similarity: Mapping[str, Any], path: Path) -> None:
    """A heat map of every two adapters for each measure."""
    plot_heat_maps({title: matrix(similarity, measure) for measure, title in MEASURES.items()}, path)


def plot_transfer(transfer: Cells, path: Path) -> None:
    """A heat map of the adapters that were measured by task."""
    rows = measured(transfer)
    largest = max(abs(value) for row in rows.values() for value in row.values() if value is not None)
    plot_heat_maps({"main metric against zero-shot": rows}, path, limit=largest or 1.0)


def similarity_in_words(similarity: Mapping[str, Any]) -> str:
    """The heat maps in words: which two adapters are the most and the least alike by each measure."""
    pairs = similarity["pairs"]
    told = [f"Heat maps of every two of {len(similarity['adapters'])} adapters."]
    for measure, title in MEASURES.items():
        ordered = sorted(pairs, key=itemgetter(measure))
        least, most = (f"{pair['first']} and {pair['second']} ({pair[measure]:.2f})" for pair in (ordered[0], ordered[-1]))
        told.append(f"By {title} {most} are the most alike, {least} the least.")
    return " ".join(told)


def transfer_in_words(transfer: Cells) -> str:
    """The heat map in words: what each adapter that was measured adds to each task."""
    told = [
        f"{adapter}: " + ", ".join(f"{task} {value:+.2f}" for task, value in row.items() if value is not None)
        for adapter, row in measured(transfer).items()
    ]
    return f"A heat map of what each adapter adds to the main metric of each task over zero-shot. {'; '.join(told)}."


def similarity_table(similarity: Mapping[str, Any]) -> Table:
    """The cosines for a terminal; a column's number is that of its adapter's row."""
    cells = matrix(similarity, "cosine").items()
    rows = {
        f"{row} {name}": {str(column): value for column, value in enumerate(values.values(), 1)}
        for row, (name, values) in enumerate(cells, 1)
    }
    return _table("Cosine of the adapters' ΔW", rows)


def transfer_table(transfer: Cells) -> Table:
    """What each adapter that was measured adds to zero-shot, for a terminal."""
    return _table("Main metric against zero-shot, by adapter", measured(transfer))


def _table(title: str, rows: Cells) -> Table:
    grid = Table(title=title)
    grid.add_column("adapter")
    for name in next(iter(rows.values())):
        grid.add_column(name, justify="right")
    for name, row in rows.items():
        grid.add_row(name, *("–" if value is None else f"{value:.2f}" for value in row.values()))
    return grid

"""How similar the study's adapters are, next to how much each of them helps each task: summary, tables and pictures."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from operator import attrgetter
from pathlib import Path
from typing import Any

from rich.table import Table

from ecomtune.core.config.params import Params, model_folder
from ecomtune.core.paths import ADAPTERS, MERGED, PRETRAINED
from ecomtune.metrics.bootstrap import PLACES
from ecomtune.report.plots import Cells, plot_heat_maps
from ecomtune.report.summary import AdapterSimilarity, Scores, Similarity, Transfer

#: The measures of every two adapters, and their names in words.
MEASURES = {
    "cosine": "cosine of ΔW",
    "columns": "principal angles, output side",
    "rows": "principal angles, input side",
}


def adapter_names(params: Params) -> list[str]:
    """Folders of all adapters, trained and merged, relative to models/adapters."""
    trained = [adapter.out for adapter in params.train.adapters.values()]
    return [*trained, *(f"{MERGED.relative_to(ADAPTERS)}/{name}" for name in params.merge.recipes)]


def similarity_of(names: Sequence[str], pairs: Sequence[Mapping[str, Any]]) -> Similarity:
    """How similar every two adapters are over all modules.

    Each of ``pairs`` is an ``AdapterPair`` of adapters/similarity.py as a dict.
    """
    return Similarity(
        adapters=list(names),
        pairs=[
            AdapterSimilarity(
                first=pair["first"],
                second=pair["second"],
                **{measure: _rounded(pair["overall"][measure]) for measure in MEASURES},
            )
            for pair in pairs
        ],
    )


def similarity_by_module(pairs: Sequence[Mapping[str, Any]]) -> str:
    """The measures of every pair by module as CSV; a module that neither adapter changes has no line."""
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("first", "second", "module", *MEASURES))
    for pair in pairs:
        for module, measures in sorted(pair["modules"].items()):
            table.writerow((pair["first"], pair["second"], module, *(_rounded(measures[measure]) for measure in MEASURES)))
    return text.getvalue()


def _rounded(value: float) -> float:
    return round(value, PLACES) + 0.0  # a small negative number would be -0.0


def transfer_of(params: Params, scores: Scores) -> Transfer:
    """By adapter and task, how far the main metric is above that of the base model without an adapter (None: not measured).

    An adapter's value on a task is that of the first system that answers the task with it; the base model's is that of the
    first system that prompts it without demonstrations.
    """
    base = str(PRETRAINED / params.train.shared.model)
    zero_shot: dict[str, float] = {}
    tuned: dict[tuple[str, str], float] = {}
    for name, system in params.systems.items():
        for task in system.tasks:
            value = scores.systems[name][task].value
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


def measured_adapters(transfer: Cells) -> dict[str, Mapping[str, float | None]]:
    """The rows of the adapters that were measured on at least one task."""
    return {adapter: row for adapter, row in transfer.items() if any(value is not None for value in row.values())}


def similarity_matrix(similarity: Similarity, measure: str) -> dict[str, dict[str, float | None]]:
    """One measure of every two adapters as a square table with an empty diagonal."""
    names = similarity.adapters
    cells: dict[str, dict[str, float | None]] = {name: dict.fromkeys(names) for name in names}
    for pair in similarity.pairs:
        cells[pair.first][pair.second] = cells[pair.second][pair.first] = getattr(pair, measure)
    return cells


def plot_similarity(similarity: Similarity, path: Path) -> None:
    """A heat map of every two adapters for each measure."""
    plot_heat_maps({title: similarity_matrix(similarity, measure) for measure, title in MEASURES.items()}, path)


def plot_transfer(transfer: Cells, path: Path) -> None:
    """A heat map of the measured adapters by task."""
    rows = measured_adapters(transfer)
    largest = max(abs(value) for row in rows.values() for value in row.values() if value is not None)
    plot_heat_maps({"main metric against zero-shot": rows}, path, limit=largest or 1.0)


def describe_similarity(similarity: Similarity) -> str:
    """The heat maps in words: which two adapters are the most and the least similar by each measure."""
    sentences = [f"Heat maps of every two of {len(similarity.adapters)} adapters."]
    for measure, title in MEASURES.items():
        ordered = sorted(similarity.pairs, key=attrgetter(measure))
        least, most = (f"{pair.first} and {pair.second} ({getattr(pair, measure):.2f})" for pair in (ordered[0], ordered[-1]))
        sentences.append(f"By {title} {most} are the most similar, {least} the least.")
    return " ".join(sentences)


def describe_transfer(transfer: Cells) -> str:
    """The heat map in words: what each measured adapter adds to each task."""
    gains = [
        f"{adapter}: " + ", ".join(f"{task} {value:+.2f}" for task, value in row.items() if value is not None)
        for adapter, row in measured_adapters(transfer).items()
    ]
    return f"A heat map of what each adapter adds to the main metric of each task over zero-shot. {'; '.join(gains)}."


def similarity_table(similarity: Similarity) -> Table:
    """The cosines for a terminal; each column has the number of an adapter's row."""
    cells = similarity_matrix(similarity, "cosine").items()
    rows = {
        f"{row} {name}": {str(column): value for column, value in enumerate(values.values(), 1)}
        for row, (name, values) in enumerate(cells, 1)
    }
    return _table("Cosine of the adapters' ΔW", rows)


def transfer_table(transfer: Cells) -> Table:
    """What each measured adapter adds to zero-shot, for a terminal."""
    return _table("Main metric against zero-shot, by adapter", measured_adapters(transfer))


def _table(title: str, rows: Cells) -> Table:
    grid = Table(title=title)
    grid.add_column("adapter")
    for name in next(iter(rows.values())):
        grid.add_column(name, justify="right")
    for name, row in rows.items():
        grid.add_row(name, *("–" if value is None else f"{value:.2f}" for value in row.values()))
    return grid

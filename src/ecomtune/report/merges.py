"""With which weight each merge takes each adapter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ecomtune.report.plots import new_figure, save
from ecomtune.sections import Recipe


def merge_weights(recipes: Mapping[str, Recipe]) -> dict[str, Any]:
    """All adapters that some recipe merges, and by recipe its method and weights in their order (None: left out)."""
    weights = {key: _by_adapter(recipe) for key, recipe in recipes.items()}
    adapters = sorted({adapter for own in weights.values() for adapter in own})
    rows = [
        {"method": recipe.method, "name": key, "weights": [weights[key].get(adapter) for adapter in adapters]}
        for key, recipe in recipes.items()
    ]
    return {"adapters": adapters, "recipes": rows}


def _by_adapter(recipe: Recipe) -> dict[str, float]:
    """Weights by the adapters' folders inside models/adapters."""
    folder = recipe.reads.removeprefix("models/adapters/")
    return {f"{folder}/{name}": weight for name, weight in recipe.weights.items()}


def plot_merges(merges: Mapping[str, Any], path: Path) -> None:
    """A heat map, one row a recipe and one column an adapter, of what :func:`merge_weights` gives."""
    adapters, recipes = merges["adapters"], merges["recipes"]
    table = np.array([[np.nan if weight is None else weight for weight in recipe["weights"]] for recipe in recipes])
    highest = np.nanmax(np.abs(table))
    figure, axis = new_figure(2.2 + 0.9 * len(adapters), 1.6 + 0.5 * len(recipes))
    axis.imshow(table, cmap="RdBu", vmin=-highest, vmax=highest, aspect="auto")
    for row, column in zip(*np.nonzero(~np.isnan(table)), strict=True):
        dark = abs(table[row, column]) > 0.6 * highest
        axis.text(column, row, f"{table[row, column]:g}", ha="center", va="center", color="white" if dark else "black")
    axis.set_xticks(range(len(adapters)), adapters, rotation=30, ha="right")
    axis.set_yticks(range(len(recipes)), [f"{recipe['name']} ({recipe['method']})" for recipe in recipes])
    axis.set_title("merge weights", fontsize=10)
    save(figure, path)

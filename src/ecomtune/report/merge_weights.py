"""The weight of each adapter in each merge."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ecomtune.core.config import Recipe
from ecomtune.core.paths import ADAPTERS
from ecomtune.report.plots import plot_heat_maps


def merge_weights(recipes: Mapping[str, Recipe]) -> dict[str, Any]:
    """All adapters that some recipe merges, and for each recipe its method and the adapters' weights (None: left out)."""
    weights = {key: _by_adapter(recipe) for key, recipe in recipes.items()}
    adapters = sorted({adapter for own in weights.values() for adapter in own})
    rows = [
        {"method": recipe.method, "name": key, "weights": [weights[key].get(adapter) for adapter in adapters]}
        for key, recipe in recipes.items()
    ]
    return {"adapters": adapters, "recipes": rows}


def _by_adapter(recipe: Recipe) -> dict[str, float]:
    """Weights by the adapters' folders inside models/adapters."""
    folder = recipe.reads.removeprefix(f"{ADAPTERS}/")
    return {f"{folder}/{name}": weight for name, weight in recipe.weights.items()}


def plot_merges(merges: Mapping[str, Any], path: Path) -> None:
    """A heat map of :func:`merge_weights`: a row for each recipe, a column for each adapter."""
    cells = {
        f"{recipe['name']} ({recipe['method']})": dict(zip(merges["adapters"], recipe["weights"], strict=True))
        for recipe in merges["recipes"]
    }
    highest = max(abs(weight or 0) for row in cells.values() for weight in row.values())
    plot_heat_maps({"merge weights": cells}, path, limit=highest)

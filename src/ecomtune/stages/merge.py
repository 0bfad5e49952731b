"""merge@R: adapters joined by a recipe, into models/adapters/merged/R."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ecomtune.adapters.factors import Adapter, load_adapter, save_adapter
from ecomtune.adapters.merging import merge
from ecomtune.adapters.task_arithmetic import Elementwise
from ecomtune.core.config import Recipe
from ecomtune.core.config.params import Params
from ecomtune.core.files import dump_json, output_folder, write_text
from ecomtune.core.metadata import read_training_totals
from ecomtune.core.paths import MERGED, PRETRAINED, RECIPE, examples_file
from ecomtune.core.records import Example, read_task
from ecomtune.models.process import prepare
from ecomtune.stages.runner import pick, run


def main(params: Params, name: str) -> None:
    recipe = pick(params.merge.recipes, name, "merge.recipes")
    how = Elementwise(recipe.sparsify, recipe.density or 1.0, recipe.rescale, recipe.consensus, recipe.seed)
    adapters = {adapter: load_adapter(Path(recipe.reads) / adapter) for adapter in sorted(recipe.weights)}

    def merged(weights: Mapping[str, float]) -> Adapter:
        return merge(list(adapters.values()), [weights[each] for each in adapters], recipe.method, recipe.rank, how)

    weights, tried = recipe.weights, None
    if recipe.search:
        tried = searched(params, recipe, merged)
        weights = tried[0]["weights"]
        print(f"{name}: of {len(tried)} tried, the lowest validation loss ({tried[0]['loss']:.4f}) has the weights {weights}")
    with output_folder(MERGED / name) as folder:
        save_adapter(merged(weights), folder)
        # without the choices left at their defaults, so that a new one changes no former merge's bytes
        written = {"rank": None, **recipe.model_dump(mode="json", exclude_defaults=True), **_learnt(recipe)}
        write_text(folder / RECIPE, dump_json(written))
        if tried:
            write_text(folder / "search.json", dump_json(tried))


def _learnt(recipe: Recipe) -> dict[str, int]:
    """Over all the adapters that are merged, the tokens they learnt from and the weights trained, if all say so."""
    found = [read_training_totals(Path(recipe.reads) / name) for name in sorted(recipe.weights)]
    noted = [each for each in found if each is not None]
    if len(noted) < len(found):
        return {}
    return {"tokens": sum(each.tokens for each in noted), "trained_parameters": sum(each.trained_parameters for each in noted)}


def searched(params: Params, recipe: Recipe, merged: Callable[[Mapping[str, float]], Adapter]) -> list[dict[str, Any]]:
    """Every weights of the recipe's grid with their mean loss on its tasks' validation rows, the lowest first."""
    assert recipe.search is not None
    shared = params.train.shared
    prepare(shared.threads)
    from ecomtune.adapters.weight_search import grid, search

    rows = [
        row
        for task in recipe.search.tasks
        for row in read_task(examples_file(task, "validation"), Example, task, may_be_empty=True)
    ]
    candidates = list(grid(sorted(recipe.weights), sum(recipe.weights.values()), recipe.search.steps))
    return search(candidates, merged, PRETRAINED / shared.model, rows, shared)


if __name__ == "__main__":
    run(main)

"""merge@R: adapters merged by a recipe, into models/adapters/merged/R."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ecomtune.adapters.factors import Adapter, load_adapter, save_adapter
from ecomtune.adapters.merging import merge
from ecomtune.adapters.task_arithmetic import Elementwise
from ecomtune.core.config import Recipe
from ecomtune.core.config.params import Params
from ecomtune.core.files import dump_json, output_folder, write_text
from ecomtune.core.metadata import read_training_totals
from ecomtune.core.paths import MERGED, PRETRAINED, RECIPE
from ecomtune.models.process import prepare
from ecomtune.stages.runner import pick, run


def main(params: Params, name: str) -> None:
    recipe = pick(params.merge.recipes, name, "merge.recipes")
    adapters = {adapter: load_adapter(Path(recipe.reads) / adapter) for adapter in sorted(recipe.weights)}

    def merged(weights: Mapping[str, float]) -> Adapter:
        ordered = [weights[adapter] for adapter in adapters]
        return merge(list(adapters.values()), ordered, recipe.method, recipe.rank, Elementwise.from_recipe(recipe))

    weights, tried = recipe.weights, None
    if recipe.search:
        shared = params.train.shared
        prepare(shared.threads)
        from ecomtune.adapters.weight_search import search_weights  # after prepare

        tried = search_weights(recipe, merged, PRETRAINED / shared.model, shared)
        weights = tried[0]["weights"]
        print(f"{name}: of {len(tried)} weightings, {weights} has the lowest validation loss ({tried[0]['loss']:.4f})")
    with output_folder(MERGED / name) as folder:
        save_adapter(merged(weights), folder)
        # without keys left at their defaults, so that a new key doesn't change earlier merges' bytes
        written = {"rank": None, **recipe.model_dump(mode="json", exclude_defaults=True), **_training_totals(recipe)}
        write_text(folder / RECIPE, dump_json(written))
        if tried:
            write_text(folder / "search.json", dump_json(tried))


def _training_totals(recipe: Recipe) -> dict[str, int]:
    """The tokens and trained weights of all merged adapters together; empty where one of them has no record of them."""
    found = [read_training_totals(Path(recipe.reads) / name) for name in sorted(recipe.weights)]
    known = [each for each in found if each is not None]
    if len(known) < len(found):
        return {}
    return {"tokens": sum(each.tokens for each in known), "trained_parameters": sum(each.trained_parameters for each in known)}


if __name__ == "__main__":
    run(main)

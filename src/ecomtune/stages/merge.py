"""merge@R: adapters joined by a recipe, into models/adapters/merged/R."""

from __future__ import annotations

from pathlib import Path

from ecomtune.files import dump_json, output_folder, write_text
from ecomtune.lora.adapter import load_adapter, save_adapter
from ecomtune.lora.merging import merge
from ecomtune.lora.task_arithmetic import Elementwise
from ecomtune.params import Params
from ecomtune.stages import pick, run


def main(params: Params, name: str) -> None:
    recipe = pick(params.merge.recipes, name, "merge.recipes")
    weights = dict(sorted(recipe.weights.items()))
    adapters = [load_adapter(Path(recipe.reads) / adapter) for adapter in weights]
    how = Elementwise(recipe.sparsify, recipe.density or 1.0, recipe.rescale, recipe.consensus, recipe.seed)
    merged = merge(adapters, list(weights.values()), recipe.method, recipe.rank, how)
    with output_folder(Path("models/adapters/merged") / name) as folder:
        save_adapter(merged, folder)
        # without the choices left at their defaults, so that a new one changes no former merge's bytes
        written = {"rank": None, **recipe.model_dump(mode="json", exclude_defaults=True)}
        write_text(folder / "recipe.json", dump_json(written))


if __name__ == "__main__":
    run(main)

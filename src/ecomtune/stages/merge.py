"""merge@R: adapters joined by a recipe, into models/adapters/merged/R."""

from __future__ import annotations

from pathlib import Path

from ecomtune.files import dump_json, output_folder, write_text
from ecomtune.lora.adapter import load_adapter, save_adapter
from ecomtune.lora.merging import merge
from ecomtune.params import Params
from ecomtune.stages import pick, run


def main(params: Params, name: str) -> None:
    recipe = pick(params.merge.recipes, name, "merge.recipes")
    weights = dict(sorted(recipe.weights.items()))
    adapters = [load_adapter(Path(recipe.reads) / adapter) for adapter in weights]
    merged = merge(adapters, list(weights.values()), recipe.method, recipe.rank)
    with output_folder(Path("models/adapters/merged") / name) as folder:
        save_adapter(merged, folder)
        write_text(folder / "recipe.json", dump_json(recipe.model_dump(mode="json")))


if __name__ == "__main__":
    run(main)

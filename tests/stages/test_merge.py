"""The stage merges as its recipe says, and records the recipe with what its adapters were trained on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecomtune.adapters.factors import load_adapter
from ecomtune.adapters.merging import merge
from ecomtune.adapters.task_arithmetic import Elementwise
from ecomtune.checks.parameters import load_params
from ecomtune.core.config import Merge
from ecomtune.core.files import sha256_folder
from ecomtune.messages.errors import UserError
from ecomtune.stages.merge import main as merge_stage
from tests.support.adapters import save_peft_adapters
from tests.support.scratch_clone import REPOSITORY


@pytest.fixture(scope="module")
def made(pico_causal: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of adapters that PEFT has saved."""
    return save_peft_adapters(tmp_path_factory.mktemp("adapters"), pico_causal)


@pytest.fixture
def recipes(made: Path, workplace: Path) -> Any:
    """A function that runs the stage with a recipe for two adapters and returns its folder."""
    for number, name in (("1", "first"), ("2", "wide")):
        shutil.copytree(made / name, workplace / "models/adapters/shards/ner" / number)
    params = load_params(REPOSITORY / "profiles/demo.yaml")

    def merged(name: str, **recipe: Any) -> Path:
        values = {"reads": "models/adapters/shards/ner", "weights": {"1": 0.5, "2": 0.5}, **recipe}
        merges = Merge.model_validate({"recipes": {name: values}})
        merge_stage(params.model_copy(update={"merge": merges}), name)
        return Path("models/adapters/merged") / name

    return merged


def test_the_stage_merges_as_its_recipe_says(recipes: Any) -> None:
    recipe = {"method": "svd", "rank": 5, "sparsify": "dare", "density": 0.6, "seed": 4, "consensus": "ties"}
    folder = recipes("picked", **recipe)
    adapters = [load_adapter(Path("models/adapters/shards/ner") / name) for name in "12"]
    expected = merge(adapters, [0.5, 0.5], "svd", 5, Elementwise("dare", 0.6, consensus="ties", seed=4))
    for module, factors in load_adapter(folder).factors.items():
        np.testing.assert_array_equal(factors.a, expected.factors[module].a)
        np.testing.assert_array_equal(factors.b, expected.factors[module].b)
    assert json.loads((folder / "recipe.json").read_text()).items() >= recipe.items()


def test_a_merge_records_the_training_totals_of_all_its_adapters(recipes: Any) -> None:
    for name, tokens in (("1", 70), ("2", 30)):
        record = {"rows": 4, "tokens": tokens, "trained_parameters": 500}
        (Path("models/adapters/shards/ner") / name / "training.json").write_text(json.dumps(record))
    written = json.loads((recipes("totals", method="cat") / "recipe.json").read_text())
    assert written["tokens"] == 100 and written["trained_parameters"] == 1000


def test_a_merge_records_no_training_totals_where_one_adapter_has_none(recipes: Any) -> None:
    record = {"tokens": 70, "trained_parameters": 500}
    Path("models/adapters/shards/ner/1/training.json").write_text(json.dumps(record))
    assert not {"tokens", "trained_parameters"} & json.loads((recipes("half", method="cat") / "recipe.json").read_text()).keys()


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"tokens": 70}', '{"tokens": "70", "trained_parameters": 500}'])
@pytest.mark.parametrize("file", ["training.json", "adapter_config.json"])
def test_an_adapter_whose_metadata_is_broken_is_refused_and_nothing_is_merged(recipes: Any, file: str, content: str) -> None:
    path = Path("models/adapters/shards/ner/1") / file
    path.write_text(content)
    with pytest.raises(UserError, match=rf"^{path} is missing or broken \(.*\); remove it and run dvc repro train$"):
        recipes("broken", method="cat")
    assert not Path("models/adapters/merged/broken").exists()


def test_a_recipe_is_recorded_without_keys_at_their_defaults(recipes: Any) -> None:
    assert json.loads((recipes("plain", method="cat") / "recipe.json").read_text()) == {
        "method": "cat",
        "rank": None,
        "reads": "models/adapters/shards/ner",
        "weights": {"1": 0.5, "2": 0.5},
    }


def test_the_order_of_a_recipes_weights_changes_nothing(recipes: Any) -> None:
    how = {"method": "svd", "rank": 5, "sparsify": "dare", "density": 0.6, "seed": 4}
    one, other = recipes("one", **how), recipes("other", **how, weights={"2": 0.5, "1": 0.5})
    assert sha256_folder(one) == sha256_folder(other)

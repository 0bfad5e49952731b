"""PEFT computes with a merged adapter what its own merges compute; equal merges have equal bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peft import PeftModel

from ecomtune.adapters.factors import load_adapter, save_adapter
from ecomtune.adapters.merging import PLAIN, merge
from ecomtune.adapters.task_arithmetic import Elementwise
from ecomtune.core.files import sha256_folder
from tests.support.adapters import PLAIN_LORA, Deltas, base_model, check_equal, dense, peft_deltas, save_peft_adapters


@pytest.fixture(scope="module")
def made(pico_causal: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of adapters that PEFT has saved."""
    return save_peft_adapters(tmp_path_factory.mktemp("adapters"), pico_causal)


def deltas_of(folder: Path, pico: Path) -> Deltas:
    return peft_deltas(PeftModel.from_pretrained(base_model(pico), folder))


def deltas_by_peft(folders: Sequence[Path], weights: Sequence[float], method: str, pico: Path, **options: Any) -> Deltas:
    """PEFT's own merge."""
    names = [folder.name for folder in folders]
    model = PeftModel.from_pretrained(base_model(pico), folders[0], adapter_name=names[0])
    for name, folder in zip(names[1:], folders[1:], strict=True):
        model.load_adapter(folder, name)
    model.add_weighted_adapter(names, list(weights), "merged", combination_type=method, **options)
    return peft_deltas(model, "merged")


@pytest.fixture(scope="module")
def added(made: Path, pico_causal: Path) -> dict[str, Deltas]:
    """What PEFT adds for each adapter that can be merged."""
    return {name: deltas_of(made / name, pico_causal) for name in PLAIN_LORA}


def weighted_sum(each: Sequence[Deltas], weights: Sequence[float]) -> Deltas:
    """A module that an adapter doesn't change is a ΔW of 0."""
    total: Deltas = {}
    for weight, deltas_of_one in zip(weights, each, strict=True):
        for name, delta in deltas_of_one.items():
            total[name] = total.get(name, 0) + weight * delta
    return total


def saved_merge(
    folders: Sequence[Path],
    weights: Sequence[float],
    method: str,
    target: Path,
    rank: int | None = None,
    how: Elementwise = PLAIN,
) -> Path:
    save_adapter(merge([load_adapter(folder) for folder in folders], weights, method, rank, how), target)
    return target


@pytest.mark.parametrize("name", PLAIN_LORA)
def test_the_product_of_an_adapters_factors_is_what_peft_adds(made: Path, added: dict[str, Deltas], name: str) -> None:
    factors = load_adapter(made / name).factors
    check_equal({module: dense(each) for module, each in factors.items()}, added[name])


@pytest.mark.parametrize("name", ["first", "wide", "rslora"])
def test_peft_adds_the_same_for_a_saved_adapter_as_for_the_loaded_one(
    made: Path, added: dict[str, Deltas], pico_causal: Path, tmp_path: Path, name: str
) -> None:
    save_adapter(load_adapter(made / name), tmp_path / "saved")
    check_equal(deltas_of(tmp_path / "saved", pico_causal), added[name])


@pytest.mark.parametrize(
    "names",
    [
        ["first", "second"],
        ["second", "rslora", "first"],
        ["rslora", "wide"],
        ["wide", "first"],
        ["first", "attention"],
        ["attention", "wide"],
        ["one_layer", "first"],
        ["alpha_pattern", "rank_pattern"],
        ["rank_pattern", "attention", "patterns"],
        ["rank_pattern"],
    ],
)
@pytest.mark.parametrize("method", ["cat", "svd"])
def test_peft_adds_the_weighted_sum_of_the_merged_adapters(
    made: Path, added: dict[str, Deltas], pico_causal: Path, tmp_path: Path, names: list[str], method: str
) -> None:
    folders, weights = [made / name for name in names], [0.7, -0.4, 1.3][: len(names)]
    full = sum(max(factors.rank for factors in load_adapter(folder).factors.values()) for folder in folders)
    target = saved_merge(folders, weights, method, tmp_path / "merged", full if method == "svd" else None)
    check_equal(deltas_of(target, pico_causal), weighted_sum([added[name] for name in names], weights))


def test_peft_adds_the_best_approximation_at_a_lower_rank(
    made: Path, added: dict[str, Deltas], pico_causal: Path, tmp_path: Path
) -> None:
    names, weights = ["first", "wide", "rslora"], [0.7, 0.4, 1.3]
    target = saved_merge([made / name for name in names], weights, "svd", tmp_path / "merged", rank=5)
    found = deltas_of(target, pico_causal)
    for layer, delta in weighted_sum([added[name] for name in names], weights).items():
        best = np.linalg.norm(np.linalg.svd(delta, compute_uv=False)[5:])
        assert best > 0.1
        assert np.linalg.norm(found[layer] - delta) == pytest.approx(best, rel=1e-4)


@pytest.mark.parametrize("names", [["first", "second"], ["second", "third", "first"], ["attention", "first"]])
def test_linear_is_pefts_linear_even_with_different_alphas(
    made: Path, pico_causal: Path, tmp_path: Path, names: list[str]
) -> None:
    folders, weights = [made / name for name in names], [0.7, 0.4, 1.3][: len(names)]
    target = saved_merge(folders, weights, "linear", tmp_path / "merged")
    check_equal(deltas_of(target, pico_causal), deltas_by_peft(folders, weights, "linear", pico_causal))


def test_cat_is_pefts_cat(made: Path, pico_causal: Path, tmp_path: Path) -> None:
    folders, weights = [made / "first", made / "wide"], [0.7, 0.4]
    target = saved_merge(folders, weights, "cat", tmp_path / "merged")
    check_equal(deltas_of(target, pico_causal), deltas_by_peft(folders, weights, "cat", pico_causal))


def test_svd_at_full_rank_is_pefts_svd(made: Path, pico_causal: Path, tmp_path: Path) -> None:
    folders, weights = [made / "first", made / "wide", made / "rslora"], [0.7, -0.4, 1.3]
    target = saved_merge(folders, weights, "svd", tmp_path / "merged", rank=14)
    by_peft = deltas_by_peft(folders, weights, "svd", pico_causal, svd_rank=14)
    check_equal(deltas_of(target, pico_causal), by_peft, tolerance=1e-5)  # PEFT decomposes in fp32


@pytest.mark.parametrize(
    ("how", "method", "weights"),
    [
        (Elementwise("magnitude", density=0.5), "magnitude_prune_svd", [0.7, 0.4, 1.3]),
        # PEFT doesn't divide weights by their sum: with weights of 1 it computes the paper's mean
        (Elementwise("magnitude", density=0.5, consensus="ties"), "ties_svd", [1.0, 1.0, 1.0]),
    ],
)
def test_sparsify_and_consensus_keep_the_entries_that_peft_keeps(
    made: Path, pico_causal: Path, tmp_path: Path, how: Elementwise, method: str, weights: list[float]
) -> None:
    folders = [made / name for name in ("first", "wide", "attention")]
    own = [weight / 3 for weight in weights] if how.consensus == "ties" else weights
    target = saved_merge(folders, own, "svd", tmp_path / "merged", rank=32, how=how)
    by_peft = deltas_by_peft(folders, weights, method, pico_causal, svd_rank=32, density=how.density, svd_full_matrices=False)
    check_equal(deltas_of(target, pico_causal), by_peft, tolerance=1e-5)


MERGES = [
    ("cat", None, PLAIN),
    ("svd", 3, PLAIN),
    ("linear", None, PLAIN),
    ("svd", 3, Elementwise("dare", density=0.5, seed=1)),
    ("svd", 3, Elementwise("magnitude", density=0.5, consensus="ties")),
    ("svd", 3, Elementwise("dare", density=0.5, consensus="ties", seed=1)),
]


@pytest.mark.parametrize(("method", "rank", "how"), MERGES)
def test_equal_merges_write_equal_bytes(made: Path, tmp_path: Path, method: str, rank: int | None, how: Elementwise) -> None:
    written = [
        {
            file.name: file.read_bytes()
            for file in saved_merge([made / "first", made / "second"], [0.5, 0.5], method, target, rank, how).iterdir()
        }
        for target in (tmp_path / "one", tmp_path / "two")
    ]
    assert written[0] == written[1]
    assert sorted(written[0]) == ["adapter_config.json", "adapter_model.safetensors"]


def test_a_merged_adapter_names_the_base_and_its_own_rank_and_scale(made: Path, tmp_path: Path) -> None:
    target = saved_merge([made / "rslora", made / "wide"], [0.5, 0.5], "svd", tmp_path / "merged", rank=3)
    before, after = (json.loads((folder / "adapter_config.json").read_text()) for folder in (made / "rslora", target))
    changed = {"r": 3, "lora_alpha": 3, "use_rslora": False}
    assert {name: after[name] for name in changed} == changed
    assert after["base_model_name_or_path"] == before["base_model_name_or_path"]


def test_another_seed_changes_dare_and_no_other_method(made: Path, tmp_path: Path) -> None:
    folders = [made / "first", made / "attention"]
    for sparsify, different in (("dare", 2), ("magnitude", 1)):
        merges = [
            saved_merge(folders, [0.5, 0.5], "svd", tmp_path / f"{sparsify}{seed}", 3, Elementwise(sparsify, 0.5, seed=seed))
            for seed in (1, 2)
        ]
        assert len({sha256_folder(merged) for merged in merges}) == different


MERGE_IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
from ecomtune.adapters.factors import load_adapter, save_adapter
from ecomtune.adapters.merging import merge
from ecomtune.adapters.task_arithmetic import Elementwise

adapters = [load_adapter(Path(sys.argv[1]) / name) for name in ("first", "attention")]
merged = merge(adapters, [0.5, 0.5], "svd", 3, Elementwise("dare", density=0.5, consensus="ties", seed=1))
save_adapter(merged, Path(sys.argv[2]))
"""


def test_no_merge_depends_on_the_order_of_hashes(made: Path, tmp_path: Path) -> None:
    for seed in ("1", "2"):
        command = [sys.executable, "-c", MERGE_IN_ANOTHER_PROCESS, str(made), str(tmp_path / seed)]
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, check=True)
    assert sha256_folder(tmp_path / "1") == sha256_folder(tmp_path / "2")


def test_a_merge_of_different_modules_names_them_all(made: Path, tmp_path: Path) -> None:
    target = saved_merge([made / "attention", made / "first"], [0.5, 0.5], "cat", tmp_path / "merged")
    names = json.loads((target / "adapter_config.json").read_text())["target_modules"]
    assert names == sorted(module.removeprefix("base_model.model.") for module in load_adapter(made / "first").factors)

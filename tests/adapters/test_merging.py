"""Merged adapters are the weighted sums that they say, for PEFT as well as on paper."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM

from ecomtune.adapters.factors import Adapter, Factors, load_adapter, save_adapter
from ecomtune.adapters.low_rank import compress, decompose
from ecomtune.adapters.merging import PLAIN, merge
from ecomtune.adapters.task_arithmetic import Elementwise
from ecomtune.checks.parameters import load_params
from ecomtune.cli.adapter_export import card
from ecomtune.core.adapter_files import read_config, write_config
from ecomtune.core.config import Merge
from ecomtune.core.files import dump_json, sha256_folder
from ecomtune.core.records import Example, write_records
from ecomtune.messages.errors import UserError
from ecomtune.stages.merge import main as merge_stage
from tests.support.scratch_clone import REPOSITORY

Dense = NDArray[np.float64]
Deltas = dict[str, Dense]
LAYER = "base_model.model.model.layers.0.self_attn.q_proj"


def dense(factors: Factors) -> Dense:
    return factors.b.astype(np.float64) @ factors.a.astype(np.float64)


# On paper: factors of any small shape.


def adapter(*factors: Factors, **config: Any) -> Adapter:
    modules = {f"layer{place}": each for place, each in enumerate(factors)}
    return Adapter(modules, {"base_model_name_or_path": "models/pretrained/pico", **config})


def random_factors(rng: np.random.Generator, out: int, inner: int, rank: int) -> Factors:
    return Factors(rng.standard_normal((rank, inner), dtype=np.float32), rng.standard_normal((out, rank), dtype=np.float32))


@st.composite
def sums(draw: st.DrawFn) -> tuple[list[Factors], list[float], Dense]:
    """Factors of one weight matrix with unequal ranks, their weights, and the dense weighted sum."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    out, inner = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    parts = [random_factors(rng, out, inner, rank) for rank in draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))]
    weight = st.floats(0.1, 2) | st.floats(-2, -0.1)
    weights = draw(st.lists(weight, min_size=len(parts), max_size=len(parts)))
    total = sum((weight * dense(part) for weight, part in zip(weights, parts, strict=True)), np.zeros((out, inner)))
    return parts, weights, total


def magnitude(parts: Sequence[Factors], weights: Sequence[float]) -> float:
    """The size of what is added, to which rounding is relative where the parts cancel each other."""
    return float(
        sum(abs(weight) * np.linalg.norm(part.b) * np.linalg.norm(part.a) for weight, part in zip(weights, parts, strict=True))
    )


def merged_of(
    parts: Sequence[Factors], weights: Sequence[float], method: str, rank: int | None = None, how: Elementwise = PLAIN
) -> Factors:
    return merge([adapter(part) for part in parts], weights, method, rank, how).factors["layer0"]


@given(case=sums())
def test_cat_is_the_weighted_sum_at_the_sum_of_the_ranks(case: tuple[list[Factors], list[float], Dense]) -> None:
    parts, weights, total = case
    merged = merged_of(parts, weights, "cat")
    assert merged.rank == sum(part.rank for part in parts)
    assert np.linalg.norm(dense(merged) - total) <= 1e-6 * magnitude(parts, weights)


@given(case=sums())
def test_svd_at_full_rank_is_the_weighted_sum_too(case: tuple[list[Factors], list[float], Dense]) -> None:
    parts, weights, total = case
    rank = sum(part.rank for part in parts)
    merged = merged_of(parts, weights, "svd", rank)
    assert merged.rank == rank
    assert np.linalg.norm(dense(merged) - total) <= 1e-6 * magnitude(parts, weights)


@given(case=sums(), rank=st.integers(1, 8))
def test_svd_at_a_lower_rank_is_as_near_as_any_matrix_of_that_rank(
    case: tuple[list[Factors], list[float], Dense], rank: int
) -> None:
    parts, weights, total = case
    merged = merged_of(parts, weights, "svd", rank)
    best = np.linalg.norm(np.linalg.svd(total, compute_uv=False)[rank:])  # Eckart and Young
    error = np.linalg.norm(dense(merged) - total)
    assert merged.rank == rank
    assert error == pytest.approx(best, rel=1e-4, abs=1e-6 * magnitude(parts, weights))


@given(case=sums())
def test_a_weight_is_decomposed_into_its_singular_values_and_vectors(
    case: tuple[list[Factors], list[float], Dense],
) -> None:
    parts, weights, total = case
    left, singular, right = decompose(merged_of(parts, weights, "cat"))
    tolerance = 1e-6 * magnitude(parts, weights)
    expected = np.linalg.svd(total, compute_uv=False)
    assert np.abs(singular - expected[: len(singular)]).max() <= tolerance
    assert np.linalg.norm(expected[len(singular) :]) <= tolerance
    assert np.linalg.norm(left * singular @ right - total) <= tolerance
    for vectors in (left.T @ left, right @ right.T):
        np.testing.assert_allclose(vectors, np.eye(len(singular)), atol=1e-9)


def test_a_compressed_weight_is_split_evenly_between_its_factors() -> None:
    factors = compress(random_factors(np.random.default_rng(0), 9, 7, 5), 3)
    np.testing.assert_allclose(np.linalg.norm(factors.a, axis=1), np.linalg.norm(factors.b, axis=0), rtol=1e-5)


# On paper too: what picks entries of ΔW, against the dense matrix.


@st.composite
def picks(draw: st.DrawFn) -> Elementwise:
    """Every way to sparsify and to find a consensus, but for none at all."""
    sparsify, consensus = draw(
        st.sampled_from([("magnitude", "none"), ("dare", "none"), ("none", "ties"), ("magnitude", "ties"), ("dare", "ties")])
    )
    if sparsify == "none":
        return Elementwise(consensus="ties")
    rescale = draw(st.sampled_from([None, True, False]))
    return Elementwise(sparsify, draw(st.floats(0.1, 1)), rescale, consensus, draw(st.integers(0, 9)))


def reference(deltas: Sequence[Dense], weights: Sequence[float], how: Elementwise) -> Dense:
    """The merged ΔW entry after entry, as the papers define it."""
    rng = np.random.default_rng(how.seed)
    thinned = [thin(delta, how, rng) for delta in deltas]
    merged = np.zeros_like(deltas[0])
    for place in np.ndindex(merged.shape):
        values = [weight * delta[place] for weight, delta in zip(weights, thinned, strict=True)]
        merged[place] = sum(values)
        if how.consensus == "ties":
            agree = [index for index, value in enumerate(values) if value * merged[place] > 0]
            share = sum(abs(weights[index]) for index in agree) / sum(map(abs, weights))
            merged[place] = sum(values[index] for index in agree) / share if agree else 0
    return merged


def thin(delta: Dense, how: Elementwise, rng: np.random.Generator) -> Dense:
    """One ΔW, sparsified."""
    kept = np.ones(delta.size, dtype=bool)
    if how.sparsify == "magnitude":
        number = max(1, round(how.density * delta.size))
        kept[np.argsort(-np.abs(delta), axis=None)[number:]] = False
    if how.sparsify == "dare":
        kept = rng.random(delta.size) < how.density
    rescaled = how.sparsify == "dare" if how.rescale is None else how.rescale
    return np.where(kept.reshape(delta.shape), delta, 0) * (1 / how.density if rescaled else 1)


@given(case=sums(), how=picks())
def test_picked_entries_are_those_of_the_dense_reference(
    case: tuple[list[Factors], list[float], Dense], how: Elementwise
) -> None:
    parts, weights, total = case
    merged = merged_of(parts, weights, "svd", min(total.shape), how)
    expected = reference([dense(part) for part in parts], weights, how)
    assert np.linalg.norm(dense(merged) - expected) <= 1e-6 * np.linalg.norm(expected)


@given(case=sums(), how=picks(), rank=st.integers(1, 8))
def test_picked_entries_are_compressed_as_near_as_any_matrix_of_the_rank(
    case: tuple[list[Factors], list[float], Dense], how: Elementwise, rank: int
) -> None:
    parts, weights, _ = case
    merged = merged_of(parts, weights, "svd", rank, how)
    expected = reference([dense(part) for part in parts], weights, how)
    best = np.linalg.norm(np.linalg.svd(expected, compute_uv=False)[rank:])  # Eckart and Young
    assert merged.rank == rank
    error = np.linalg.norm(dense(merged) - expected)
    assert error == pytest.approx(best, rel=1e-4, abs=1e-6 * np.linalg.norm(expected))


@pytest.mark.parametrize("shape", [(40, 70), (70, 40)])
def test_a_slowly_falling_spectrum_is_compressed_as_well(shape: tuple[int, int]) -> None:
    """DARE at a low density leaves singular values that a few power iterations can't tell apart."""
    parts = [random_factors(np.random.default_rng(seed), *shape, 3) for seed in range(3)]
    how = Elementwise("dare", density=0.2, seed=1)
    expected = reference([dense(part) for part in parts], [0.3, 0.3, 0.4], how)
    singular = np.linalg.svd(expected, compute_uv=False)
    assert singular[6] < 1.1 * singular[7]
    error = np.linalg.norm(dense(merged_of(parts, [0.3, 0.3, 0.4], "svd", 7, how)) - expected)
    assert error == pytest.approx(np.linalg.norm(singular[7:]), rel=1e-6)


def one_entry(*values: float) -> list[Factors]:
    """ΔW of a single entry."""
    one = np.ones((1, 1), dtype=np.float32)
    return [Factors(one, one * np.float32(value)) for value in values]


@pytest.mark.parametrize(
    ("values", "weights", "expected"),
    [
        ([3, -1, 1], [1, 1, 1], 6),  # the mean of 3 and 1, times the weights' sum
        ([3, -1, 1], [1 / 3, 1 / 3, 1 / 3], 2),  # the paper's λ is 1
        ([3, 0, 0], [0.25, 0.25, 0.5], 3),  # who is 0 takes no side
        ([2, -1], [0.25, 0.5], 0),  # 0.5 against 0.5: no sign is elected
        ([3, -2, 1], [0.1, 0.8, 0.1], -2),  # the sign of the weighted sum, not that of most
        ([3, 2], [0.5, 0.5], 2.5),  # without dissent the weighted sum
        ([3, 2], [0.5, -0.5], 3),  # a negative weight turns the sign
    ],
)
def test_ties_by_worked_examples(values: list[float], weights: list[float], expected: float) -> None:
    merged = merged_of(one_entry(*values), weights, "svd", 1, Elementwise(consensus="ties"))
    assert dense(merged).item() == pytest.approx(expected, abs=1e-6)


def test_dare_drops_its_share_and_keeps_the_expected_sum() -> None:
    part = random_factors(np.random.default_rng(0), 8, 9, 2)
    runs = [dense(merged_of([part], [1.0], "svd", 8, Elementwise("dare", density=0.4, seed=seed))) for seed in range(800)]
    share = np.mean([np.abs(run) > 1e-4 * np.abs(dense(part)) for run in runs])
    assert share == pytest.approx(0.4, abs=0.01)
    assert np.linalg.norm(np.mean(runs, axis=0) - dense(part)) <= 0.06 * np.linalg.norm(dense(part))


def test_dare_draws_anew_for_each_adapter_and_module() -> None:
    ones = Factors(np.ones((1, 30), dtype=np.float32), np.ones((30, 1), dtype=np.float32))
    how = Elementwise("dare", density=0.5, rescale=False, seed=3)
    merged = merge([adapter(ones, ones), adapter(ones, ones)], [1, 1], "svd", 30, how)
    first, second = (np.round(dense(factors)) for factors in merged.factors.values())
    assert set(np.unique(first)) == set(np.unique(second)) == {0, 1, 2}
    assert (first != second).mean() > 0.4


def test_magnitude_keeps_at_least_one_entry_and_all_that_are_as_large() -> None:
    part = Factors(np.float32([[1, 2, 3, 3]]), np.float32([[1]]))
    for density, kept in ((0.01, [0, 0, 3, 3]), (0.5, [0, 0, 3, 3]), (0.75, [0, 2, 3, 3])):
        np.testing.assert_allclose(
            dense(merged_of([part], [1], "svd", 1, Elementwise("magnitude", density)))[0], kept, atol=1e-6
        )


# With PEFT: adapters of the pico model that PEFT itself has made and saved.

ADAPTERS: dict[str, dict[str, Any]] = {
    "first": {},
    "second": {"lora_alpha": 3},
    "third": {"lora_alpha": 12},
    "wide": {"r": 6, "lora_alpha": 5},
    "rslora": {"use_rslora": True},
    "attention": {"target_modules": ["q_proj", "v_proj"]},
    "one_layer": {"layers_to_transform": [0]},
    "alpha_pattern": {"alpha_pattern": {"q_proj": 16, "layers.1.mlp.up_proj": 3}},
    "rank_pattern": {"rank_pattern": {"q_proj": 2, "layers.0.mlp.down_proj": 7}},
    "patterns": {"use_rslora": True, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 3, ".*_proj": 5}},
    "dora": {"use_dora": True},
    "lora_bias": {"lora_bias": True},
    "whole_head": {"modules_to_save": ["lm_head"]},
}
PLAIN_LORA = [name for name in ADAPTERS if name not in ("dora", "lora_bias", "whole_head")]


@pytest.fixture(scope="module")
def made(pico_causal: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of adapters with random A and B."""
    folder = tmp_path_factory.mktemp("adapters")
    for seed, (name, options) in enumerate(ADAPTERS.items()):
        torch.manual_seed(seed)
        settings = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj", "up_proj", "down_proj"], **options}
        model = get_peft_model(base_model(pico_causal), LoraConfig(task_type="CAUSAL_LM", **settings))
        for key, weight in model.named_parameters():
            if "lora_B" in key and key.endswith("weight"):
                torch.nn.init.normal_(weight, std=0.3)
        model.save_pretrained(folder / name)
    return folder


def base_model(pico: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(pico, dtype=torch.float32)


def deltas(model: Any, name: str = "default") -> Deltas:
    """What PEFT adds to each weight."""
    return {
        key: module.get_delta_weight(name).detach().double().numpy()
        for key, module in model.named_modules()
        if isinstance(module, LoraLayer) and name in module.lora_A
    }


def deltas_of(folder: Path, pico: Path) -> Deltas:
    return deltas(PeftModel.from_pretrained(base_model(pico), folder))


def deltas_by_peft(folders: Sequence[Path], weights: Sequence[float], method: str, pico: Path, **options: Any) -> Deltas:
    """PEFT's own merge."""
    names = [folder.name for folder in folders]
    model = PeftModel.from_pretrained(base_model(pico), folders[0], adapter_name=names[0])
    for name, folder in zip(names[1:], folders[1:], strict=True):
        model.load_adapter(folder, name)
    model.add_weighted_adapter(names, list(weights), "merged", combination_type=method, **options)
    return deltas(model, "merged")


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


def check_equal(found: Deltas, expected: Deltas, tolerance: float = 1e-6) -> None:
    assert found.keys() == expected.keys()
    assert len(found) > 0
    for name, delta in expected.items():
        assert np.linalg.norm(found[name] - delta) <= tolerance * np.linalg.norm(delta), name


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
def test_the_factors_of_an_adapter_multiply_to_what_peft_adds(made: Path, added: dict[str, Deltas], name: str) -> None:
    factors = load_adapter(made / name).factors
    check_equal({module: dense(each) for module, each in factors.items()}, added[name])


@pytest.mark.parametrize("name", ["first", "wide", "rslora"])
def test_a_saved_adapter_is_the_loaded_one_for_peft(
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
def test_peft_adds_the_weighted_sum_of_what_was_merged(
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
def test_linear_is_pefts_linear_even_with_unequal_alphas(
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
        # PEFT's weights are not divided by their sum: those of 1 give the paper's mean
        (Elementwise("magnitude", density=0.5, consensus="ties"), "ties_svd", [1.0, 1.0, 1.0]),
    ],
)
def test_picked_entries_are_those_of_peft(
    made: Path, pico_causal: Path, tmp_path: Path, how: Elementwise, method: str, weights: list[float]
) -> None:
    folders = [made / name for name in ("first", "wide", "attention")]
    own = [weight / 3 for weight in weights] if how.consensus == "ties" else weights
    target = saved_merge(folders, own, "svd", tmp_path / "merged", rank=32, how=how)
    by_peft = deltas_by_peft(folders, weights, method, pico_causal, svd_rank=32, density=how.density, svd_full_matrices=False)
    check_equal(deltas_of(target, pico_causal), by_peft, tolerance=1e-5)


WAYS = [
    ("cat", None, PLAIN),
    ("svd", 3, PLAIN),
    ("linear", None, PLAIN),
    ("svd", 3, Elementwise("dare", density=0.5, seed=1)),
    ("svd", 3, Elementwise("magnitude", density=0.5, consensus="ties")),
    ("svd", 3, Elementwise("dare", density=0.5, consensus="ties", seed=1)),
]


@pytest.mark.parametrize(("method", "rank", "how"), WAYS)
def test_equal_merges_give_equal_bytes(made: Path, tmp_path: Path, method: str, rank: int | None, how: Elementwise) -> None:
    written = [
        {
            file.name: file.read_bytes()
            for file in saved_merge([made / "first", made / "second"], [0.5, 0.5], method, target, rank, how).iterdir()
        }
        for target in (tmp_path / "one", tmp_path / "two")
    ]
    assert written[0] == written[1]
    assert sorted(written[0]) == ["adapter_config.json", "adapter_model.safetensors"]


def test_a_merge_keeps_the_base_and_says_its_own_rank_and_scale(made: Path, tmp_path: Path) -> None:
    target = saved_merge([made / "rslora", made / "wide"], [0.5, 0.5], "svd", tmp_path / "merged", rank=3)
    before, after = (json.loads((folder / "adapter_config.json").read_text()) for folder in (made / "rslora", target))
    changed = {"r": 3, "lora_alpha": 3, "use_rslora": False}
    assert {name: after[name] for name in changed} == changed
    assert after["base_model_name_or_path"] == before["base_model_name_or_path"]


def test_another_seed_gives_another_dare_and_nothing_else_another(made: Path, tmp_path: Path) -> None:
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


def test_a_merge_of_unequal_modules_names_them_all(made: Path, tmp_path: Path) -> None:
    target = saved_merge([made / "attention", made / "first"], [0.5, 0.5], "cat", tmp_path / "merged")
    names = json.loads((target / "adapter_config.json").read_text())["target_modules"]
    assert names == sorted(module.removeprefix("base_model.model.") for module in load_adapter(made / "first").factors)


@pytest.fixture
def recipes(made: Path, workplace: Path) -> Any:
    """Runs the merge stage with a recipe for two adapters; gives its folder."""
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


def test_a_merge_has_learnt_what_all_its_parts_have(recipes: Any) -> None:
    for name, tokens in (("1", 70), ("2", 30)):
        record = {"rows": 4, "tokens": tokens, "trained_parameters": 500}
        (Path("models/adapters/shards/ner") / name / "training.json").write_text(json.dumps(record))
    told = json.loads((recipes("noted", method="cat") / "recipe.json").read_text())
    assert told["tokens"] == 100 and told["trained_parameters"] == 1000


def test_a_merge_of_which_one_part_says_nothing_says_nothing_of_what_it_has_learnt(recipes: Any) -> None:
    record = {"tokens": 70, "trained_parameters": 500}
    Path("models/adapters/shards/ner/1/training.json").write_text(json.dumps(record))
    assert not {"tokens", "trained_parameters"} & json.loads((recipes("half", method="cat") / "recipe.json").read_text()).keys()


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"tokens": 70}', '{"tokens": "70", "trained_parameters": 500}'])
@pytest.mark.parametrize("file", ["training.json", "adapter_config.json"])
def test_a_part_whose_notes_are_broken_is_refused_and_nothing_is_merged(recipes: Any, file: str, content: str) -> None:
    note = Path("models/adapters/shards/ner/1") / file
    note.write_text(content)
    with pytest.raises(UserError, match=rf"^{note} is missing or broken \(.*\); remove it and run dvc repro train$"):
        recipes("broken", method="cat")
    assert not Path("models/adapters/merged/broken").exists()


def test_a_recipe_without_new_choices_is_written_as_before_them(recipes: Any) -> None:
    assert json.loads((recipes("plain", method="cat") / "recipe.json").read_text()) == {
        "method": "cat",
        "rank": None,
        "reads": "models/adapters/shards/ner",
        "weights": {"1": 0.5, "2": 0.5},
    }


def test_a_model_card_tells_which_entries_were_picked() -> None:
    demo = load_params(REPOSITORY / "profiles/demo.yaml")
    choices = {"method": "svd", "rank": 16, "sparsify": "dare", "density": 0.6, "seed": 4}
    recipe = demo.merge.recipes["ner_shards"].model_copy(update=choices)
    told = card(
        demo.model_copy(update={"merge": Merge(recipes={"ner_shards": recipe})}), "merged_shards", ["ner"], merged=False
    )
    assert "merged by method svd, sparsify dare, density 0.6, seed 4 from models/adapters/shards/ner (weights: " in told


@pytest.mark.parametrize(
    ("system", "learnt"), [("merged_shards", ["ner"]), ("mixed", ["ner", "relevance"]), ("merged_tasks", ["ner", "relevance"])]
)
def test_a_card_shows_a_prompt_and_an_answer_of_each_task_that_was_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, learnt: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for task in ("ner", "relevance"):
        prompt = f"Label.\n\n```\n# {task}\n````\n<b>Tags:"
        empty = {"reference": "-", "fields": {}, "group": "g", "source": "shop"}
        prompts = enumerate((prompt, "another"))
        rows = [Example(id=str(row), task=task, prompt=text, target="nike brand", **empty) for row, text in prompts]
        write_records(tmp_path / f"data/examples/{task}/train.jsonl", rows)
    told = card(load_params(REPOSITORY / "profiles/demo.yaml"), system, ["ner"], merged=False)
    shown = re.findall(r"^(`{3,})text\n(.*?)\n\1$", told, re.DOTALL | re.MULTILINE)
    expected = [text for task in learnt for text in (f"Label.\n\n```\n# {task}\n````\n<b>Tags:", "nike brand")]
    assert [text for _, text in shown] == expected and "another" not in told
    assert all(f"A prompt of {task}, from its training rows (followed by a line break):" in told for task in learnt)


def test_the_order_of_a_recipes_weights_changes_nothing(recipes: Any) -> None:
    how = {"method": "svd", "rank": 5, "sparsify": "dare", "density": 0.6, "seed": 4}
    one, other = recipes("one", **how), recipes("other", **how, weights={"2": 0.5, "1": 0.5})
    assert sha256_folder(one) == sha256_folder(other)


@pytest.mark.parametrize("name", ["dora", "lora_bias", "whole_head"])
def test_an_adapter_that_is_more_than_its_factors_is_refused(made: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"adapters.*/{name}"):
        load_adapter(made / name)


def test_a_config_is_kept_as_it_stands(tmp_path: Path) -> None:
    save_adapter(adapter(SMALL.factors["layer0"]), tmp_path)
    assert dump_json(load_adapter(tmp_path).config) == (tmp_path / "adapter_config.json").read_text()


def test_a_missing_adapter_is_refused_by_its_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="shards/ner/1 holds no adapter_model"):
        load_adapter(tmp_path / "shards/ner/1")


@pytest.mark.parametrize("size", [0, 4, 2000])
def test_an_adapter_whose_weights_are_cut_is_refused_with_the_file_and_what_to_do(
    made: Path, tmp_path: Path, size: int
) -> None:
    cut = tmp_path / "cut"
    cut.mkdir()
    for file in (made / "first").iterdir():
        (cut / file.name).write_bytes(file.read_bytes()[:size] if file.suffix == ".safetensors" else file.read_bytes())
    with pytest.raises(UserError, match=rf"^{cut} is missing or broken \(.*\); remove it and run dvc repro"):
        load_adapter(cut)


def no_weights(tensors: dict[str, Any], config: dict[str, Any]) -> None:
    tensors.clear()


def huge(tensors: dict[str, Any], config: dict[str, Any]) -> None:
    tensors[min(tensors)] += 3e38


def other_rank(tensors: dict[str, Any], config: dict[str, Any]) -> None:
    config["r"] += 1


def endless_alpha(tensors: dict[str, Any], config: dict[str, Any]) -> None:
    config["lora_alpha"] = 10**400


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (no_weights, "it holds no weights"),
        (huge, "its weights are not finite numbers, or beyond all that a training leaves"),
        (other_rank, r"factors \(\d, \d+\) and \(\d+, \d\) with rank \d and lora_alpha \d+ make no adapter"),
        (endless_alpha, "lora_alpha: "),
    ],
)
def test_an_adapter_that_is_none_is_neither_merged_nor_compared(
    made: Path, tmp_path: Path, damage: Callable[[dict[str, Any], dict[str, Any]], None], told: str
) -> None:
    tensors, config = load_file(made / "first/adapter_model.safetensors"), read_config(made / "first")
    damage(tensors, config)
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    write_config(config, tmp_path)
    with pytest.raises(UserError, match=rf"is missing or broken \(.*{told}"):
        load_adapter(tmp_path)


def test_an_adapter_of_two_ranks_is_not_written_as_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"one rank, not \[2, 3\]"):
        save_adapter(adapter(SMALL.factors["layer0"], WIDE.factors["layer0"]), tmp_path)


# What doesn't fit together.

RNG = np.random.default_rng(0)
SMALL = adapter(random_factors(RNG, 5, 4, 2))
WIDE = adapter(random_factors(RNG, 5, 4, 3))


@pytest.mark.parametrize("method", ["cat", "svd", "linear"])
def test_adapters_of_different_bases_are_refused(method: str) -> None:
    other = Adapter(SMALL.factors, {"base_model_name_or_path": "models/pretrained/other"})
    with pytest.raises(UserError, match=r"different bases .*pretrained/pico .*pretrained/other"):
        merge([SMALL, SMALL, other], [1, 1, 1], method)


@pytest.mark.parametrize("method", ["cat", "svd", "linear"])
def test_modules_of_unequal_shapes_are_refused(method: str) -> None:
    other = adapter(random_factors(RNG, 5, 6, 2))
    with pytest.raises(UserError, match=r"layer0 is \(5, 4\) in one adapter and \(5, 6\) in another; train them on one base"):
        merge([SMALL, other], [1, 1], method)


@pytest.mark.parametrize("how", [Elementwise("dare", density=0.5), Elementwise(consensus="ties")])
@pytest.mark.parametrize(("method", "rank"), [("cat", None), ("linear", None), ("svd", None)])
def test_picked_entries_take_method_svd_and_a_rank(method: str, rank: int | None, how: Elementwise) -> None:
    with pytest.raises(UserError, match="give a ΔW of full rank, which"):
        merge([SMALL, SMALL], [1, 1], method, rank, how)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 1.0, 1.0], []])
def test_another_number_of_weights_than_of_adapters_is_refused(weights: list[float]) -> None:
    with pytest.raises(UserError, match=f"{len(weights)} weights for 2 adapters"):
        merge([SMALL, SMALL], weights, "cat")


def test_linear_refuses_adapters_of_unequal_ranks() -> None:
    with pytest.raises(UserError, match=r"ranks \[2, 3\]; use cat or svd"):
        merge([SMALL, WIDE], [1, 1], "linear")


def test_linear_refuses_a_negative_weight() -> None:
    with pytest.raises(UserError, match="no weight may be negative"):
        merge([SMALL, SMALL], [1, -1], "linear")

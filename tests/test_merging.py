"""Merged adapters are the weighted sums that they say, for PEFT as well as on paper."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
from transformers import AutoModelForCausalLM

from ecomtune.errors import UserError
from ecomtune.lora.adapter import Adapter, Factors, load_adapter, save_adapter
from ecomtune.lora.merging import compress, decompose, merge

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


def merged_of(parts: Sequence[Factors], weights: Sequence[float], method: str, rank: int | None = None) -> Factors:
    return merge([adapter(part) for part in parts], weights, method, rank).factors["layer0"]


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


# With PEFT: adapters of the pico model that PEFT itself has made and saved.

ADAPTERS: dict[str, dict[str, Any]] = {
    "first": {},
    "second": {"lora_alpha": 3},
    "third": {"lora_alpha": 12},
    "wide": {"r": 6, "lora_alpha": 5},
    "rslora": {"use_rslora": True},
    "attention": {"target_modules": ["q_proj", "v_proj"]},
    "dora": {"use_dora": True},
    "lora_bias": {"lora_bias": True},
    "whole_head": {"modules_to_save": ["lm_head"]},
    "alpha_pattern": {"alpha_pattern": {"q_proj": 16}},
    "rank_pattern": {"rank_pattern": {"q_proj": 2}},
}


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


def deltas_by_peft(folders: Sequence[Path], weights: Sequence[float], method: str, pico: Path) -> Deltas:
    """PEFT's own merge."""
    names = [folder.name for folder in folders]
    model = PeftModel.from_pretrained(base_model(pico), folders[0], adapter_name=names[0])
    for name, folder in zip(names[1:], folders[1:], strict=True):
        model.load_adapter(folder, name)
    model.add_weighted_adapter(names, list(weights), "merged", combination_type=method)
    return deltas(model, "merged")


@pytest.fixture(scope="module")
def added(made: Path, pico_causal: Path) -> dict[str, Deltas]:
    """What PEFT adds for each adapter that can be merged."""
    return {name: deltas_of(made / name, pico_causal) for name in list(ADAPTERS)[:6]}


def weighted_sum(each: Sequence[Deltas], weights: Sequence[float]) -> Deltas:
    return {
        name: np.sum([weight * delta[name] for weight, delta in zip(weights, each, strict=True)], axis=0) for name in each[0]
    }


def check_equal(found: Deltas, expected: Deltas) -> None:
    assert found.keys() == expected.keys()
    assert len(found) > 0
    for name, delta in expected.items():
        assert np.linalg.norm(found[name] - delta) <= 1e-6 * np.linalg.norm(delta), name


def saved_merge(folders: Sequence[Path], weights: Sequence[float], method: str, target: Path, rank: int | None = None) -> Path:
    save_adapter(merge([load_adapter(folder) for folder in folders], weights, method, rank), target)
    return target


@pytest.mark.parametrize("name", list(ADAPTERS)[:6])
def test_the_factors_of_an_adapter_multiply_to_what_peft_adds(made: Path, added: dict[str, Deltas], name: str) -> None:
    factors = load_adapter(made / name).factors
    check_equal({module: dense(each) for module, each in factors.items()}, added[name])


@pytest.mark.parametrize("name", ["first", "wide", "rslora"])
def test_a_saved_adapter_is_the_loaded_one_for_peft(
    made: Path, added: dict[str, Deltas], pico_causal: Path, tmp_path: Path, name: str
) -> None:
    save_adapter(load_adapter(made / name), tmp_path / "saved")
    check_equal(deltas_of(tmp_path / "saved", pico_causal), added[name])


@pytest.mark.parametrize("names", [["first", "second"], ["second", "rslora", "first"], ["rslora", "wide"], ["wide", "first"]])
@pytest.mark.parametrize("method", ["cat", "svd"])
def test_peft_adds_the_weighted_sum_of_what_was_merged(
    made: Path, added: dict[str, Deltas], pico_causal: Path, tmp_path: Path, names: list[str], method: str
) -> None:
    folders, weights = [made / name for name in names], [0.7, -0.4, 1.3][: len(names)]
    full = sum(load_adapter(folder).factors[LAYER].rank for folder in folders)
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


@pytest.mark.parametrize("names", [["first", "second"], ["second", "third", "first"]])
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


@pytest.mark.parametrize(("method", "rank"), [("cat", None), ("svd", 3), ("linear", None)])
def test_equal_merges_give_equal_bytes(made: Path, tmp_path: Path, method: str, rank: int | None) -> None:
    written = [
        {
            file.name: file.read_bytes()
            for file in saved_merge([made / "first", made / "second"], [0.5, 0.5], method, target, rank).iterdir()
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


@pytest.mark.parametrize("name", ["dora", "lora_bias", "whole_head", "alpha_pattern", "rank_pattern"])
def test_an_adapter_that_is_more_than_its_factors_is_refused(made: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"adapters.*/{name}"):
        load_adapter(made / name)


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
def test_adapters_of_different_target_modules_are_refused(method: str) -> None:
    more = adapter(SMALL.factors["layer0"], SMALL.factors["layer0"])
    for pair in ([SMALL, more], [more, SMALL]):
        with pytest.raises(UserError, match=r"layer1.*same target modules"):
            merge(pair, [1, 1], method)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 1.0, 1.0], []])
def test_another_number_of_weights_than_of_adapters_is_refused(weights: list[float]) -> None:
    with pytest.raises(UserError, match=f"{len(weights)} weights for 2 adapters"):
        merge([SMALL, SMALL], weights, "cat")


def test_linear_refuses_adapters_of_unequal_ranks() -> None:
    with pytest.raises(UserError, match=r"ranks \[2, 3\]; use cat or svd"):
        merge([SMALL, WIDE], [1, 1], "linear")


def test_linear_refuses_a_negative_weight() -> None:
    with pytest.raises(UserError, match="no negative weight"):
        merge([SMALL, SMALL], [1, -1], "linear")

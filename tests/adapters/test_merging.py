"""Merged adapters equal the dense weighted sums, entry by entry, that the papers define."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecomtune.adapters.factors import Adapter, Factors
from ecomtune.adapters.low_rank import compress, decompose
from ecomtune.adapters.merging import PLAIN, merge
from ecomtune.adapters.task_arithmetic import Elementwise
from ecomtune.core.config.training import MergeMethod
from ecomtune.messages.errors import UserError
from tests.support.adapters import Dense, adapter, dense, random_factors


@st.composite
def sums(draw: st.DrawFn) -> tuple[list[Factors], list[float], Dense]:
    """Factors of one weight matrix with different ranks, their weights, and the dense weighted sum."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    out, inner = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    parts = [random_factors(rng, out, inner, rank) for rank in draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))]
    weight = st.floats(0.1, 2) | st.floats(-2, -0.1)
    weights = draw(st.lists(weight, min_size=len(parts), max_size=len(parts)))
    total = sum((weight * dense(part) for weight, part in zip(weights, parts, strict=True)), np.zeros((out, inner)))
    return parts, weights, total


def magnitude(parts: Sequence[Factors], weights: Sequence[float]) -> float:
    """The size of the summands, to which rounding errors are relative where the parts cancel each other."""
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
def test_svd_at_a_lower_rank_is_as_close_as_any_matrix_of_that_rank(
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


# Sparsify and consensus, which act on the entries of ΔW, against the dense matrix.


@st.composite
def elementwise(draw: st.DrawFn) -> Elementwise:
    """Every combination of sparsify and consensus, except neither."""
    sparsify, consensus = draw(
        st.sampled_from([("magnitude", "none"), ("dare", "none"), ("none", "ties"), ("magnitude", "ties"), ("dare", "ties")])
    )
    if sparsify == "none":
        return Elementwise(consensus="ties")
    rescale = draw(st.sampled_from([None, True, False]))
    return Elementwise(sparsify, draw(st.floats(0.1, 1)), rescale, consensus, draw(st.integers(0, 9)))


def reference(deltas: Sequence[Dense], weights: Sequence[float], how: Elementwise) -> Dense:
    """The merged ΔW entry by entry, as the papers define it."""
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


@given(case=sums(), how=elementwise())
def test_sparsify_and_consensus_keep_the_entries_of_the_dense_reference(
    case: tuple[list[Factors], list[float], Dense], how: Elementwise
) -> None:
    parts, weights, total = case
    merged = merged_of(parts, weights, "svd", min(total.shape), how)
    expected = reference([dense(part) for part in parts], weights, how)
    assert np.linalg.norm(dense(merged) - expected) <= 1e-6 * np.linalg.norm(expected)


@given(case=sums(), how=elementwise(), rank=st.integers(1, 8))
def test_what_sparsify_and_consensus_keep_is_compressed_as_closely_as_any_matrix_of_the_rank(
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
    """DARE at a low density leaves singular values that a few power iterations can't separate."""
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
        ([3, 0, 0], [0.25, 0.25, 0.5], 3),  # 0 agrees with no sign
        ([2, -1], [0.25, 0.5], 0),  # 0.5 against 0.5: no sign is elected
        ([3, -2, 1], [0.1, 0.8, 0.1], -2),  # the sign of the weighted sum, not that of most
        ([3, 2], [0.5, 0.5], 2.5),  # of one sign: the weighted sum
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
def test_modules_of_different_shapes_are_refused(method: str) -> None:
    other = adapter(random_factors(RNG, 5, 6, 2))
    with pytest.raises(UserError, match=r"layer0 is \(5, 4\) in one adapter and \(5, 6\) in another; train them on one base"):
        merge([SMALL, other], [1, 1], method)


@pytest.mark.parametrize("how", [Elementwise("dare", density=0.5), Elementwise(consensus="ties")])
@pytest.mark.parametrize(("method", "rank"), [("cat", None), ("linear", None), ("svd", None)])
def test_sparsify_and_consensus_need_method_svd_and_a_rank(method: str, rank: int | None, how: Elementwise) -> None:
    with pytest.raises(UserError, match="a ΔW of full rank, which"):
        merge([SMALL, SMALL], [1, 1], method, rank, how)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 1.0, 1.0], []])
def test_a_number_of_weights_other_than_that_of_adapters_is_refused(weights: list[float]) -> None:
    with pytest.raises(UserError, match=f"{len(weights)} weights for 2 adapters"):
        merge([SMALL, SMALL], weights, "cat")


def test_linear_refuses_adapters_of_different_ranks() -> None:
    with pytest.raises(UserError, match=r"ranks \[2, 3\]; use cat or svd"):
        merge([SMALL, WIDE], [1, 1], "linear")


def test_linear_refuses_a_negative_weight() -> None:
    with pytest.raises(UserError, match="no weight may be negative"):
        merge([SMALL, SMALL], [1, -1], "linear")


@pytest.mark.parametrize("method", get_args(MergeMethod))
def test_every_method_that_params_may_name_merges(method: str) -> None:
    rng = np.random.default_rng(0)
    parts = [adapter(random_factors(rng, 6, 5, 2)) for _ in range(2)]
    assert merge(parts, [0.5, 0.5], method).factors.keys() == {"layer0"}

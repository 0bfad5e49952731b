"""Similarities of adapters are those of their dense ΔW, which is never built."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import orth, subspace_angles

from ecomtune.adapters.factors import Adapter, Factors
from ecomtune.adapters.low_rank import Dense
from ecomtune.adapters.merging import merge
from ecomtune.adapters.similarity import NOTHING, AdapterPair, Similarity, compare_adapters
from tests.support.adapters import dense, random_factors

RNG = np.random.default_rng(0)


def adapter(**modules: Factors) -> Adapter:
    return Adapter(modules, {"base_model_name_or_path": "models/pretrained/pico"})


def pair_of(first: Adapter, second: Adapter) -> AdapterPair:
    (pair,) = compare_adapters({"first": first, "second": second})
    return pair


def as_list(found: Similarity) -> list[float]:
    return [found.cosine, found.columns, found.rows]


def cosine(first: Dense, second: Dense) -> float:
    return float((first * second).sum() / np.linalg.norm(first) / np.linalg.norm(second))


def overlap(first: Dense, second: Dense) -> float:
    """The mean squared cosine of the principal angles between two column spaces."""
    return float(np.mean(np.cos(subspace_angles(orth(first), orth(second))) ** 2))


@st.composite
def two_adapters(draw: st.DrawFn) -> tuple[Adapter, Adapter]:
    """Two adapters of the same modules with different ranks."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shapes = draw(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=3))
    sides: list[dict[str, Factors]] = [{}, {}]
    for place, shape in enumerate(shapes):
        for side in sides:
            side[f"layer{place}"] = random_factors(rng, *shape, draw(st.integers(1, 6)))
    return adapter(**sides[0]), adapter(**sides[1])


@given(case=two_adapters())
def test_each_module_is_compared_as_its_dense_matrices_are(case: tuple[Adapter, Adapter]) -> None:
    first, second = case
    for module, found in pair_of(first, second).modules.items():
        one, other = dense(first.factors[module]), dense(second.factors[module])
        expected = [cosine(one, other), overlap(one, other), overlap(one.T, other.T)]
        np.testing.assert_allclose(as_list(found), expected, atol=1e-6)


@given(case=two_adapters())
def test_the_overall_similarity_is_the_cosine_of_all_entries_and_the_mean_overlap(case: tuple[Adapter, Adapter]) -> None:
    pair = pair_of(*case)
    flat = [np.concatenate([dense(each).ravel() for each in side.factors.values()]) for side in case]
    assert pair.overall.cosine == pytest.approx(cosine(*flat), abs=1e-6)
    for measure in ("columns", "rows"):
        mean = np.mean([getattr(module, measure) for module in pair.modules.values()])
        assert getattr(pair.overall, measure) == pytest.approx(mean)


def test_every_two_adapters_are_compared_in_their_order() -> None:
    found = compare_adapters({name: adapter(layer=random_factors(RNG, 4, 5, 2)) for name in ("c", "a", "b")})
    assert [(pair.first, pair.second) for pair in found] == [("c", "a"), ("c", "b"), ("a", "b")]


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_adapters_make_no_pair(count: int) -> None:
    assert compare_adapters({str(place): adapter(layer=random_factors(RNG, 4, 5, 2)) for place in range(count)}) == []


def test_an_adapter_is_fully_similar_to_its_multiple_and_opposite_to_its_negative() -> None:
    one = adapter(layer=random_factors(RNG, 9, 8, 3), other=random_factors(RNG, 5, 8, 2))
    for weight, expected in ((3.0, 1), (-0.5, -1)):
        pair = pair_of(one, merge([one], [weight], "cat"))
        np.testing.assert_allclose(as_list(pair.overall), [expected, 1, 1], atol=1e-6)


def test_a_space_inside_a_larger_one_overlaps_fully_and_orthogonal_ones_not_at_all() -> None:
    large = random_factors(RNG, 9, 8, 4)
    small = Factors(large.a[:2], large.b[:, :2])
    assert as_list(pair_of(adapter(layer=small), adapter(layer=large)).overall)[1:] == pytest.approx([1, 1], abs=1e-6)
    unit = np.eye(6, dtype=np.float32)
    orthogonal = [adapter(layer=Factors(unit[rows], unit[:, rows])) for rows in ([0, 1], [2, 3, 4])]
    assert as_list(pair_of(*orthogonal).overall) == [0, 0, 0]


def test_spaces_may_overlap_on_one_side_only() -> None:
    unit = np.eye(6, dtype=np.float32)
    same_rows = [adapter(layer=Factors(unit[:2], unit[:, columns])) for columns in ([0, 1], [2, 3])]
    assert as_list(pair_of(*same_rows).overall) == pytest.approx([0, 0, 1], abs=1e-6)


def test_a_module_that_one_adapter_does_not_change_is_similar_to_nothing() -> None:
    layer = random_factors(RNG, 6, 6, 2)
    pair = pair_of(adapter(layer=layer), adapter(layer=layer, other=layer))
    assert pair.modules["other"] == NOTHING
    # the squared norm of the second's ΔW is twice that of the first's
    np.testing.assert_allclose(as_list(pair.overall), [0.5**0.5, 0.5, 0.5], atol=1e-6)


def test_a_module_that_neither_changes_does_not_count() -> None:
    layer = random_factors(RNG, 6, 6, 2)
    untrained = Factors(layer.a, np.zeros_like(layer.b))
    pair = pair_of(adapter(layer=layer, other=untrained), adapter(layer=layer))
    assert list(pair.modules) == ["layer"] and as_list(pair.overall) == pytest.approx([1, 1, 1], abs=1e-6)


def zeros(each: Factors) -> dict[str, Any]:
    return {
        "untrained": adapter(layer=Factors(each.a, np.zeros_like(each.b))),
        "cancelled": merge([adapter(layer=each), adapter(layer=each)], [0.7, -0.7], "cat"),
        "absent": adapter(),
    }


@pytest.mark.parametrize("kind", ["untrained", "cancelled", "absent"])
def test_a_delta_of_zero_is_similar_to_nothing_not_even_itself(kind: str) -> None:
    layer = random_factors(RNG, 6, 7, 2)
    zero = zeros(layer)[kind]
    assert pair_of(adapter(layer=layer), zero).overall == pair_of(zero, adapter(layer=layer)).overall == NOTHING
    assert pair_of(zero, zero).overall == NOTHING


def test_padding_adds_no_direction() -> None:
    one, other = random_factors(RNG, 9, 8, 2), random_factors(RNG, 9, 8, 3)
    wide = merge([adapter(layer=one)], [1.0], "svd", 6)
    before, after = pair_of(adapter(layer=one), adapter(layer=other)), pair_of(wide, adapter(layer=other))
    np.testing.assert_allclose(as_list(before.overall), as_list(after.overall), atol=1e-6)


def test_the_dense_matrix_is_never_built() -> None:
    """Dense, each of these would take 320 GB."""
    side = 200_000
    huge = [adapter(layer=random_factors(np.random.default_rng(seed), side, side, 2)) for seed in range(2)]
    pair = pair_of(*huge)
    assert max(abs(value) for value in as_list(pair.overall)) < 0.01


def test_ten_adapters_of_random_directions_overlap_only_by_chance() -> None:
    adapters = {str(seed): adapter(layer=random_factors(np.random.default_rng(seed), 40, 60, 4)) for seed in range(10)}
    found = compare_adapters(adapters)
    assert np.mean([pair.overall.columns for pair in found]) == pytest.approx(4 / 40, abs=0.02)
    assert np.mean([pair.overall.rows for pair in found]) == pytest.approx(4 / 60, abs=0.02)

"""A mix takes each task's first rows, in the proportion that it asks for, and as many in all as it asks for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecomtune.core.config import Mix
from ecomtune.lora.mixing import mix_rows, row_counts

SIZES = {"ner": 900, "relevance": 100, "description": 0}


@pytest.mark.parametrize(
    ("mix", "counts"),
    [
        ({"by": "proportional"}, {"ner": 900, "relevance": 100, "description": 0}),
        ({"by": "proportional", "rows": 100}, {"ner": 90, "relevance": 10, "description": 0}),
        ({"by": "equal", "rows": 101}, {"ner": 51, "relevance": 50, "description": 0}),
        ({"by": "temperature", "temperature": 2, "rows": 400}, {"ner": 300, "relevance": 100, "description": 0}),
        ({"by": "weights", "weights": {"ner": 1, "relevance": 4, "description": 9}, "rows": 10}, {"ner": 2, "relevance": 8}),
    ],
)
def test_each_kind_of_mix_yields_its_proportions(mix: dict[str, Any], counts: dict[str, int]) -> None:
    assert row_counts(SIZES, Mix.model_validate(mix)) == {"description": 0, **counts}


def test_a_task_contributes_its_first_rows_and_repeats_them_where_it_has_too_few() -> None:
    rows = {"ner": list("abcd"), "relevance": ["x"]}
    assert mix_rows(rows, Mix(by="equal", rows=6)) == ["a", "b", "c", "x", "x", "x"]


@st.composite
def mixes(draw: st.DrawFn) -> tuple[dict[str, int], Mix]:
    """Numbers of rows by task, and a mix of the tasks."""
    tasks = draw(st.lists(st.sampled_from("abcdef"), min_size=1, unique=True))
    sizes = {task: draw(st.integers(0, 2000)) for task in tasks}
    values: dict[str, Any] = {"by": draw(st.sampled_from(["proportional", "equal", "temperature", "weights"]))}
    if values["by"] == "temperature":
        values["temperature"] = draw(st.floats(0.5, 10))
    if values["by"] == "weights":
        values["weights"] = {task: draw(st.floats(0.01, 5)) for task in tasks}
    return sizes, Mix.model_validate({**values, "rows": draw(st.none() | st.integers(1, 3000))})


@given(made=mixes())
def test_a_mix_has_as_many_rows_as_asked_for_and_none_of_an_empty_task(made: tuple[dict[str, int], Mix]) -> None:
    sizes, mix = made
    counts = row_counts(sizes, mix)
    assert list(counts) == list(sizes)
    assert sum(counts.values()) == ((mix.rows or sum(sizes.values())) if any(sizes.values()) else 0)
    assert all(counts[task] == 0 for task, size in sizes.items() if size == 0)


@given(sizes=st.lists(st.integers(1, 500), min_size=2, max_size=5), temperature=st.floats(1, 50))
def test_a_higher_temperature_comes_closer_to_equal_counts(sizes: list[int], temperature: float) -> None:
    named = {str(place): size for place, size in enumerate(sizes)}

    def spread(mix: Mix) -> int:
        counts = row_counts(named, mix).values()
        return max(counts) - min(counts)

    warm = spread(Mix(by="temperature", temperature=temperature, rows=1000))
    assert spread(Mix(by="equal", rows=1000)) <= warm + 1 and warm <= spread(Mix(by="proportional", rows=1000)) + 1

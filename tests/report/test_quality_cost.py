"""A system is called unbeaten only if no other is better for less, and its costs are shown as far as they are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ecomtune.report.plots import plot_costs
from ecomtune.report.quality_cost import (
    HEADER,
    cost_remarks,
    cost_rows,
    costs_by_task,
    costs_table,
    operations,
    total,
    unbeaten,
)
from ecomtune.report.summary import Cell, Scores
from tests.support.summaries import cell, scores

KNOWN = {"parameters": 1000, "trained_parameters": 10, "trained_tokens": 500, "input_tokens": 8.0, "output_tokens": 2.0}
#: The tokens and the quality in percent of each system.
Points = dict[str, tuple[int, int]]


def scores_of(points: Points) -> Scores:
    """The scores of systems on one task."""
    costs = {name: {**KNOWN, "input_tokens": float(tokens)} for name, (tokens, _) in points.items()}
    return scores({name: {"ner": cell(value=quality / 100, costs=costs[name])} for name, (_, quality) in points.items()})


def model(name: str, **costs: float) -> Cell:
    return cell(model=name, costs=costs)


def test_only_the_unbeaten_systems_are_bold() -> None:
    grid = costs_table(scores_of({"small": (5, 40), "large": (50, 60), "poor": (60, 30)}))
    bold = {name: row.style == "bold" for name, row in zip(grid.columns[1].cells, grid.rows, strict=True)}
    assert bold == {"small": True, "large": True, "poor": False}


def test_an_answer_takes_two_operations_for_each_weight_and_token() -> None:
    assert operations(KNOWN) == 2 * 1000 * 10
    for key in ("parameters", "input_tokens", "output_tokens"):
        assert operations({name: value for name, value in KNOWN.items() if name != key}) is None


@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1))
def test_unbeaten_are_exactly_the_systems_that_no_other_beats(points: Points) -> None:
    def beats(other: str, name: str) -> bool:
        (less, better), (tokens, quality) = points[other], points[name]
        return less <= tokens and better >= quality and (less, better) != (tokens, quality)

    found = unbeaten(scores_of(points), "ner")
    assert set(found) == {name for name in points if not any(beats(other, name) for other in points)}
    assert [points[name][0] for name in found] == sorted(points[name][0] for name in found)


def test_a_model_that_answers_several_tasks_is_counted_once() -> None:
    one = {"trained_parameters": 5, "trained_tokens": 70}
    assert total({"ner": model("a", **one), "relevance": model("a", **one)}, "trained_tokens") == "70"
    assert total({"ner": model("a", **one), "relevance": model("b", trained_tokens=80)}, "trained_tokens") == "150"
    assert total({"ner": model("a")}, "trained_tokens") == "–"


def test_two_models_of_the_same_size_and_tokens_are_two() -> None:
    one = {"trained_parameters": 5, "trained_tokens": 70}
    assert total({"ner": model("shards/1", **one), "relevance": model("shards/2", **one)}, "trained_tokens") == "140"


#: A floor that reads nothing, two adapters of the same size, and people, of whom nothing is known.
SYSTEMS = {
    "floor": {"relevance": model("floor", parameters=2754, input_tokens=0.0, output_tokens=0.0)},
    "single": {
        "relevance": replace(model("a", **KNOWN), value=0.8),
        "ner": replace(model("b", **KNOWN), value=0.6),
    },
    "people": {"ner": model("data/examples/ner")},
}
SCORES = scores(SYSTEMS, tasks=("relevance", "ner"))


def test_each_cost_has_a_column_of_its_own_and_unknown_ones_a_dash() -> None:
    assert cost_rows(SCORES) == [
        ["relevance", "floor", "0", "0", "0", "–", "–"],
        ["relevance", "single", "2.0e+04", "8", "2", "10", "500"],
        ["ner", "single", "2.0e+04", "8", "2", "10", "500"],
        ["ner", "people", "–", "–", "–", "–", "–"],
    ]
    assert all(len(row) == len(HEADER) for row in cost_rows(SCORES))


def test_remarks_name_the_unbeaten_the_sums_over_models_and_why_a_floor_takes_no_operations() -> None:
    assert cost_remarks(SCORES) == [
        "relevance: no other system is at least as good for no more operations than floor, single",
        "ner: no other system is at least as good for no more operations than single",
        "single has 2 models: in total 20 weights trained on 1,000 tokens",
        "floor: 0 operations, because no neural network computes the answers",
    ]


def test_the_table_of_costs_fits_100_columns_and_has_the_unbeaten_in_bold() -> None:
    long = {"parameters": 7e9, "trained_parameters": 1e9, "trained_tokens": 1e8, "input_tokens": 1e4, "output_tokens": 999.0}
    tasks = ("relevance", "summarization")
    shown = scores({"merged_shards": {"summarization": model("a", **long)}, **SYSTEMS}, tasks)
    console = Console(width=100, force_terminal=True)
    with console.capture() as captured:
        console.print(costs_table(shown))
    lines = captured.get().splitlines()
    (row,) = [line for line in lines if "merged_shards" in line]
    assert all(text in row for text in ("1.5e+14", "10,000", "999", "1,000,000,000", "100,000,000"))
    bold = [line for line in lines if "\x1b[1m" in line and "│" in line]
    assert [any(name in line for line in bold) for name in ("merged_shards", "floor", "single")] == [True] * 3
    beaten = {"relevance": replace(SYSTEMS["single"]["relevance"], value=0.1)}
    with console.capture() as captured:
        console.print(costs_table(scores({**shown.systems, "single": beaten}, tasks)))
    (row,) = [line for line in captured.get().splitlines() if "single" in line]
    assert "\x1b[1m" not in row


def test_only_the_legend_of_the_picture_has_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of systems that cost and score the same would be printed over one another at the points."""
    from matplotlib import pyplot

    drawn: list[Any] = []
    monkeypatch.setattr(pyplot, "close", drawn.append)
    plot_costs(SCORES, tmp_path / "costs.png")
    (figure,) = drawn
    assert [text.get_text() for axis in figure.axes for text in axis.texts] == []
    shown = figure.axes[-1].get_legend()
    assert [text.get_text() for text in shown.get_texts()] == ["floor", "single", "people"]
    looks = {(line.get_color(), line.get_marker()) for line in shown.get_lines()}
    assert len(looks) == 3
    filled = {line.get_markerfacecolor() for line in figure.axes[1].lines if line.get_marker() != "None"}
    assert filled == {"C1"}


def test_a_system_of_unknown_cost_takes_no_part(tmp_path: Path) -> None:
    known = scores_of({"small": (5, 40), "large": (50, 60), "poor": (60, 30)})
    shown = scores({**known.systems, "people": {"ner": replace(model("people"), value=0.9)}})
    costs = costs_by_task(shown)["ner"]
    assert costs.unbeaten == ["small", "large"]
    assert costs.compute["people"] is None and costs.compute["small"] == 2 * 1000 * 7
    for name in ("first", "second"):
        plot_costs(shown, tmp_path / f"{name}.png")
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()

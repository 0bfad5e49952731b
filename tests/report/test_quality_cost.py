"""A system is called unbeaten only where no other is better for less, and its costs are shown as far as they are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ecomtune.report.quality_cost import HEADER, compute, costs_section, costs_table, plot_costs, remarks, rows, total, unbeaten

KNOWN = {"parameters": 1000, "trained_parameters": 10, "trained_tokens": 500, "input_tokens": 8.0, "output_tokens": 2.0}


def test_only_those_that_no_other_beats_are_bold() -> None:
    grid = costs_table(summary_of({"small": (5, 40), "large": (50, 60), "poor": (60, 30)}))
    bold = {name: row.style == "bold" for name, row in zip(grid.columns[1].cells, grid.rows, strict=True)}
    assert bold == {"small": True, "large": True, "poor": False}


def test_an_answer_takes_two_operations_for_each_weight_and_token() -> None:
    assert compute(KNOWN) == 2 * 1000 * 10
    for key in ("parameters", "input_tokens", "output_tokens"):
        assert compute({name: value for name, value in KNOWN.items() if name != key}) is None


Points = dict[str, tuple[int, int]]


def summary_of(points: Points) -> dict[str, Any]:
    """Systems of one task by their tokens and quality in percent."""
    systems = {
        name: {"ner": cell(name, **{**KNOWN, "input_tokens": float(tokens)}) | {"value": quality / 100}}
        for name, (tokens, quality) in points.items()
    }
    return {"main_metric": {"ner": "f1"}, "systems": systems}


@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1))
def test_unbeaten_are_exactly_the_systems_that_none_beats(points: Points) -> None:
    def beats(other: str, name: str) -> bool:
        (less, better), (tokens, quality) = points[other], points[name]
        return less <= tokens and better >= quality and (less, better) != (tokens, quality)

    found = unbeaten(summary_of(points), "ner")
    assert set(found) == {name for name in points if not any(beats(other, name) for other in points)}
    assert [points[name][0] for name in found] == sorted(points[name][0] for name in found)


def cell(model: str, **costs: float) -> dict[str, Any]:
    return {"value": 0.5, "ci": [0.4, 0.6], "model": model, "costs": costs}


def test_a_model_that_answers_several_tasks_is_counted_once() -> None:
    one = {"trained_parameters": 5, "trained_tokens": 70}
    assert total({"ner": cell("a", **one), "relevance": cell("a", **one)}, "trained_tokens") == "70"
    assert total({"ner": cell("a", **one), "relevance": cell("b", trained_tokens=80)}, "trained_tokens") == "150"
    assert total({"ner": cell("a")}, "trained_tokens") == "–"


def test_two_models_of_the_same_size_and_tokens_are_two() -> None:
    one = {"trained_parameters": 5, "trained_tokens": 70}
    assert total({"ner": cell("shards/1", **one), "relevance": cell("shards/2", **one)}, "trained_tokens") == "140"


#: A floor that reads nothing, two adapters of one size, and people, of whom nothing is known.
TABLED: dict[str, Any] = {
    "main_metric": {"relevance": "f1", "ner": "f1"},
    "systems": {
        "floor": {"relevance": cell("floor", parameters=2754, input_tokens=0.0, output_tokens=0.0)},
        "single": {
            "relevance": cell("a", **KNOWN) | {"value": 0.8},
            "ner": cell("b", **KNOWN) | {"value": 0.6},
        },
        "people": {"ner": cell("data/examples/ner")},
    },
}


def test_each_cost_has_a_column_of_its_own_and_nothing_is_shown_for_what_is_not_known() -> None:
    assert rows(TABLED) == [
        ["relevance", "floor", "0", "0", "0", "–", "–"],
        ["relevance", "single", "2.0e+04", "8", "2", "10", "500"],
        ["ner", "single", "2.0e+04", "8", "2", "10", "500"],
        ["ner", "people", "–", "–", "–", "–", "–"],
    ]
    assert all(len(row) == len(HEADER) for row in rows(TABLED))


def test_words_name_the_unbeaten_sums_over_models_and_why_a_floor_takes_nothing() -> None:
    assert remarks(TABLED) == [
        "relevance: no other system is at least as good for no more operations than floor, single",
        "ner: no other system is at least as good for no more operations than single",
        "single is 2 models, in all 20 trained weights on 1,000 tokens",
        "floor: 0 operations where no tokens run through a network (a floor looks words up)",
    ]


def test_the_table_of_costs_fits_100_columns_and_has_the_unbeaten_in_bold() -> None:
    long = {"parameters": 7e9, "trained_parameters": 1e9, "trained_tokens": 1e8, "input_tokens": 1e4, "output_tokens": 999.0}
    summary = {
        "main_metric": dict.fromkeys(("relevance", "summarization"), "f1"),
        "systems": {"merged_shards": {"summarization": cell("a", **long)}, **TABLED["systems"]},
    }
    console = Console(width=100, force_terminal=True)
    with console.capture() as captured:
        console.print(costs_table(summary))
    lines = captured.get().splitlines()
    (row,) = [line for line in lines if "merged_shards" in line]
    assert all(text in row for text in ("1.5e+14", "10,000", "999", "1,000,000,000", "100,000,000"))
    bold = [line for line in lines if "\x1b[1m" in line and "│" in line]
    assert [any(name in line for line in bold) for name in ("merged_shards", "floor", "single")] == [True] * 3
    beaten = {**TABLED["systems"]["single"]["relevance"], "value": 0.1}
    summary["systems"]["single"] = {"relevance": beaten}
    with console.capture() as captured:
        console.print(costs_table(summary))
    (row,) = [line for line in captured.get().splitlines() if "single" in line]
    assert "\x1b[1m" not in row


def test_the_names_of_a_picture_stand_in_its_legend_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Systems that cost and score the same would have their names one over the other at the points."""
    from matplotlib import pyplot

    drawn: list[Any] = []
    monkeypatch.setattr(pyplot, "close", drawn.append)
    plot_costs(TABLED, tmp_path / "costs.png")
    (figure,) = drawn
    assert [text.get_text() for axis in figure.axes for text in axis.texts] == []
    shown = figure.axes[-1].get_legend()
    assert [text.get_text() for text in shown.get_texts()] == ["floor", "single", "people"]
    looks = {(line.get_color(), line.get_marker()) for line in shown.get_lines()}
    assert len(looks) == 3
    filled = {line.get_markerfacecolor() for line in figure.axes[1].lines if line.get_marker() != "None"}
    assert filled == {"C1"}


def test_a_system_of_unknown_cost_takes_no_part(tmp_path: Path) -> None:
    summary = summary_of({"small": (5, 40), "large": (50, 60), "poor": (60, 30)})
    summary["systems"]["people"] = {"ner": cell("people") | {"value": 0.9}}
    section = costs_section(summary)["ner"]
    assert section["unbeaten"] == ["small", "large"]
    assert section["compute"]["people"] is None and section["compute"]["small"] == 2 * 1000 * 7
    for name in ("first", "second"):
        plot_costs(summary, tmp_path / f"{name}.png")
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()

"""The table of experiments shows in what they differ, and nothing else."""

from __future__ import annotations

import pytest
from rich.console import Console

from ecomtune.messages.errors import UserError
from ecomtune.runs.experiments import METRIC_COLUMNS, PARAMETER_COLUMNS, table
from ecomtune.runs.revisions import Run


def run(rank: int, f1: float | None, **more: object) -> Run:
    scores = {} if f1 is None else {"single": {"ner": {"f1": f1, "f1_untyped": f1 / 2, "f1_ci": [0, 1]}}}
    floor = {"floor": {"relevance": {"macro_f1": 0.25}}}
    return Run({"seed": 7, "train": {"shared": {"rank": rank, "model": "m"}}, **more}, {**scores, **floor})


def shown(runs: dict[str, Run]) -> list[list[str]]:
    """The cells of the printed table, row by row."""
    console = Console(width=400, record=True, file=None)
    with console.capture() as captured:
        console.print(table(runs))
    rows = [line for line in captured.get().splitlines() if line[:1] in "┃│"]
    return [[cell.strip() for cell in row.strip("┃│").replace("┃", "│").split("│")] for row in rows]


def test_only_columns_that_differ_are_shown() -> None:
    rows = shown({"abc1234": run(8, 0.5), "fiery-cats": run(4, 0.4567)})
    assert rows == [
        ["run", "train.shared.rank", "single ner"],
        ["abc1234", "8", "0.500"],
        ["fiery-cats", "4", "0.457"],
    ]


def test_a_missing_value_is_a_dash() -> None:
    rows = shown({"base": run(8, 0.5), "other": run(8, None, extra=[1, 2])})
    assert rows == [["run", "extra", "single ner"], ["base", "–", "0.500"], ["other", "[1, 2]", "–"]]


def test_of_many_columns_those_that_most_runs_have_are_kept_and_the_rest_counted() -> None:
    other = {f"of_another_profile_{number}": number for number in range(300)}
    runs = {"base": run(8, 0.5), "more": run(4, 0.25), "another": run(2, 0.75, **other)}
    scores = {f"system_{number}": {"ner": {"f1": 0.125}} for number in range(20)}
    runs["another"] = Run(runs["another"].params, {**runs["another"].metrics, **scores})
    rows = shown(runs)
    assert "train.shared.rank" in rows[0] and "single ner" in rows[0] and len(rows[0]) == 1 + PARAMETER_COLUMNS + METRIC_COLUMNS
    assert rows[2][rows[0].index("train.shared.rank")] == "4"
    assert table(runs).caption == "left out: 295 more parameters and 13 more metrics in which they differ"
    assert table({"base": run(8, 0.5), "other": run(4, 0.5)}).caption is None


def test_without_experiments_there_is_one_sentence() -> None:
    with pytest.raises(UserError, match="this commit has no finished experiments"):
        table({"abc1234": run(8, 0.5)})

"""Two systems on the same rows: the difference, its interval, and how likely it is by chance."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from ecomtune.checks.parameters import load_params
from ecomtune.core.config.params import Params
from ecomtune.core.paths import PREDICTIONS
from ecomtune.core.records import Prediction, Reference, write_records
from ecomtune.messages.errors import UserError
from ecomtune.metrics.bootstrap import Resampling
from ecomtune.metrics.paired import PERMUTATIONS, AnsweredRows, Pair, compare_pairs, holm
from ecomtune.metrics.registry import load_metric
from ecomtune.report.outcomes import read_answers
from ecomtune.report.pairs import compare_systems, sentences
from tests.support.scratch_clone import REPOSITORY

GOLD = ["Exact", "Irrelevant"] * 30


def compared(
    answers: dict[str, Sequence[str | None]], groups: Sequence[str] | None = None, value: str = "accuracy", **changes: Any
) -> list[Pair]:
    resampling = Resampling(**{"seed": 7, **changes})
    own = [str(row) for row in range(len(GOLD))] if groups is None else groups
    given: dict[str, Sequence[Reference | None]] = {name: list(each) for name, each in answers.items()}
    return compare_pairs(load_metric("classification"), value, AnsweredRows(given, GOLD, own), resampling)


def all_but(wrong: int) -> list[str | None]:
    """Right answers to all rows but the first ``wrong`` ones, whose answers are invalid."""
    return [None] * wrong + list(GOLD[wrong:])


def test_the_better_system_comes_first_by_its_difference() -> None:
    (pair,) = compared({"worse": all_but(15), "better": all_but(3)})
    assert (pair.first, pair.second, pair.difference) == ("better", "worse", 0.2)
    assert 0 < pair.ci[0] < 0.2 < pair.ci[1]


def test_equal_answers_never_differ() -> None:
    (pair,) = compared({"one": all_but(5), "other": all_but(5)})
    assert pair == Pair("one", "other", 0.0, (0.0, 0.0), 1.0, 1.0)


@pytest.mark.parametrize("more", [1, 5, 8, 20])
def test_p_is_that_of_the_sign_test_if_each_row_is_a_group(more: int) -> None:
    (pair,) = compared({"better": all_but(0), "worse": all_but(more)})
    assert pair.p == pytest.approx(max(binomtest(more, more).pvalue, 1 / PERMUTATIONS), abs=0.015)


def test_rows_of_one_group_are_one_observation() -> None:
    groups = ["a"] * 30 + ["b"] * 30
    (pair,) = compared({"better": all_but(0), "worse": all_but(30)}, groups)
    assert pair.p == 1.0
    (pair,) = compared({"better": all_but(0), "worse": all_but(30)})
    assert pair.p == pytest.approx(1 / PERMUTATIONS)


def test_p_is_that_of_all_permutations_of_few_groups() -> None:
    """Compared with all 2^6 permutations, by macro F1, which isn't a mean over rows."""
    rng = np.random.default_rng(3)
    groups = [str(row % 6) for row in range(len(GOLD))]
    answers = {name: [str(rng.choice([gold, "Exact"])) for gold in GOLD] for name in ("one", "other")}
    (pair,) = compared(dict(answers), groups, "macro_f1")
    metric = load_metric("classification")

    def gap(swapped: Sequence[bool]) -> float:
        sides = [answers["one"], answers["other"]]
        ours = [sides[swapped[int(group)]][row] for row, group in enumerate(groups)]
        theirs = [sides[not swapped[int(group)]][row] for row, group in enumerate(groups)]
        scores = [metric.score(list(side), GOLD, groups, Resampling(resamples=1))["macro_f1"] for side in (ours, theirs)]
        return abs(scores[0] - scores[1])

    gaps = [gap(swapped) for swapped in itertools.product([False, True], repeat=6)]
    assert pair.p == pytest.approx(np.mean(np.array(gaps) >= gaps[0] - 1e-3), abs=0.03)


def test_both_systems_are_resampled_together() -> None:
    """Unpaired, the 95% interval of two systems of about 0.5 on 60 rows would be 0.36 wide."""
    half = [gold if row % 2 else None for row, gold in enumerate(GOLD)]
    (pair,) = compared({"one": [GOLD[0], *half[1:]], "other": half})
    assert pair.difference == pytest.approx(1 / 60, abs=1e-4)
    assert pair.ci[0] == 0 and pair.ci[1] < 0.07


def test_all_pairs_of_a_task_are_corrected_together() -> None:
    found = compared({"a": all_but(0), "b": all_but(9), "c": all_but(10)})
    assert [(pair.first, pair.second) for pair in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [pair.p_holm for pair in found] == pytest.approx(holm([pair.p for pair in found]), abs=1e-3)
    assert found[1].p_holm == pytest.approx(3 * found[1].p, abs=1e-3)


def test_holms_correction_by_a_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_a_correction_keeps_the_order_and_is_a_probability(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(before <= after <= 1 for before, after in zip(p_values, corrected, strict=True))
    assert [corrected[i] for i in np.argsort(p_values, kind="stable")] == sorted(corrected)


def test_the_same_seed_gives_the_same_pairs() -> None:
    answers: dict[str, Sequence[str | None]] = {"a": all_but(4), "b": all_but(9)}
    assert compared(answers) == compared(answers)
    assert compared(answers, seed=8) != compared(answers)


def predictions(system: str, wrong: int, rows: int = 60) -> list[Prediction]:
    return [
        Prediction(
            id=f"relevance-test-{row:06d}",
            task="relevance",
            system=system,
            answer="Exact",
            parsed=None if row < wrong else gold,
            valid=row >= wrong,
            reference=gold,
            group=f"q{row}",
        )
        for row, gold in enumerate(GOLD[:rows])
    ]


@pytest.fixture
def params() -> Params:
    """The demo's, with three systems for relevance alone."""
    demo = load_params(REPOSITORY / "profiles" / "demo.yaml")
    systems = {name: demo.systems[name].model_copy(update={"tasks": ("relevance",)}) for name in ("single", "mixed", "floor")}
    return demo.model_copy(update={"systems": systems, "tasks": {"relevance": demo.tasks["relevance"]}})


def test_systems_are_compared_by_their_predictions_and_in_words(params: Params, workplace: Path) -> None:
    for system, wrong in (("single", 2), ("mixed", 3), ("floor", 30)):
        write_records(PREDICTIONS / system / "relevance.jsonl", predictions(system, wrong))
    found = compare_systems(params, read_answers(params))
    assert [(pair.first, pair.second) for pair in found["relevance"]] == [
        ("single", "mixed"),
        ("single", "floor"),
        ("mixed", "floor"),
    ]
    better, level = sentences(found, 0.95)
    assert better.startswith("relevance: single is significantly better than floor (+0.") and better.endswith(", p 0.0003)")
    assert level.startswith("relevance: single is not significantly better than mixed (+0.")


@pytest.mark.parametrize("rows", [59, 1])
def test_systems_that_answered_other_rows_are_not_compared(params: Params, workplace: Path, rows: int) -> None:
    for system in ("single", "mixed", "floor"):
        write_records(PREDICTIONS / system / "relevance.jsonl", predictions(system, 2, rows if system == "mixed" else 60))
    with pytest.raises(UserError, match=r"mixed/relevance.jsonl answers other rows than single does, .*; run dvc repro"):
        compare_systems(params, read_answers(params))


@pytest.mark.parametrize("systems", [[], ["single"]])
def test_a_task_of_fewer_than_two_systems_has_no_pairs(params: Params, workplace: Path, systems: list[str]) -> None:
    few = params.model_copy(update={"systems": {name: params.systems[name] for name in systems}})
    for system in systems:
        write_records(PREDICTIONS / system / "relevance.jsonl", predictions(system, 2))
    assert compare_systems(few, read_answers(few)) == {"relevance": []} and sentences({"relevance": []}, 0.95) == []

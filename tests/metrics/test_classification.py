"""F1 weighted by support, of one label, and of each label; hundreds of labels within little memory."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_recall_fscore_support

from ecomtune.checks.parameters import load_params
from ecomtune.core.definitions import read_definition
from ecomtune.core.records import Prediction, write_records
from ecomtune.metrics.bootstrap import Resampling, group_sums, resample
from ecomtune.metrics.paired import AnsweredRows, compare_pairs
from ecomtune.metrics.registry import load_metric
from ecomtune.report.outcomes import answer_scores
from ecomtune.report.pairs import compare_answers
from ecomtune.stages.score import main as score_stage
from ecomtune.tasks.registry import task_from
from tests.support.scratch_clone import REPOSITORY
from tests.support.tasks import mark_answered

#: Gold and answer of each row; None: an invalid answer.
ROWS = st.lists(
    st.tuples(st.sampled_from(["Match", "Mach", "no match", "靴"]), st.none() | st.sampled_from(["Match", "no match", "靴"])),
    min_size=1,
    max_size=25,
)
Rows = list[tuple[str, str | None]]
INVALID = "\0invalid"


def sides(rows: Rows) -> tuple[list[str], list[str | None], list[str], list[str]]:
    """Gold, answers, answers as scikit-learn takes them, and the labels that occur."""
    gold, answers = [each for each, _ in rows], [answer for _, answer in rows]
    shown = [INVALID if answer is None else answer for answer in answers]
    return gold, answers, shown, sorted({*gold, *shown} - {INVALID})


def score(rows: Rows, groups: list[str] | None = None, seed: int = 0, **options: Any) -> dict[str, Any]:
    gold, answers, _, _ = sides(rows)
    own = groups or [str(row) for row in range(len(rows))]
    return load_metric("classification", **options).score(list(answers), gold, own, Resampling(100, seed=seed))


@settings(deadline=None, max_examples=60)
@given(rows=ROWS)
@example(rows=[("Match", None)])
@example(rows=[("Match", "no match"), ("Match", "Match"), ("no match", "no match")])
def test_weighted_f1_is_that_of_scikit_learn(rows: Rows) -> None:
    gold, _, shown, labels = sides(rows)
    expected = f1_score(gold, shown, labels=labels, average="weighted", zero_division=0)
    assert score(rows)["weighted_f1"] == pytest.approx(expected, abs=5e-5)


@settings(deadline=None, max_examples=60)
@given(rows=ROWS)
@example(rows=[("Match", None)])
@example(rows=[("Mach", "Match")])
def test_the_values_of_each_label_are_those_of_scikit_learn(rows: Rows) -> None:
    gold, _, shown, labels = sides(rows)
    columns = precision_recall_fscore_support(gold, shown, labels=labels, zero_division=0)
    expected = {
        label: {"precision": p, "recall": r, "f1": f1, "support": n}
        for label, p, r, f1, n in zip(labels, *columns, strict=True)
    }
    found = score(rows)["classes"]
    assert list(found) == labels
    for label in labels:
        assert found[label] == pytest.approx(expected[label], abs=5e-5)
        assert type(found[label]["support"]) is int


@settings(deadline=None, max_examples=60)
@given(rows=ROWS, label=st.sampled_from(["Match", "no match", "靴", "absent", "A"]))
@example(rows=[("Mach", "no match")], label="Match")
def test_f1_of_one_label_is_a_value_and_changes_no_other(rows: Rows, label: str) -> None:
    found, plain = score(rows, f1_of=label), score(rows)
    zero = {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    own = {name: value for name, value in plain["classes"].get(label, zero).items() if name != "support"}
    added = {name: found.pop(name) for name in list(found) if name not in plain}
    assert {name: value for name, value in added.items() if not name.endswith("_ci")} == own
    assert added.keys() == {*own, *(f"{name}_ci" for name in own)}
    classes = found.pop("classes")
    assert (classes, list(classes)) == (plain["classes"], list(plain.pop("classes")))
    assert found.keys() == plain.keys() and all(found[name] == pytest.approx(plain[name], abs=1e-4) for name in plain)


def test_without_the_option_no_label_is_singled_out() -> None:
    assert not {"f1", "precision", "recall"} & score([("Match", "Match")]).keys()


def test_f1_of_one_label_has_the_interval_of_its_resampled_groups() -> None:
    rng = np.random.default_rng(4)
    gold = ["Match" if hit else "no match" for hit in rng.random(80) < 0.3]
    answers = [each if rng.random() < 0.7 else "Match" for each in gold]
    groups = [f"{row % 20:02}" for row in range(80)]
    found = score(list(zip(gold, answers, strict=True)), groups, seed=9, f1_of="Match")
    drawn = np.random.default_rng(9).multinomial(20, np.full(20, 1 / 20), size=100)
    weights = [[times[int(group)] for group in groups] for times in drawn]
    values = {
        "f1": [f1_score(gold, answers, pos_label="Match", sample_weight=each) for each in weights],
        "macro_f1": [f1_score(gold, answers, average="macro", sample_weight=each) for each in weights],
        "weighted_f1": [f1_score(gold, answers, average="weighted", sample_weight=each) for each in weights],
    }
    for name, resampled in values.items():
        assert found[f"{name}_ci"] == pytest.approx(list(np.quantile(resampled, [0.025, 0.975])), abs=5.1e-5)


def test_two_systems_are_compared_by_f1_of_one_label() -> None:
    gold = ["Match", "no match"] * 20
    finds, misses = list(gold), ["no match"] * 40
    rows = AnsweredRows({"misses": misses, "finds": finds}, gold, [str(row) for row in range(40)])
    (pair,) = compare_pairs(load_metric("classification", f1_of="Match"), "f1", rows, Resampling(100))
    assert (pair.first, pair.difference) == ("finds", 1.0) and pair.p < 0.01


def predictions(system: str, answers: list[str], gold: list[str]) -> list[Prediction]:
    return [
        Prediction(
            id=str(row), task="relevance", system=system, answer=own, parsed=own, valid=True, reference=right, group=str(row)
        )
        for row, (own, right) in enumerate(zip(answers, gold, strict=True))
    ]


def test_what_scores_and_compares_systems_makes_the_metric_with_the_tasks_options(workplace: Path) -> None:
    definition = workplace / "tasks/relevance.yaml"
    definition.write_text(definition.read_text().replace("metric: macro_f1", "f1_of: Substitute"))
    task = task_from("relevance", read_definition("relevance"))
    gold = ["Exact", "Substitute"] * 10
    answers = {"finds": predictions("finds", gold, gold), "misses": predictions("misses", ["Exact"] * 20, gold)}
    params = load_params(REPOSITORY / "profiles/demo.yaml")
    (pair,) = compare_answers(task, answers, params.score, 0)
    assert (pair.first, pair.difference) == ("finds", 1.0)
    assert answer_scores(task, answers["misses"][1:2]) == [0.0]
    system = params.systems["single"].model_copy(update={"tasks": ("relevance",)})
    write_records(workplace / "data/predictions/misses/relevance.jsonl", answers["misses"])
    (workplace / "data/predictions/misses/costs.json").write_text('{"relevance": {}}')
    mark_answered("misses", "relevance")
    score_stage(params.model_copy(update={"systems": {"misses": system}}), "misses")
    found = json.loads((workplace / "metrics/misses.json").read_text())["relevance"]
    assert (found["f1"], found["f1_ci"], found["accuracy"]) == (0.0, [0.0, 0.0], 0.5)
    assert found["classes"]["Exact"] == {"f1": 0.6667, "precision": 0.5, "recall": 1.0, "support": 10}


def test_a_rows_counts_are_three_for_each_label() -> None:
    metric = load_metric("classification")
    counts: Any = metric.count(["b", None, "a"], ["a", "b", "a"])
    hits, gold, answered = [0, 0], [1, 0], [0, 1]
    assert counts.toarray().tolist() == [hits + gold + answered, [0, 0, 0, 1, 0, 0], [1, 0, 1, 0, 1, 0]]
    values = metric.row_values(["b", None, "a"], ["a", "b", "a"])
    assert values["accuracy"].tolist() == values["micro_f1"].tolist() == values["macro_f1"].tolist() == [0, 0, 1]


def test_five_hundred_labels_of_twenty_thousand_rows_take_little_memory() -> None:
    """Dense counts of one system would take 240 megabytes, a confusion matrix of each row 40 gigabytes."""
    rng = np.random.default_rng(0)
    gold = [f"label {place}" for place in rng.integers(500, size=20_000)]
    answers = [each if row % 2 else "label 0" for row, each in enumerate(gold)]
    metric, groups = load_metric("classification"), [str(row) for row in range(20_000)]
    tracemalloc.start()
    found = metric.score(list(answers), gold, groups, Resampling(100))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 150_000_000
    assert len(found["classes"]) == 500 and 0.5 < found["accuracy"] < 0.51
    assert found["accuracy_ci"][0] < found["accuracy"] < found["accuracy_ci"][1]


def test_sparse_counts_are_summed_and_resampled_like_dense_ones() -> None:
    rng = np.random.default_rng(1)
    labels = list("abcdefghijkl")
    gold, answers = ([labels[place] for place in rng.integers(12, size=90)] for _ in range(2))
    groups = [f"q{place}" for place in rng.integers(30, size=90)]
    metric = load_metric("classification")
    counts: Any = metric.count(list(answers), gold)
    sparse: Any
    sparse, dense = group_sums(counts, groups), group_sums(counts.toarray(), groups)
    assert (sparse.toarray() == dense).all()
    once, other = resample(sparse, 1500, 3), resample(dense, 1500, 3)
    assert (once == other).all() and once.flags.c_contiguous
    for name, values in metric.values(once).items():
        assert (values == metric.values(other)[name]).all(), name

"""Metrics agree with scikit-learn, seqeval and rouge_score; invalid answers count as wrong; intervals resample groups."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
import warnings
from collections.abc import Iterator
from typing import Any

import evaluate
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from seqeval.metrics import f1_score as seqeval_f1
from seqeval.metrics import precision_score as seqeval_precision
from seqeval.metrics import recall_score as seqeval_recall
from seqeval.scheme import IOB2
from sklearn.metrics import accuracy_score, f1_score

from ecomtune.core.records import Reference
from ecomtune.messages.errors import UserError
from ecomtune.metrics.bootstrap import Resampling, group_sums, intervals, resample
from ecomtune.metrics.evaluate_metric import load_evaluate_metric
from ecomtune.metrics.registry import load_metric
from tests.support.tasks import load_task

CLASSIFICATION = load_metric("classification")
ENTITIES = load_metric("entities")
ROUGE = load_metric("rouge")
Answers = list[Reference | None]
LABELS = ["Exact", "Substitute", "Complement", "Irrelevant"]
LABEL_PAIRS = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=20)
SOME_INVALID = st.lists(st.tuples(st.sampled_from(LABELS), st.none() | st.sampled_from(LABELS)), min_size=1, max_size=20)
TAGS = st.sampled_from(["O", "B-color", "I-color", "B-price", "I-price"])
#: Tag sequences of gold and answer, of equal length, in valid IOB2 or not.
TAG_PAIRS = st.lists(st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=6), min_size=1, max_size=6)
WORDS = st.lists(st.sampled_from(["good", "lid", "lids", "the", "leaks.", "leaking", "cup!", "cup,", "größe"]), max_size=8).map(
    " ".join
)


def score(metric: Any, answers: Answers, gold: list[Any], groups: list[str] | None = None, **options: Any) -> dict[str, Any]:
    """The scores with few resamples; each row is a group of its own unless groups are given."""
    groups = groups or [str(number) for number in range(len(gold))]
    found: dict[str, Any] = metric.score(answers, gold, groups, Resampling(**{"resamples": 100, **options}))
    return found


@settings(deadline=None, max_examples=60)
@given(pairs=LABEL_PAIRS)
@example(pairs=[("Exact", "Substitute")])
@example(pairs=[("Exact", "Exact")])
def test_valid_labels_score_as_in_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    gold, answers = (list(side) for side in zip(*pairs, strict=True))
    found = score(CLASSIFICATION, answers, gold)
    assert found["accuracy"] == pytest.approx(accuracy_score(gold, answers), abs=5e-5)
    assert found["macro_f1"] == pytest.approx(f1_score(gold, answers, average="macro", zero_division=0), abs=5e-5)
    assert found["micro_f1"] == pytest.approx(f1_score(gold, answers, average="micro"), abs=5e-5)


@settings(deadline=None, max_examples=60)
@given(pairs=SOME_INVALID)
@example(pairs=[("Exact", None)])
@example(pairs=[("Exact", None), ("Exact", "Exact"), ("Substitute", "Exact")])
def test_invalid_labels_score_as_a_label_outside_the_classes_in_scikit_learn(pairs: list[tuple[str, str | None]]) -> None:
    gold = [label for label, _ in pairs]
    answers = [answer for _, answer in pairs]
    labels = ["invalid" if answer is None else answer for answer in answers]
    classes = sorted({*gold, *labels} - {"invalid"})
    found = score(CLASSIFICATION, list(answers), gold)
    expected = {name: f1_score(gold, labels, labels=classes, average=name, zero_division=0) for name in ("macro", "micro")}
    assert found["accuracy"] == pytest.approx(accuracy_score(gold, labels), abs=5e-5)
    assert found["macro_f1"] == pytest.approx(expected["macro"], abs=5e-5)
    assert found["micro_f1"] == pytest.approx(expected["micro"], abs=5e-5)
    assert found["invalid"] == labels.count("invalid")
    assert found["n"] == len(pairs)


@settings(deadline=None, max_examples=60)
@given(rows=TAG_PAIRS)
@example(rows=[[("B-color", "B-color"), ("I-price", "I-color")]])
@example(rows=[[("I-color", "O"), ("B-color", "B-color"), ("B-color", "I-color")]])
def test_entities_score_as_in_seqeval_strict(rows: list[list[tuple[str, str]]]) -> None:
    gold = [[tag for tag, _ in row] for row in rows]
    answers = [[tag for _, tag in row] for row in rows]
    found = score(ENTITIES, list(answers), gold)
    strict = {"mode": "strict", "scheme": IOB2, "average": "micro", "zero_division": 0}
    assert found["precision"] == pytest.approx(seqeval_precision(gold, answers, **strict), abs=5e-5)
    assert found["recall"] == pytest.approx(seqeval_recall(gold, answers, **strict), abs=5e-5)
    assert found["f1"] == pytest.approx(seqeval_f1(gold, answers, **strict), abs=5e-5)


@settings(deadline=None, max_examples=30)
@given(rows=TAG_PAIRS)
def test_f1_without_types_is_that_of_seqeval_with_a_single_type(rows: list[list[tuple[str, str]]]) -> None:
    valid = [[(a.replace("I-", "B-"), b.replace("I-", "B-")) for a, b in row] for row in rows]
    gold, answers = ([[pair[side] for pair in row] for row in valid] for side in (0, 1))
    one = [[[tag.replace("price", "color") for tag in row] for row in side] for side in (gold, answers)]
    expected = seqeval_f1(*one, mode="strict", scheme=IOB2, zero_division=0)
    assert score(ENTITIES, list(answers), gold)["f1_untyped"] == pytest.approx(expected, abs=5e-5)


def test_an_entity_is_right_if_its_words_and_type_are_exactly_those_of_gold() -> None:
    gold = [["B-color", "I-color", "O", "B-price"]]
    right = {"f1": 1.0, "f1_untyped": 1.0}
    other_type = {"f1": 0.5, "f1_untyped": 1.0}
    other_words = {"f1": 0.5, "f1_untyped": 0.5}
    for answer, expected in [
        (["B-color", "I-color", "O", "B-price"], right),
        (["B-color", "I-color", "O", "B-color"], other_type),
        (["B-color", "O", "O", "B-price"], other_words),
        (["B-color", "I-color", "I-color", "B-price"], other_words),
    ]:
        found = score(ENTITIES, [answer], gold)
        assert {name: found[name] for name in expected} == expected


def test_no_entities_at_all_score_zero_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = score(ENTITIES, [["O", "O"], None], [["O", "O"], ["O"]])
    assert [found[name] for name in ("precision", "recall", "f1", "f1_untyped")] == [0, 0, 0, 0]
    assert found["f1_ci"] == [0, 0]


def test_a_row_without_entities_in_gold_and_answer_adds_nothing() -> None:
    gold: list[Any] = [["B-color", "O"], ["O", "B-price"]]
    answers: Answers = [["B-color", "O"], ["O", "O"]]
    alone = score(ENTITIES, answers, gold)
    more = score(ENTITIES, [*answers, ["O", "O"]], [*gold, ["O", "O"]])
    assert [alone[name] for name in ("precision", "recall", "f1")] == [more[name] for name in ("precision", "recall", "f1")]
    assert (more["n"], more["groups"]) == (3, 3)


@settings(deadline=None, max_examples=40)
@given(rows=st.lists(st.tuples(WORDS, st.lists(WORDS.filter(bool), min_size=1, max_size=3)), min_size=1, max_size=4))
def test_rouge_is_the_mean_of_rouge_scores_best_f_measure_with_the_stemmer(rows: list[tuple[str, list[str]]]) -> None:
    found = score(ROUGE, [[answer] for answer, _ in rows], [references for _, references in rows])
    for name in ("rouge1", "rouge2", "rougeL"):
        scorer = RougeScorer([name], use_stemmer=True)
        best = [max(scorer.score(text, answer)[name].fmeasure for text in references) for answer, references in rows]
        assert found[name] == pytest.approx(np.mean(best), abs=5e-5)


def test_rouge_lsum_compares_sentence_by_sentence() -> None:
    gold, answer = "The lid leaks. The handle is good.", "The handle is good. The lid leaks."
    expected = RougeScorer(["rougeLsum"], use_stemmer=True).score(gold.replace(". ", ".\n"), answer.replace(". ", ".\n"))
    found = score(ROUGE, [[answer]], [[gold]])
    assert found["rougeLsum"] == pytest.approx(expected["rougeLsum"].fmeasure, abs=5e-5) == 1
    assert found["rougeL"] < 1


def test_the_best_reference_is_chosen_for_each_kind_of_rouge_by_itself() -> None:
    references = ["a b c d", "d c b a e"]
    both = score(ROUGE, [["d c b a"]], [references])
    each = [score(ROUGE, [["d c b a"]], [[text]]) for text in references]
    assert both["rouge1"] == each[0]["rouge1"] > each[1]["rouge1"]
    assert both["rougeL"] == each[1]["rougeL"] > each[0]["rougeL"]


@pytest.mark.parametrize("answer", [["leaking lids"], "leaking lids"])
@pytest.mark.parametrize("gold", [["lid leaks"], "lid leaks"])
def test_a_text_may_be_a_string_or_a_list_and_is_stemmed(answer: Reference, gold: Reference) -> None:
    found = score(ROUGE, [answer], [gold])
    assert found["rouge1"] == 1
    assert found["rouge2"] == 0


@pytest.mark.parametrize(
    ("metric", "gold", "right", "main"),
    [
        (CLASSIFICATION, ["Exact", "Substitute"], ["Exact", "Substitute"], "accuracy"),
        (ENTITIES, [["B-color"], ["B-price"]], [["B-color"], ["B-price"]], "recall"),
        (ROUGE, [["a cup"], ["a lid"]], [["a cup"], ["a lid"]], "rougeL"),
    ],
)
def test_an_invalid_answer_is_wrong_and_stays_in_n(metric: Any, gold: list[Any], right: Answers, main: str) -> None:
    both = score(metric, right, gold)
    half = score(metric, [right[0], None], gold)
    none = score(metric, [None, None], gold)
    assert [found[main] for found in (both, half, none)] == [1, 0.5, 0]
    assert [(found["n"], found["invalid"]) for found in (both, half, none)] == [(2, 0), (2, 1), (2, 2)]


@pytest.mark.parametrize("name", ["relevance", "ner", "summarization", "description"])
def test_the_main_metric_of_every_task_is_a_value_of_its_metric(name: str) -> None:
    task = load_task(name)
    gold: dict[str, list[Any]] = {"label": ["Exact"], "tags": [["O"]], "text": [["a"]]}
    found = score(load_metric(task.metric), gold[task.decoder], gold[task.decoder])
    assert {task.main_metric, f"{task.main_metric}_ci", "n", "groups", "invalid"} <= set(found)


@pytest.mark.parametrize("name", ["nothing", "bootstrap", "counted", ""])
def test_an_unknown_metric_is_refused_by_name(name: str) -> None:
    with pytest.raises(UserError, match=f"^no metric called '{name}'; each is a module src/ecomtune/metrics/NAME.py$"):
        load_metric(name)


@pytest.mark.parametrize("answer", [None, ["shoes"]])
def test_without_a_reference_no_answer_is_right(answer: Reference | None) -> None:
    assert ROUGE.score([answer, ["shoes"]], [[], ["shoes"]], ["a", "b"])["rouge1"] == 0.5


@pytest.mark.parametrize("invalid", [None, "null"])
def test_an_evaluate_metric_computes_from_json_texts_what_score_returns(invalid: str | None) -> None:
    gold, answers, groups = [["B-color", "O"], ["B-price"]], [["B-color", "O"], None], ["a", "b"]
    predictions = [invalid if answer is None else json.dumps(answer) for answer in answers]
    references = [json.dumps(tags) for tags in gold]
    metric = load_evaluate_metric("entities")
    assert isinstance(metric, evaluate.Metric)
    found = metric.compute(predictions=predictions, references=references, groups=groups, resamples=100, seed=3)
    assert found == score(ENTITIES, list(answers), gold, groups, seed=3)


@pytest.mark.parametrize(
    ("name", "answer", "gold"), [("classification", "Exact", "Exact"), ("rouge", ["a cup"], ["a cup", "a mug"])]
)
def test_every_metric_is_there_for_evaluate(name: str, answer: Reference, gold: Reference) -> None:
    found = load_evaluate_metric(name).compute(
        predictions=[json.dumps(answer)], references=[json.dumps(gold)], groups=["a"], resamples=100
    )
    assert found == score(load_metric(name), [answer], [gold], ["a"])
    assert found["accuracy" if name == "classification" else "rouge1"] == 1


def test_an_unknown_metric_is_refused_for_evaluate_too() -> None:
    with pytest.raises(UserError, match=r"^no metric called 'nothing'"):
        load_evaluate_metric("nothing")


def numbers(value: Any) -> Iterator[Any]:
    """What lists and mappings hold."""
    inner = value.values() if isinstance(value, dict) else value
    if isinstance(inner, float | int):
        yield inner
    else:
        for each in inner:
            yield from numbers(each)


def test_every_value_is_a_plain_number_of_four_places() -> None:
    answers: Answers = ["Exact", "Exact", "Substitute"]
    found = score(CLASSIFICATION, answers, ["Exact"] * 3)
    assert found["accuracy"] == 0.6667
    assert found["macro_f1"] == 0.4
    found = score(CLASSIFICATION, [*answers, *answers, "Exact"], ["Exact"] * 7)  # bounds of sevenths
    assert found["accuracy_ci"] not in ([0.0, 1.0], [1.0, 1.0])
    flat = list(numbers(found))
    assert {type(each) for each in flat} == {float, int}
    assert all(round(each, 4) == each for each in flat)
    assert json.loads(json.dumps(found)) == found


def test_forty_copies_of_one_group_have_an_interval_of_no_width() -> None:
    """With one group to draw, every resample is the sample itself."""
    answers: Answers = ["Exact", "Substitute"] * 20
    gold = ["Exact"] * 40
    found = score(CLASSIFICATION, answers, gold, ["one query"] * 40)
    assert found["groups"] == 1
    assert found["accuracy_ci"] == [found["accuracy"]] * 2 == [0.5, 0.5]
    apart = score(CLASSIFICATION, answers, gold)
    assert apart["groups"] == 40
    assert apart["accuracy_ci"][0] < 0.5 < apart["accuracy_ci"][1]


def test_rows_of_one_group_are_drawn_together() -> None:
    """Ten copies of each row hold no more information than the rows: the interval stays as wide."""
    answers: Answers = ["Exact", "Substitute", "Exact", "Exact"]
    once = score(CLASSIFICATION, answers, ["Exact"] * 4, list("abcd"), resamples=2000)
    copies = score(CLASSIFICATION, answers * 10, ["Exact"] * 40, list("abcd") * 10, resamples=2000)
    assert copies["accuracy_ci"] == once["accuracy_ci"]
    assert copies["accuracy"] == once["accuracy"]


def test_an_interval_is_near_the_normal_one_and_narrows_with_confidence() -> None:
    answers: Answers = [*["Exact"] * 280, *["Substitute"] * 120]
    gold = ["Exact"] * 400
    wide, narrow = (score(CLASSIFICATION, answers, gold, resamples=2000, confidence=level) for level in (0.95, 0.5))
    deviation = np.sqrt(0.7 * 0.3 / 400)
    assert wide["accuracy_ci"] == pytest.approx([0.7 - 1.96 * deviation, 0.7 + 1.96 * deviation], abs=0.006)
    assert narrow["accuracy_ci"] == pytest.approx([0.7 - 0.674 * deviation, 0.7 + 0.674 * deviation], abs=0.006)


def test_intervals_depend_on_the_seed_alone() -> None:
    answers: Answers = ["Exact", "Substitute", "Irrelevant"] * 30
    gold = ["Exact", "Exact", "Irrelevant"] * 30
    first, again, other = (score(CLASSIFICATION, answers, gold, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first["macro_f1_ci"] != other["macro_f1_ci"]
    assert first["macro_f1"] == other["macro_f1"]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), rate=st.floats(0.3, 0.9))
def test_the_interval_contains_the_value(seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    gold = [LABELS[place] for place in rng.integers(4, size=200)]
    answers: Answers = [label if rng.random() < rate else LABELS[rng.integers(4)] for label in gold]
    groups = [f"q{number // 4}" for number in range(200)]
    found = score(CLASSIFICATION, answers, gold, groups, resamples=300)
    assert found["groups"] == 50
    assert all(found[f"{name}_ci"][0] <= found[name] <= found[f"{name}_ci"][1] for name in ("accuracy", "macro_f1", "micro_f1"))


def test_order_of_rows_changes_nothing() -> None:
    answers: Answers = ["Exact", None, "Substitute", "Irrelevant"] * 5
    gold = ["Exact", "Exact", "Irrelevant", "Irrelevant"] * 5
    groups = [f"q{number % 7}" for number in range(20)]
    assert score(CLASSIFICATION, answers, gold, groups) == score(CLASSIFICATION, answers[::-1], gold[::-1], groups[::-1])


def test_counts_are_summed_by_group_in_the_order_of_their_names() -> None:
    sums = group_sums(np.array([[1.0, 10], [2, 20], [4, 40]]), ["b", "a", "b"])
    assert sums.tolist() == [[2, 20], [5, 50]]


def test_one_very_long_group_name_takes_memory_once() -> None:
    """In a NumPy array of strings every item would have its size."""
    groups = ["x" * 1_000_000, *map(str, range(999))]
    tracemalloc.start()
    sums = group_sums(np.ones((1000, 1)), groups)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sums.shape == (1000, 1) and most < 10_000_000


def test_a_resample_draws_as_many_groups_as_there_are() -> None:
    totals = resample(np.array([[1.0, 0], [1, 1], [1, 5]]), 500, 7)
    assert totals.shape == (500, 2)
    assert set(totals[:, 0]) == {3.0}
    assert totals[:, 1].mean() == pytest.approx(6, abs=0.5)


def test_resamples_drawn_in_chunks_are_those_drawn_at_once() -> None:
    sums = np.array([[1.0], [2], [4]])
    once = np.random.default_rng(7).multinomial(3, np.full(3, 1 / 3), size=2500) @ sums
    assert (resample(sums, 2500, 7) == once).all()


def test_intervals_are_percentiles_of_the_resampled_values() -> None:
    counts = np.array([[float(number)] for number in range(9)])
    groups = [str(number) for number in range(9)]
    found = intervals(counts, groups, lambda sums: {"sum": sums[..., 0]}, Resampling(400, 0.9, 5))
    drawn = resample(counts, 400, 5)[:, 0]
    assert found["sum"] == pytest.approx((np.quantile(drawn, 0.05), np.quantile(drawn, 0.95)))


def test_scoring_imports_neither_evaluate_nor_what_evaluate_imports() -> None:
    code = (
        "import sys, ecomtune.metrics.paired, ecomtune.stages.score\n"
        "from ecomtune.metrics.registry import load_metric\n"
        "for name in ('classification', 'entities', 'rouge'):\n"
        "    load_metric(name)\n"
        "slow = {'evaluate', 'datasets', 'torch', 'transformers'} & sys.modules.keys()\n"
        "assert not slow, f'scoring a system would wait for {slow}'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

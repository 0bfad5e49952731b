"""F1 of pairs of type and text: how they are counted, and how they get from rows into predictions and scores."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecomtune.checks.parameters import load_params
from ecomtune.core.config.params import Params
from ecomtune.core.records import EntityPair, Example, Prediction, dump_line, write_records
from ecomtune.messages.errors import UserError
from ecomtune.metrics.bootstrap import Resampling
from ecomtune.metrics.graded import Graded, Tagged, graded
from ecomtune.metrics.paired import AnsweredRows, compare_pairs
from ecomtune.metrics.registry import load_metric
from ecomtune.report.outcomes import answer_scores
from ecomtune.report.pairs import compare_answers
from ecomtune.stages.predict import make_predictions
from ecomtune.stages.score import main as score_stage
from ecomtune.tasks import ner
from tests.support.readers import mirrored
from tests.support.scratch_clone import REPOSITORY
from tests.support.tasks import load_task, mark_answered

Pairs = list[EntityPair]
ENTITIES = load_metric("entities")
PAIRS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["red", "Red", "blue"])), max_size=5)
VALUES = ("pairs_precision", "pairs_recall", "pairs_f1")


def score(rows: Sequence[tuple[Pairs | None, Pairs]]) -> dict[str, Any]:
    """The scores of these pairs of answer (None: invalid) and gold, each row without tags and a group of its own."""
    answers = [None if answer is None else Tagged([], answer) for answer, _ in rows]
    groups = [str(row) for row in range(len(rows))]
    return ENTITIES.score(answers, [Tagged([], gold) for _, gold in rows], groups, Resampling(100))


def values(*rows: tuple[Pairs | None, Pairs]) -> list[float]:
    found = score(rows)
    return [found[name] for name in VALUES]


@pytest.mark.parametrize(
    ("answer", "gold", "expected"),
    [
        ([("color", "red")], [("color", "red")], (1, 1)),
        ([("color", "Red")], [("color", "red")], (0, 0)),  # to the letter
        ([("size", "red")], [("color", "red")], (0, 0)),
        ([("color", "red"), ("size", "5")], [("color", "red")], (0.5, 1)),
        ([("color", "red")], [("color", "red"), ("size", "5")], (1, 0.5)),
        ([("color", "red"), ("color", "blue")], [("color", "red")], (1, 1)),  # of several values the first
        ([("color", "blue"), ("color", "red")], [("color", "red")], (0, 0)),
        ([("color", "blue")], [("color", "red"), ("color", "blue")], (1, 1)),  # any of gold's values
        ([("color", "red"), ("color", "red")], [("color", "red"), ("color", "red")], (1, 1)),
        ([("color", "red")], [], (0, 0)),
        ([], [("color", "red")], (0, 0)),
        (None, [("color", "red")], (0, 0)),
    ],
)
def test_a_row_has_one_value_of_each_type(answer: Pairs | None, gold: Pairs, expected: tuple[float, float]) -> None:
    right = [("brand", "acme")]
    assert values((answer, gold))[:2] == list(expected)
    precision, recall, f1 = values((answer, gold), (right, right), ([], []))
    assert (f1 == 1) == (answer is not None and expected == (1, 1))
    assert f1 == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-4)


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(st.tuples(st.none() | PAIRS, PAIRS), min_size=1, max_size=6))
def test_pairs_score_like_attributes_counted_one_by_one(rows: list[tuple[Pairs | None, Pairs]]) -> None:
    hits = answered = expected = 0
    for answer, gold in rows:
        for kind in "abc":
            given = [text for own, text in answer or [] if own == kind][:1]
            right = {text for own, text in gold if own == kind}
            hits += bool(right & set(given))
            answered += bool(given)
            expected += bool(right)
    precision = hits / answered if answered else 0
    recall = hits / expected if expected else 0
    f1 = 2 * precision * recall / (precision + recall) if hits else 0
    assert values(*rows) == pytest.approx([precision, recall, f1], abs=5e-5)


def test_each_value_of_pairs_has_its_interval_and_a_paired_test() -> None:
    rows: list[tuple[Pairs | None, Pairs]] = [([("a", "red" if row % 3 else "blue")], [("a", "red")]) for row in range(30)]
    found = score(rows)
    for name in VALUES:
        assert found[f"{name}_ci"][0] < found[name] == 0.6667 < found[f"{name}_ci"][1]
    gold = [Tagged([], own) for _, own in rows]
    answers: dict[str, Sequence[Graded | None]] = {"some": [Tagged([], own or []) for own, _ in rows], "none": [None] * 30}
    (pair,) = compare_pairs(ENTITIES, "pairs_f1", AnsweredRows(answers, gold, [str(row) for row in range(30)]), Resampling(100))
    assert (pair.first, pair.difference) == ("some", 0.6667) and pair.p < 0.01


def test_tags_are_scored_with_and_without_pairs_alike() -> None:
    gold, answers = [["B-a", "I-a"], ["B-b", "O"]], [["B-a", "I-a"], ["B-a", "O"]]
    plain = ENTITIES.score(answers, gold, ["1", "2"], Resampling(100))
    tagged = ENTITIES.score(
        [Tagged(tags, []) for tags in answers], [Tagged(tags, [("a", "x")]) for tags in gold], ["1", "2"], Resampling(100)
    )
    assert not any(name.startswith("pairs_") for name in plain) and plain["f1"] == 0.5
    assert {name: value for name, value in tagged.items() if not name.startswith("pairs_")} == plain
    mixed = ENTITIES.score([None, None], [gold[0], Tagged(gold[1], [])], ["1", "2"], Resampling(100))
    assert mixed.keys() == plain.keys()


def example(number: int, words: list[str], tags: list[str], pairs: Pairs | None = None) -> Example:
    fields: dict[str, str | list[str]] = {"category": "mugs", "words": words}
    return Example(
        id=str(number),
        task="ner",
        prompt="",
        target="",
        reference=tags,
        fields=fields,
        group=str(number),
        source="shop",
        pairs=pairs,
    )


WORDS, TAGS = ["acme", "dark", "red"], ["B-creator", "B-color", "I-color"]
RIGHT = "acme brand\ndark color\nred +"
GOLD = [("creator", "acme"), ("color", "dark red")]


def predicted(*answers: str, pairs: Pairs | None = None, system: str = "s") -> list[Prediction]:
    examples = [example(number, WORDS, TAGS, pairs) for number in range(len(answers))]
    return make_predictions(system, load_task("ner"), examples, answers)


def test_the_pairs_of_a_prediction_follow_from_words_and_tags() -> None:
    right, other, invalid = predicted(RIGHT, "acme none\ndark color\nred color", "acme")
    assert (right.pairs, right.gold_pairs) == (GOLD, GOLD)
    assert (other.pairs, other.gold_pairs) == ([("color", "dark"), ("color", "red")], GOLD)
    assert (invalid.parsed, invalid.pairs, invalid.gold_pairs) == (None, None, GOLD)


def test_gold_pairs_that_a_row_has_itself_take_the_place_of_those_of_its_tags() -> None:
    own = [("color", "dark  red"), ("origin", "cme")]
    (found,) = predicted(RIGHT, pairs=own)
    assert (found.pairs, found.gold_pairs) == (GOLD, own)
    (found,) = predicted(RIGHT, pairs=[])
    assert (found.pairs, found.gold_pairs) == (GOLD, [])


def test_pairs_that_were_recorded_as_such_are_those_of_the_answer() -> None:
    recorded, invalid = predicted('[["color", "dark red"], ["origin", "x"]]', '[["color"]]')
    assert (recorded.pairs, recorded.gold_pairs) == ([("color", "dark red"), ("origin", "x")], GOLD)
    assert invalid.pairs is None


def test_a_prediction_of_another_task_has_no_pairs() -> None:
    fields: dict[str, str | list[str]] = {"query": "mug", "title": "cup"}
    row = example(0, [], []).model_copy(update={"task": "relevance", "fields": fields, "reference": "Exact"})
    (found,) = make_predictions("s", load_task("relevance"), [row], ["Exact"])
    assert (found.pairs, found.gold_pairs) == (None, None) and "pairs" not in dump_line(found)
    assert graded(found) == ("Exact", "Exact")


@pytest.mark.parametrize(("text", "is_right"), [("Cotton / Linen", True), ("Cotton Linen", False), ("cotton/linen", False)])
def test_blanks_beside_punctuation_do_not_matter_and_all_else_does(text: str, is_right: bool) -> None:
    answer, gold = Tagged(["O"], [("material", text)]), Tagged(["O"], [("material", "Cotton/Linen")])
    assert ENTITIES.values(ENTITIES.count([answer], [gold]).sum(axis=0))["pairs_f1"] == float(is_right)


def test_a_metric_is_given_tags_and_pairs_of_both_sides() -> None:
    right, invalid = predicted(RIGHT, "acme", pairs=[("color", "dark")])
    assert graded(right) == (Tagged(TAGS, GOLD), Tagged(TAGS, [("color", "dark")]))
    assert graded(invalid) == (None, Tagged(TAGS, [("color", "dark")]))
    old = right.model_copy(update={"pairs": None, "gold_pairs": None})
    assert graded(old) == (TAGS, TAGS)


@pytest.fixture
def params() -> Params:
    demo = load_params(REPOSITORY / "profiles/demo.yaml")
    systems = {"single": demo.systems["single"].model_copy(update={"tasks": ("ner",)})}
    return demo.model_copy(update={"systems": systems})


def test_scores_hold_the_values_of_pairs_next_to_those_of_tags(params: Params, workplace: Path) -> None:
    answers = predicted(RIGHT, "acme", pairs=[*GOLD, ("origin", "x")], system="single")
    write_records(workplace / "data/predictions/single/ner.jsonl", answers)
    (workplace / "data/predictions/single/costs.json").write_text('{"ner": {}}')
    mark_answered("single", "ner")
    score_stage(params, "single")
    found = json.loads((workplace / "metrics/single.json").read_text())["ner"]
    assert [found[name] for name in VALUES] == [1.0, 0.3333, 0.5] and (found["recall"], found["invalid"]) == (0.5, 1)


def test_systems_are_compared_and_rows_scored_by_pairs(monkeypatch: pytest.MonkeyPatch, params: Params) -> None:
    monkeypatch.setattr(ner.Ner, "main_metric", "pairs_f1")
    wrong = "acme none\ndark color\nred none"
    answers = {name: predicted(*[answer] * 12, pairs=GOLD[:1]) for name, answer in (("wrong", wrong), ("right", RIGHT))}
    (pair,) = compare_answers(load_task("ner"), answers, params.score, 0)
    assert (pair.first, pair.difference) == ("right", 0.6667)  # the color is no gold pair of these rows
    assert answer_scores(load_task("ner"), answers["wrong"][:1]) == [0.0]


def test_systems_with_other_gold_pairs_are_not_compared(params: Params) -> None:
    answers = {"a": predicted(RIGHT, pairs=GOLD), "b": predicted(RIGHT, pairs=GOLD[:1])}
    with pytest.raises(UserError, match=r"b/ner.jsonl answers other rows than a does"):
        compare_answers(load_task("ner"), answers, params.score, 0)


def recorded(file: Path, gold: Path) -> Iterator[tuple[Pairs | None, Pairs]]:
    """The pairs of a large model's recorded answers and of gold; n/a is no value."""
    answers = {each["input"]: each["pred"] for each in json.loads(gzip.decompress(file.read_bytes()))["examples"]}
    for line in gold.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        try:
            answer = json.loads(answers[row["input"]])
            own = [(kind, text) for kind, text in answer.items() if text not in ("n/a", None)]
        except json.JSONDecodeError:
            own = None
        yield own, [(kind, text) for kind, texts in row["target_scores"].items() for text in texts if text != "n/a"]


@pytest.mark.mirror
@pytest.mark.parametrize(
    ("model", "expected"), [("schema_ae_110k_gpt_4", [0.662, 0.841, 0.741]), ("list-ae-110k", [0.548, 0.781, 0.644])]
)
def test_recorded_answers_to_real_titles_score_as_computed_without_this_metric(
    tmp_path: Path, model: str, expected: list[float]
) -> None:
    folder = mirrored("ae-110k", tmp_path)
    (file,) = folder.glob(f"{model}*.gz")
    assert values(*recorded(file, folder / "test.jsonl")) == pytest.approx(expected, abs=0.001)

"""Which labels are confused, and which adapters a merge combines."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn import metrics

from ecomtune.core.config import Recipe
from ecomtune.core.records import Prediction, Reference
from ecomtune.report.confusion import confusion_matrix, label_pairs, write_confusion
from ecomtune.report.merge_weights import merge_weights, plot_merges
from tests.support.tasks import load_task

LABELS = load_task("relevance").labels


def answered(task: str, gold: Reference, parsed: Reference | None) -> Prediction:
    return Prediction(
        id="1", task=task, system="s", answer="a", parsed=parsed, valid=parsed is not None, reference=gold, group="g"
    )


@pytest.mark.filterwarnings("ignore:A single label was found")  # as a matrix of one cell, which is right
@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from([*LABELS, None])), min_size=1))
def test_counts_are_those_of_scikit_learn_with_a_column_for_malformed_answers(rows: list[tuple[str, str | None]]) -> None:
    task = load_task("relevance")
    found = confusion_matrix(task, label_pairs(task, [answered("relevance", gold, parsed) for gold, parsed in rows]))
    answers = [parsed or "malformed" for _, parsed in rows]
    assert found["answers"] == [label for label in (*LABELS, "malformed") if label in {*answers, *(gold for gold, _ in rows)}]
    assert found["gold"] == [label for label in found["answers"] if label != "malformed"]
    expected = metrics.confusion_matrix([gold for gold, _ in rows], answers, labels=found["answers"])
    assert np.array_equal(found["counts"], expected[: len(found["gold"])])


def test_words_are_counted_by_entity_type_whether_they_begin_or_continue_one() -> None:
    task = load_task("ner")
    given = [
        answered("ner", ["B-color", "I-color", "O"], ["B-color", "B-shape", "O"]),
        answered("ner", ["B-shape"], None),
    ]
    assert label_pairs(task, given) == [("color", "color"), ("color", "shape"), ("none", "none"), ("shape", "malformed")]
    assert confusion_matrix(task, label_pairs(task, given)) == {
        "answers": ["color", "shape", "none", "malformed"],
        "counts": [[1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]],
        "gold": ["color", "shape", "none"],
    }


def test_texts_have_no_confusion_matrix() -> None:
    assert label_pairs(load_task("summarization"), [answered("summarization", ["a"], ["b"])]) == []


def test_the_table_has_a_line_for_each_row(workplace: Path) -> None:
    write_confusion([("a, b", 'say "c"'), ("d", "e")], workplace / "deep/table.csv")
    with (workplace / "deep/table.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["gold", "answer"], ["a, b", 'say "c"'], ["d", "e"]]


def recipe(folder: str, **weights: float) -> Recipe:
    return Recipe(reads=f"models/adapters/{folder}", method="cat", weights=weights)


def test_a_merge_has_a_weight_for_each_of_its_adapters() -> None:
    found = merge_weights({"half": recipe("single", ner=0.5, relevance=0.5), "less": recipe("single", ner=1.0, other=-0.5)})
    assert found == {
        "adapters": ["single/ner", "single/other", "single/relevance"],
        "recipes": [
            {"method": "cat", "name": "half", "weights": [0.5, None, 0.5]},
            {"method": "cat", "name": "less", "weights": [1.0, -0.5, None]},
        ],
    }


@pytest.mark.parametrize("weights", [{"a": 0.5, "b": 0.5}, {"a": 1.0, "b": -1.0}, {"a": 0.0, "b": 2.0}])
def test_a_heat_map_shows_each_weight_and_has_the_same_bytes_again(tmp_path: Path, weights: dict[str, float]) -> None:
    merges = merge_weights({"one": recipe("single", **weights), "two": recipe("shards", c=0.25)})
    for name in ("a.png", "b.png"):
        plot_merges(merges, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 20

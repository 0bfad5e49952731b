"""The conditional random field over tag sequences agrees with sums and maxima over all sequences."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForTokenClassification

from ecomtune.baselines.crf import GAIN, Transitions, best_path, follows, negative_log_likelihood
from ecomtune.messages.errors import UserError
from tests.support.baselines import answer, baseline, examples, fit

TAGS = ["B-color", "B-price", "I-color", "I-price", "O"]


@st.composite
def grids(draw: st.DrawFn) -> tuple[Any, list[str], Any]:
    """Scores [words, tags], the tags, among them O, and scores of each after each other and at the beginning."""
    tags = sorted({"O", *draw(st.sets(st.sampled_from(TAGS), min_size=1))})
    row = st.lists(st.floats(-20, 20, width=32), min_size=len(tags), max_size=len(tags))
    rows, transitions = draw(st.lists(row, max_size=4)), draw(st.lists(row, min_size=len(tags) + 1, max_size=len(tags) + 1))
    return np.array(rows, dtype=np.float32).reshape(len(rows), len(tags)), tags, np.array(transitions, dtype=np.float32)


def score_of(path: Sequence[int], scores: Any, transitions: Any) -> float:
    """The total score of a path of tags by their places."""
    steps = [transitions[before, tag] for before, tag in itertools.pairwise([-1, *path])]
    return float(sum(steps) + sum(row[tag] for row, tag in zip(scores, path, strict=True)))


@settings(deadline=None, max_examples=60)
@given(grid=grids())
def test_the_best_path_is_valid_and_no_other_is_better(grid: tuple[Any, list[str], Any]) -> None:
    scores, tags, transitions = grid
    found = best_path(scores, tags, transitions)
    assert len(found) == len(scores)
    assert all(map(follows, ["O", *found], found))
    paths = itertools.product(range(len(tags)), repeat=len(scores))
    named = ((path, [tags[tag] for tag in path]) for path in paths)
    best = max(score_of(path, scores, transitions) for path, names in named if all(map(follows, ["O", *names], names)))
    assert score_of([tags.index(tag) for tag in found], scores, transitions) == pytest.approx(best, abs=1e-3)


@settings(deadline=None, max_examples=60)
@given(grid=grids(), data=st.data())
def test_the_loss_of_a_tag_sequence_is_its_share_among_all_sequences(
    grid: tuple[Any, list[str], Any], data: st.DataObject
) -> None:
    """Compared with a sum over all sequences, for sentences of several lengths in one batch, with tokens that begin no word."""
    _, tags, transitions = grid
    number = st.floats(-5, 5, width=32)
    lengths = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    scores, labels, expected = np.zeros((len(lengths), 8, len(tags)), np.float32), np.full((len(lengths), 8), -100), []
    for row, length in enumerate(lengths):
        places = sorted(data.draw(st.sets(st.integers(0, 7), min_size=length, max_size=length)))
        right = data.draw(st.lists(st.integers(0, len(tags) - 1), min_size=length, max_size=length))
        scores[row] = data.draw(st.lists(st.lists(number, min_size=len(tags), max_size=len(tags)), min_size=8, max_size=8))
        labels[row, places] = right
        every = [
            score_of(path, scores[row, places], transitions) for path in itertools.product(range(len(tags)), repeat=length)
        ]
        expected.append(np.logaddexp.reduce(every) - score_of(right, scores[row, places], transitions))
    found = negative_log_likelihood(torch.tensor(scores), torch.tensor(labels), torch.tensor(transitions))
    assert float(found) == pytest.approx(np.mean(expected), rel=1e-4, abs=1e-3)


def test_a_tagger_with_a_crf_fits_its_examples_and_is_a_plain_token_classifier(pico: Path) -> None:
    settings = baseline("encoder", "ner", epochs=40, learning_rate=1e-2, crf=True)
    fit(settings, examples("ner"), pico / "fitted", validation=examples("ner")[:3])
    assert [parsed for _, parsed in answer(settings, pico / "fitted", examples("ner"))] == [
        each.reference for each in examples("ner")
    ]
    transitions = load_file(pico / "fitted/transitions.safetensors")["transitions"]
    tags = ["B-color", "B-modifier", "I-modifier", "O"]
    assert transitions.shape == (5, 4)
    after_color, start = dict(zip(tags, transitions[0], strict=True)), dict(zip(tags, transitions[-1], strict=True))
    assert (
        max(after_color, key=lambda tag: after_color[tag]) == "B-modifier"
        and max(start, key=lambda tag: start[tag]) == "B-color"
    )
    kind = AutoModelForTokenClassification
    _, loaded = kind.from_pretrained(pico / "fitted", output_loading_info=True)
    assert not loaded["missing_keys"] and not loaded["unexpected_keys"]
    losses = json.loads((pico / "fitted/training.json").read_text())["loss"]
    assert losses[-1][1] < losses[0][1] / 4
    (pico / "fitted/transitions.safetensors").unlink()
    with pytest.raises(UserError, match=r"transitions\.safetensors"):
        answer(settings, pico / "fitted", examples("ner"))


@pytest.mark.parametrize(
    "damaged", [np.zeros((4, 4)), np.zeros(20), np.full((5, 4), np.nan)], ids=["fewer", "flat", "no numbers"]
)
def test_transitions_of_other_tags_or_no_numbers_are_refused(pico: Path, damaged: Any) -> None:
    settings = baseline("encoder", "ner", crf=True)
    fit(settings, examples("ner"), pico / "fitted")
    save_file({"transitions": damaged}, pico / "fitted/transitions.safetensors")
    with pytest.raises(
        UserError, match=r"fitted is missing or broken \(transitions\.safetensors does not hold 5 times 4 finite numbers\)"
    ):
        answer(settings, pico / "fitted", examples("ner"))


def test_a_crf_needs_a_task_of_tags(pico: Path) -> None:
    message = r"^baselines: crf works only for tagging tasks, unlike relevance; remove the key$"
    with pytest.raises(UserError, match=message):
        fit(baseline("encoder", "relevance", crf=True), examples("relevance"), pico / "made")


def test_transitions_are_trained_faster_than_weights() -> None:
    transitions = Transitions(2)
    torch.nn.init.constant_(transitions.weight, 0.5)
    assert transitions().shape == (3, 2) and float(transitions().detach()[0, 0]) == 0.5 * GAIN


@pytest.mark.parametrize(
    ("before", "tag", "allowed"),
    [
        ("O", "O", True),
        ("O", "B-color", True),
        ("O", "I-color", False),
        ("B-color", "I-color", True),
        ("I-color", "I-color", True),
        ("B-price", "I-color", False),
        ("I-price", "I-color", False),
        ("I-price", "B-color", True),
    ],
)
def test_an_inside_tag_follows_only_its_own_type(before: str, tag: str, allowed: bool) -> None:
    assert follows(before, tag) is allowed

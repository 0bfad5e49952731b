"""Conventional models are trained, answer in the task's terms, and leave the same plain files each time."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from transformers import AutoModelForTokenClassification

from ecomtune.baselines.bag_of_words import marked_words
from ecomtune.baselines.crf import GAIN, Transitions, best_path, follows, negative_log_likelihood
from ecomtune.baselines.encoder_head import class_weights
from ecomtune.baselines.fitting.adversarial import AdversarialTrainer
from ecomtune.baselines.fitting.full_training import train_model
from ecomtune.baselines.inputs import input_pair, input_text
from ecomtune.baselines.job import Job
from ecomtune.baselines.registry import MODULES, fit_baseline
from ecomtune.core.config import Baseline, Model
from ecomtune.core.config.systems import Family, Method
from ecomtune.core.files import sha256_folder
from ecomtune.core.paths import SCRATCH
from ecomtune.core.records import Example, Reference
from ecomtune.inference import baseline_answers
from ecomtune.inference.baseline_answers import answer_baseline
from ecomtune.messages.errors import UserError
from ecomtune.models.sources import save_pretrained
from ecomtune.tasks.base import Task
from ecomtune.tasks.ner import TASK as NER
from ecomtune.tasks.registry import load_task
from ecomtune.training.checkpoints import Checkpoints
from tests.support.pico import ENDLESS_SPLIT, make_bart, make_deberta, make_t5

Answer = tuple[str, Reference | None]
BASELINES = [
    ("encoder", "relevance"),
    ("encoder", "ner"),
    ("seq2seq", "summarization"),
    ("floor", "relevance"),
    ("floor", "summarization"),
    ("floor", "description"),
    ("majority", "relevance"),
    ("majority", "ner"),
    ("title", "description"),
]
TRAINED = [each for each in BASELINES if each[0] in ("encoder", "seq2seq")]
METHODS = get_args(Method)
TAGS = ["B-color", "B-price", "I-color", "I-price", "O"]


def baseline(family: str, task: str, **changes: Any) -> Baseline:
    """The baseline of a family, or the floor of a method."""
    if family in METHODS:
        return baseline("floor", task, method=family, out=f"floor_{family}/{task}", **changes)
    values: dict[str, Any] = {"family": family, "task": task, "out": f"{family}/{task}"}
    if family != "floor":
        values |= {"model": "pico", "epochs": 1, "batch_size": 4}
    return Baseline.model_validate({**values, **changes})


def test_the_registry_has_a_module_for_every_family_and_method_and_for_nothing_else() -> None:
    assert {chosen for chosen, _ in MODULES} == {*get_args(Family), *get_args(Method)}


def example(task: str, fields: dict[str, str | list[str]], reference: Reference) -> Example:
    loaded = load_task(task)
    target, prompt = loaded.target(fields, reference), loaded.prompt(fields, "compact")
    return Example(
        id="1", task=task, prompt=prompt, target=target, reference=reference, fields=fields, group="g", source="shop:1"
    )


def examples(task: str) -> list[Example]:
    """Eight examples, two of each label."""
    labels = load_task("relevance").labels
    made: dict[str, Callable[[int], tuple[dict[str, str | list[str]], Reference]]] = {
        "relevance": lambda n: (
            {"query": "red shoes", "title": f"{['running', 'red', 'pack', 'men'][n % 4]} {n}"},
            labels[n % 4],
        ),
        "ner": lambda n: (
            {"words": ["red", "running", "shoes"][: 1 + n % 3]},
            ["B-color", "B-modifier", "I-modifier"][: 1 + n % 3],
        ),
        "summarization": lambda n: ({"reviews": [f"Red shoes {n}! For men.", "Good."]}, ["running shoes for men"]),
        "description": lambda n: ({"title": "Shoes", "bullets": [f"Red {n}", "For men"]}, ["running shoes for men"]),
    }
    return [example(task, *made[task](number)) for number in range(8)]


def with_another_answer(task: str, row: Example) -> Example:
    """The row with another answer, so that a model trained on the other rows gets worse at it."""
    labels = load_task("relevance").labels
    if task == "relevance":
        return row.model_copy(update={"reference": labels[(labels.index(str(row.reference)) + 1) % len(labels)]})
    if task == "ner":
        return row.model_copy(update={"reference": ["O"] * len(row.reference)})
    return row.model_copy(update={"target": "a pack of twelve"})


@pytest.fixture
def pico(workplace: Path, pico_encoder: Path) -> Path:
    """A working folder whose models/pretrained/pico is the pico encoder."""
    return link_encoder(workplace, pico_encoder)


def link_encoder(folder: Path, encoder: Path) -> Path:
    (folder / "models" / "pretrained").mkdir(parents=True)
    (folder / "models" / "pretrained" / "pico").symlink_to(encoder)
    (folder / SCRATCH).mkdir()
    return folder


def fit(settings: Baseline, train: Sequence[Example], folder: Path, seed: int = 7, validation: Sequence[Example] = ()) -> None:
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        train_weights = partial(train_model, settings=settings, seed=seed, checkpoints=Checkpoints(Path(scratch)))
        fit_baseline(Job(settings, load_task(settings.task), train, validation, folder, seed, train_weights), threads=1)


def answer(settings: Baseline, folder: Path, asked: Sequence[Example]) -> list[Answer]:
    """The raw answers and what they mean."""
    task = load_task(settings.task)
    raw, _ = answer_baseline(settings, task, folder, asked, threads=1)
    return [(answer, task.parse(answer, each.fields)) for answer, each in zip(raw, asked, strict=True)]


@pytest.fixture(scope="module", params=BASELINES, ids="-".join)
def fitted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pico_encoder: Path
) -> Iterator[tuple[Baseline, Path]]:
    """A baseline and the folder that holds two fits of it, ``first`` and ``second``."""
    folder = link_encoder(tmp_path_factory.mktemp("baselines"), pico_encoder)
    settings = baseline(*request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("first", "second"):
            fit(settings, examples(settings.task), folder / name)
        yield settings, folder


def is_meaning(task: str, fields: dict[str, Any], parsed: Any) -> bool:
    """Whether ``parsed`` is what the task's answers mean."""
    if task == "relevance":
        return parsed in load_task(task).labels
    if task == "ner":
        return len(parsed) == len(fields["words"]) and all(map(follows, ["O", *parsed], parsed))
    return parsed is None or (len(parsed) == 1 and parsed[0].strip() == parsed[0] != "")


def test_every_baseline_answers_each_example_in_the_tasks_terms(fitted: tuple[Baseline, Path]) -> None:
    settings, folder = fitted
    asked = examples(settings.task)
    answers = answer(settings, folder / "first", asked)
    assert len(answers) == len(asked)
    for each, (text, parsed) in zip(asked, answers, strict=True):
        assert isinstance(text, str)
        assert is_meaning(settings.task, each.fields, parsed)


def test_equal_seeds_leave_the_same_bytes(fitted: tuple[Baseline, Path]) -> None:
    _, folder = fitted
    assert sha256_folder(folder / "first") == sha256_folder(folder / "second")


def test_only_json_text_and_safetensors_are_written(fitted: tuple[Baseline, Path]) -> None:
    _, folder = fitted
    files = [path for path in (folder / "first").rglob("*") if path.is_file()]
    assert files
    assert {path.suffix for path in files} <= {".json", ".txt", ".safetensors"}
    assert not any(path.read_bytes()[:2] in (b"\x80\x02", b"\x80\x04", b"\x80\x05", b"PK") for path in files)


def test_nothing_but_answers_is_left_in_scratch(fitted: tuple[Baseline, Path]) -> None:
    _, folder = fitted
    assert {path.name for path in (folder / SCRATCH).iterdir()} <= {"answers"}


def test_an_answer_does_not_depend_on_the_other_examples(fitted: tuple[Baseline, Path]) -> None:
    settings, folder = fitted
    asked = examples(settings.task)
    alone = [answer(settings, folder / "first", [each])[0] for each in asked[:1]]
    assert answer(settings, folder / "first", asked)[:1] == alone


@pytest.mark.parametrize(
    ("family", "task", "epochs"), [("encoder", "relevance", 60), ("encoder", "ner", 20), ("seq2seq", "summarization", 30)]
)
def test_a_trained_baseline_fits_its_examples(pico: Path, family: str, task: str, epochs: int) -> None:
    settings = baseline(family, task, epochs=epochs, learning_rate=1e-2, batch_size=8)
    fit(settings, examples(task), pico / "fitted")
    learned = [parsed for _, parsed in answer(settings, pico / "fitted", examples(task))]
    assert learned == [each.reference for each in examples(task)]


@pytest.mark.parametrize(
    ("family", "task"),
    [
        ("encoder", "description"),
        ("seq2seq", "ner"),
        ("floor", "ner"),
        ("majority", "description"),
        ("tfidf", "ner"),
        ("lead", "relevance"),
        ("title", "relevance"),
    ],
)
def test_a_family_or_method_without_a_model_for_the_task_is_refused(pico: Path, family: str, task: str) -> None:
    key = "method" if family in METHODS else "family"
    choices = {"ner": "family encoder, family causal or method majority of family floor", "relevance": "family encoder, "}
    message = rf"^baselines: {key} {family} has no model for task {task}; choose {choices.get(task, 'family seq2seq, ')}"
    with pytest.raises(UserError, match=rf"{message}.*, or remove the baseline$") as caught:
        fit(baseline(family, task), examples(task), pico / "fitted")
    offered = re.split(", | or ", str(caught.value).partition("choose ")[2])
    assert ("method title of family floor" in offered) == (task == "description")
    assert "family floor" not in offered or (family not in (*METHODS, "floor") and task != "ner")  # what it is already


def test_the_title_of_rows_without_one_is_refused(pico: Path) -> None:
    with pytest.raises(UserError, match=r"^baselines: method title copies a title, and rows of task summarization have none; "):
        fit(baseline("title", "summarization"), examples("summarization"), pico / "fitted")


@pytest.mark.parametrize(("method", "task"), [("tfidf", "relevance"), ("lead", "summarization"), ("lead", "description")])
def test_naming_a_floors_default_method_leaves_the_same_bytes(pico: Path, method: str, task: str) -> None:
    fit(baseline("floor", task), examples(task), pico / "default")
    fit(baseline(method, task), examples(task), pico / "named")
    assert sha256_folder(pico / "default") == sha256_folder(pico / "named")


def test_the_majority_of_labels_is_the_most_frequent_one_and_of_equal_ones_the_first(pico: Path) -> None:
    four = examples("relevance")[:4]
    for folder, train, label in (("most", [*four, four[3]], "Irrelevant"), ("equal", four, "Complement")):
        fit(baseline("majority", "relevance"), train, pico / folder)
        assert answer(baseline("majority", "relevance"), pico / folder, four) == [(label, label)] * 4


def test_a_word_has_the_tag_that_it_has_most_often_and_an_unknown_word_the_most_frequent_one(pico: Path) -> None:
    train = [
        example("ner", {"words": ["red", "running", "shoes"]}, ["B-color", "B-core_product_type", "I-core_product_type"]),
        example("ner", {"words": ["Red", "shoes"]}, ["B-color", "B-core_product_type"]),
        example("ner", {"words": ["red", "wing", "shoes"]}, ["B-creator", "I-creator", "O"]),
        example("ner", {"words": ["wide", "running", "shoes"]}, ["O", "B-core_product_type", "I-core_product_type"]),
    ]
    settings = baseline("majority", "ner")
    fit(settings, train, pico / "fitted")
    asked = {
        ("RED", "running", "shoes"): ["B-color", "B-core_product_type", "I-core_product_type"],
        ("red", "shoes"): ["B-color", "B-core_product_type"],  # what would continue nothing begins an entity
        ("wide", "unseen"): ["O", "B-core_product_type"],
        ("wing", "wing", "shoes", "shoes"): ["B-creator", "I-creator", "B-core_product_type", "I-core_product_type"],
    }
    answers = answer(settings, pico / "fitted", [example("ner", {"words": list(each)}, ["O"] * len(each)) for each in asked])
    assert [parsed for _, parsed in answers] == list(asked.values())


def test_the_title_floor_copies_the_complete_title(tmp_path: Path) -> None:
    asked = example("description", {"title": " Acme Mug. 12 oz ", "bullets": ["Big"]}, ["x"])
    assert answer(baseline("title", "description"), tmp_path, [asked]) == [("Acme Mug. 12 oz", ["Acme Mug. 12 oz"])]


@pytest.fixture(scope="module", params=["t5", "bart"])
def seq2seq(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder whose models/pretrained/pico is a pico T5 or BART, as the stage pretrained writes it."""
    folder = tmp_path_factory.mktemp(request.param)
    {"t5": make_t5, "bart": make_bart}[request.param](folder / "source")
    (folder / SCRATCH).mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        model = Model.model_validate({"kind": "seq2seq", "source": "folder", "folder": "source", "licence": "MIT"})
        save_pretrained("pico", model, Path("models/pretrained/pico"))
    return folder


@pytest.mark.parametrize("task", ["summarization", "description"])
def test_a_pretrained_seq2seq_model_is_itself_trained_and_fits_its_examples(
    seq2seq: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    monkeypatch.chdir(seq2seq)
    settings = baseline("seq2seq", task, epochs=40, learning_rate=1e-2, batch_size=8)
    fit(settings, examples(task), seq2seq / task)
    start, made = (load_file(folder / "model.safetensors") for folder in (seq2seq / "models/pretrained/pico", seq2seq / task))
    assert set(made) == set(start) and any((made[name] != start[name]).any() for name in made)
    assert [parsed for _, parsed in answer(settings, seq2seq / task, examples(task))] == [["running shoes for men"]] * 8


def test_a_pretrained_seq2seq_model_answers_greedily_whatever_its_config_asks_for(
    seq2seq: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BART's config.json asks for beams, no repeated word and a least length."""
    monkeypatch.chdir(seq2seq)
    said = [
        each.model_copy(update={"target": "for men for shoes", "reference": ["for men for shoes"]})
        for each in examples("summarization")
    ]
    settings = baseline("seq2seq", "summarization", epochs=80, learning_rate=1e-2, batch_size=8)
    fit(settings, said, seq2seq / "said")
    assert answer(settings, seq2seq / "said", said) == [("for men for shoes", ["for men for shoes"])] * 8
    assert {file.suffix for file in (seq2seq / "said").iterdir()} <= {".json", ".safetensors"}


def test_a_pretrained_seq2seq_model_leaves_the_same_bytes_for_equal_seeds(
    seq2seq: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(seq2seq)
    for name in ("first", "second"):
        fit(baseline("seq2seq", "description"), examples("description"), seq2seq / name)
    assert sha256_folder(seq2seq / "first") == sha256_folder(seq2seq / "second")


@pytest.mark.parametrize("task", ["relevance", "ner"])
def test_an_encoder_of_another_architecture_fits_its_examples(workplace: Path, pico_encoder: Path, task: str) -> None:
    link_encoder(workplace, make_deberta(workplace / "deberta", pico_encoder))
    settings = baseline("encoder", task, epochs=60, learning_rate=1e-2, batch_size=8)
    fit(settings, examples(task), workplace / "fitted")
    learned = [parsed for _, parsed in answer(settings, workplace / "fitted", examples(task))]
    assert learned == [each.reference for each in examples(task)]


def test_inputs_are_the_fields_only_the_required_ones_first() -> None:
    fields: dict[str, str | list[str]] = {"brand": "Acme", "title": "Mug", "bullets": ["Big", "Red"], "color": ""}
    described = example("description", fields, ["A mug."])
    assert input_text(described, load_task("description")) == "Mug Big Red Acme"
    judged = example("relevance", {"color": "red", "brand": "Acme", "title": "Mug", "query": "red mug"}, "Exact")
    assert input_pair(judged, load_task("relevance")) == ("red mug", "Mug Acme red")


def test_a_pair_of_any_length_is_truncated(pico: Path) -> None:
    settings = baseline("encoder", "relevance", max_length=8)
    long = example("relevance", {"query": "red shoes " * 40, "title": "running " * 40}, "Exact")
    fit(settings, [*examples("relevance"), long], pico / "fitted")
    assert answer(settings, pico / "fitted", [long])[0][0] in load_task("relevance").labels


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory, pico_encoder: Path) -> tuple[Baseline, Path]:
    """A tagger that calls every word a color."""
    folder = link_encoder(tmp_path_factory.mktemp("tagger"), pico_encoder)
    settings = baseline("encoder", "ner", epochs=20, learning_rate=1e-2, max_length=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        fit(settings, [example("ner", {"words": ["red", "shoes"]}, ["B-color", "B-color"])] * 4, folder / "fitted")
    return settings, folder / "fitted"


@pytest.mark.parametrize(
    ("words", "tags"),
    [
        (["red", "shoes"], ["B-color", "B-color"]),
        (["red", "\u200b", "shoes"], ["B-color", "O", "B-color"]),
        (["\u200b", "red"], ["O", "B-color"]),
        (["red", "\u200b"], ["B-color", "O"]),
        (["\u200b"], ["O"]),
        (["red"] * 9, ["B-color"] * 6 + ["O"] * 3),
    ],
)
def test_a_word_without_a_token_or_beyond_max_length_is_outside(
    tagger: tuple[Baseline, Path], words: list[str], tags: list[str]
) -> None:
    settings, folder = tagger
    asked = example("ner", {"words": words}, ["O"] * len(words))
    assert answer(settings, folder, [asked, example("ner", {"words": ["red"]}, ["O"])])[0] == (
        NER.target(asked.fields, tags),
        tags,
    )


def test_a_tagger_trains_on_words_without_a_token(pico: Path) -> None:
    odd = example("ner", {"words": ["red", "\u200b", "shoes"]}, ["B-color", "O", "B-modifier"])
    settings = baseline("encoder", "ner", epochs=20, learning_rate=1e-2)
    fit(settings, [odd] * 4, pico / "fitted")
    assert answer(settings, pico / "fitted", [odd])[0][1] == odd.reference


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


EDITED: dict[str, tuple[str, dict[str, Any], str]] = {
    "another kind of model": ("config.json", {"model_type": "gpt2"}, "weights that the model needs are missing"),
    "a layer less": ("config.json", {"num_hidden_layers": 1}, "its config leaves out layers that its files hold"),
    "a layer more": ("config.json", {"num_hidden_layers": 3}, "weights that the model needs are missing"),
    "a million layers": ("config.json", {"num_hidden_layers": 1_000_000}, "it has 1000000 layers"),
    "no number": ("config.json", {"layer_norm_eps": float("nan")}, "its scores are not finite numbers"),
    "no class": ("config.json", {"id2label": {"7": "O"}}, ""),
    "no padding": ("tokenizer_config.json", {"pad_token": None}, "its tokenizer has no pad_token"),
    "a pattern without end": (
        "tokenizer.json",
        {"pre_tokenizer": ENDLESS_SPLIT},
        "retry-limit-in-match",
    ),
    "a token beyond its embeddings": ("tokenizer_config.json", {"cls_token": "<new>"}, "its weights have"),
}


@pytest.mark.parametrize("task", ["ner", "relevance"])
@pytest.mark.parametrize("what", EDITED)
def test_a_trained_encoder_that_was_edited_is_refused(pico: Path, what: str, task: str) -> None:
    settings = baseline("encoder", task)
    fit(settings, examples(task), pico / "fitted")
    name, changes, message = EDITED[what]
    content = json.loads((pico / "fitted" / name).read_text())
    (pico / "fitted" / name).write_text(json.dumps({**content, **changes}))
    with pytest.raises(UserError, match=rf"fitted is missing or broken \(.*{message}"):
        answer(settings, pico / "fitted", examples(task))


@pytest.mark.parametrize(
    ("task", "renamed", "message"),
    [
        ("ner", "B-nosuch", "the type of tag 'B-nosuch' is not one of "),
        ("ner", "O", "two of its classes are the same"),
        ("relevance", "nosuch", "its labels are not those of task relevance"),
        ("relevance", "Exact", "two of its classes are the same"),
    ],
)
def test_a_trained_encoder_whose_classes_were_renamed_is_refused(pico: Path, task: str, renamed: str, message: str) -> None:
    settings = baseline("encoder", task)
    fit(settings, examples(task), pico / "fitted")
    config = json.loads((pico / "fitted/config.json").read_text())
    number = next(number for number, name in config["id2label"].items() if name != renamed)
    config["id2label"][number] = renamed
    (pico / "fitted/config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=rf"fitted is missing or broken \({message}"):
        answer(settings, pico / "fitted", examples(task))


def test_an_encoder_that_lacks_a_layer_is_not_trained_on_random_numbers(pico: Path) -> None:
    folder = pico / "models/pretrained/pico"
    encoder = folder.readlink()
    folder.unlink()  # it is every test's
    file = Path(shutil.copytree(encoder, folder)) / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "num_hidden_layers": 3}))
    with pytest.raises(
        UserError, match=r"models/pretrained/pico is missing or broken \(weights that the model needs are missing"
    ):
        fit(baseline("encoder", "relevance"), examples("relevance"), pico / "fitted")


def test_a_crf_needs_a_task_of_tags(pico: Path) -> None:
    message = r"^baselines: crf needs a task of tags, which relevance is not; remove the key$"
    with pytest.raises(UserError, match=message):
        fit(baseline("encoder", "relevance", crf=True), examples("relevance"), pico / "made")


@pytest.mark.parametrize("crf", [False, True], ids=["each tag alone", "crf"])
def test_adversarial_training_adds_the_gradients_of_moved_embeddings(
    pico: Path, crf: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both passes are recomputed here, without dropout; the moved table is restored to the last bit."""
    found: dict[str, Any] = {}
    step = AdversarialTrainer.training_step

    def watched(self: AdversarialTrainer, model: Any, inputs: dict[str, Any], number: Any = None) -> Any:
        def gradients() -> dict[str, Any]:
            batch = {name: value.clone() for name, value in inputs.items()}
            model.zero_grad()
            self.compute_loss(model, batch, num_items_in_batch=number).backward()
            return {name: each.grad.clone() for name, each in model.named_parameters()}

        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        if not found:
            model.train()
            table = model.get_input_embeddings().weight
            before, first = table.detach().clone(), gradients()
            (towards,) = [first[name] for name, each in model.named_parameters() if each is table]
            with torch.no_grad():
                table += 2.0 * towards / towards.norm()
            second = gradients()
            with torch.no_grad():
                table.copy_(before)
            model.zero_grad()
            loss = step(self, model, inputs, number)
            sums = {name: each.grad.clone() for name, each in model.named_parameters()}
            found.update(first=first, second=second, sums=sums, exact=torch.equal(table, before), towards=towards)
            return loss
        return step(self, model, inputs, number)

    monkeypatch.setattr(AdversarialTrainer, "training_step", watched)
    fit(baseline("encoder", "ner", adversarial=2.0, crf=crf), examples("ner"), pico / "made")
    assert found["exact"] and float(found["towards"].norm()) > 0
    for name, total in found["sums"].items():
        torch.testing.assert_close(total, found["first"][name] + found["second"][name])
    changed = [name for name, each in found["first"].items() if not torch.allclose(each, found["second"][name], rtol=1e-3)]
    assert len(changed) > len(found["first"]) / 2  # the second pass is another one


@pytest.mark.parametrize("task", ["relevance", "ner"])
def test_an_adversarial_encoder_fits_its_examples(pico: Path, task: str) -> None:
    settings = baseline("encoder", task, epochs=40, learning_rate=1e-2, adversarial=0.1)
    fit(settings, examples(task), pico / "fitted")
    answered = answer(settings, pico / "fitted", examples(task))
    assert [parsed for _, parsed in answered] == [each.reference for each in examples(task)]
    plain = settings.model_copy(update={"adversarial": 0.0})
    fit(plain, examples(task), pico / "plain")
    assert sha256_folder(pico / "fitted") != sha256_folder(pico / "plain")


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


@pytest.mark.parametrize(
    ("text", "lead"),
    [
        ("Warm and soft. The zip broke.", "Warm and soft."),
        ("Great! Buy it.", "Great!"),
        ("Why 4.5 stars? No idea.", "Why 4.5 stars?"),
        ("no end", "no end"),
        ("  Two lines.\nMore. ", "Two lines."),
    ],
)
@pytest.mark.parametrize("task", ["summarization", "description"])
def test_the_floor_of_texts_is_the_first_sentence_of_the_last_required_field(
    tmp_path: Path, task: str, text: str, lead: str
) -> None:
    asked = example(task, {"title": "Mug", load_task(task).required_fields[-1]: [text, "Other."]}, ["x"])
    assert answer(baseline("floor", task), tmp_path, [asked]) == [(lead, [lead])]


def test_a_first_text_that_is_empty_is_an_invalid_answer(tmp_path: Path) -> None:
    asked = example("summarization", {"reviews": ["", "Good."]}, ["x"])
    assert answer(baseline("floor", "summarization"), tmp_path, [asked]) == [("", None)]


FLOOR = """
import random
from pathlib import Path
from ecomtune.tasks.registry import load_task
from ecomtune.baselines.job import Job
from ecomtune.baselines.registry import MODULES, fit_baseline
from ecomtune.core.files import sha256_folder
from ecomtune.core.records import Example
from ecomtune.core.config import Baseline

drawn, task, out = random.Random(3), load_task("relevance"), Path("made")
words = [f"w{number}" for number in range(4000)]
rows = [
    Example(
        id=str(number), task="relevance", prompt="p", target="t", reference=task.labels[drawn.randrange(4)], group=str(number),
        source="s", fields={"query": " ".join(drawn.choices(words, k=4)), "title": " ".join(drawn.choices(words, k=12))},
    )
    for number in range(1200)
]
settings = Baseline.model_validate({"family": "floor", "task": "relevance", "out": "floor/relevance"})
out.mkdir()
fit_baseline(Job(settings, task, rows, [], out, 7, lambda model, data: {}), threads=1)
print(sha256_folder(out))
"""


def test_a_floor_has_the_same_bytes_on_machines_of_other_cores(tmp_path: Path) -> None:
    made = []
    for cores in ("1", "2", "3"):
        (tmp_path / cores).mkdir()
        variables = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), cores)
        command = [sys.executable, "-c", FLOOR]
        environment = {**os.environ, **variables}
        done = subprocess.run(command, cwd=tmp_path / cores, env=environment, capture_output=True, text=True, check=True)
        made.append(done.stdout)
    assert made[0] == made[1] == made[2]


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_the_floor_of_labels_answers_as_scikit_learn_does(pico: Path, classes: int) -> None:
    rng = np.random.default_rng(classes)
    vocabulary = ["red", "blue", "mug", "shoes", "lid", "men", "pack", "12"]
    labels = load_task("relevance").labels[:classes]
    made = [
        example(
            "relevance",
            {"query": " ".join(rng.choice(vocabulary, 2)), "title": " ".join(rng.choice(vocabulary, 4))},
            labels[number % classes],
        )
        for number in range(80)
    ]
    train, asked = made[:40], [*made[40:], example("relevance", {"query": "unknown", "title": "words"}, "Exact")]
    task = load_task("relevance")
    fit(baseline("floor", "relevance"), train, pico / "fitted")
    vectorizer = TfidfVectorizer(token_pattern=r"\S+", lowercase=False)
    model = LogisticRegression(class_weight="balanced", max_iter=1000, random_state=7)
    model.fit(vectorizer.fit_transform([marked_words(each, task) for each in train]), [each.reference for each in train])
    expected = model.predict(vectorizer.transform([marked_words(each, task) for each in asked])).tolist()
    assert len(set(expected)) == classes
    assert answer(baseline("floor", "relevance"), pico / "fitted", asked) == [(label, label) for label in expected]


def test_a_score_of_exactly_zero_gives_the_first_of_two_labels_as_in_scikit_learn(pico: Path) -> None:
    train = [each for each in examples("relevance") if each.reference in ("Exact", "Substitute")]
    fit(baseline("floor", "relevance"), train, pico / "fitted")
    weights = load_file(pico / "fitted" / "weights.safetensors")
    zeros = {name: values if name == "idf" else np.zeros_like(values) for name, values in weights.items()}
    save_file(zeros, pico / "fitted" / "weights.safetensors")
    assert answer(baseline("floor", "relevance"), pico / "fitted", train[:1]) == [("Exact", "Exact")]


@pytest.mark.parametrize("family", ["floor", "encoder"])
def test_training_rows_of_one_label_are_refused(pico: Path, family: str) -> None:
    alike = [each for each in examples("relevance") if each.reference == "Exact"]
    with pytest.raises(UserError, match=r"^tasks\.relevance\.train_size: all 2 training rows have the same label; raise it$"):
        fit(baseline(family, "relevance"), alike, pico / "fitted")


def test_training_rows_of_punctuation_alone_are_refused_by_a_floor_of_words(pico: Path) -> None:
    fields = {"query": "?!", "title": "+++"}
    bare = [each.model_copy(update={"fields": fields}) for each in examples("relevance")]
    with pytest.raises(UserError, match=r"^tasks\.relevance: no training row holds a word of letters or digits; correct its"):
        fit(baseline("floor", "relevance"), bare, pico / "fitted")
    fit(baseline("floor", "relevance"), [*bare[:7], examples("relevance")[7]], pico / "with one")
    assert answer(baseline("floor", "relevance"), pico / "with one", bare[:1])[0][1] in load_task("relevance").labels


@pytest.mark.parametrize("family", ["encoder", "majority"])
def test_training_rows_without_a_word_are_refused(pico: Path, family: str) -> None:
    empty = [each.model_copy(update={"fields": {"words": []}, "reference": []}) for each in examples("ner")]
    with pytest.raises(UserError, match=r"^tasks\.ner: no training row holds a word.*; correct its data set$"):
        fit(baseline(family, "ner"), empty, pico / "fitted")
    fit(baseline(family, "ner"), [*empty[:1], *examples("ner")], pico / "with one")
    assert len(answer(baseline(family, "ner"), pico / "with one", examples("ner"))) == 8


@pytest.mark.parametrize(
    ("family", "task", "file", "text"),
    [
        ("majority", "relevance", "majority.json", "[]"),
        ("majority", "relevance", "majority.json", '{"label": "Perfect"}'),
        ("majority", "ner", "majority.json", '{"tag": "O"}'),
        ("majority", "ner", "majority.json", '{"tag": "B-shade", "words": {}}'),
        ("floor", "relevance", "vocabulary.json", '{"classes": [], "words": 7}'),
        ("floor", "relevance", "vocabulary.json", '{"classes": ["Exact"], "words": {"shared": 0}}'),
    ],
)
def test_a_floor_whose_files_cannot_be_its_own_is_refused(pico: Path, family: str, task: str, file: str, text: str) -> None:
    fit(baseline(family, task), examples(task), pico / "fitted")
    (pico / "fitted" / file).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"fitted is missing or broken \(.*\); remove it and run dvc repro$"):
        answer(baseline(family, task), pico / "fitted", examples(task))


def spoil_weights(folder: Path, value: float) -> None:
    file = folder / "model.safetensors"
    save_file({name: np.full_like(tensor, value) for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})


@pytest.mark.parametrize(("family", "task"), TRAINED)
def test_a_diverged_training_is_refused(workplace: Path, pico_encoder: Path, family: str, task: str) -> None:
    own = workplace / "own"
    shutil.copytree(pico_encoder, own)
    spoil_weights(own, float("nan"))
    link_encoder(workplace, own)
    with pytest.raises(UserError, match="the training has diverged: its weights are not finite numbers; lower the baseline's"):
        fit(baseline(family, task), examples(task), Path("made"))


def test_the_same_question_is_answered_again_without_loading_the_model(
    fitted: tuple[Baseline, Path], workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, folder = fitted
    model = Path(shutil.copytree(folder / "first", workplace / "model"))
    asked = examples(settings.task)
    answers = answer(settings, model, asked)

    def loads(family: str, task: Task) -> ModuleType:
        raise UserError("the model is loaded")

    monkeypatch.setattr(baseline_answers, "module_of", loads)
    assert answer(settings, model, asked) == answers
    with pytest.raises(UserError, match="the model is loaded"):
        answer(settings, model, asked[1:])
    (model / "more.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="the model is loaded"):
        answer(settings, model, asked)


@pytest.mark.parametrize(("family", "task"), TRAINED)
def test_missing_pretrained_weights_are_one_sentence(workplace: Path, family: str, task: str) -> None:
    with pytest.raises(UserError, match="models/pretrained/pico is missing; run dvc repro, which makes it"):
        fit(baseline(family, task), examples(task), Path("made"))


@pytest.mark.parametrize(("family", "task"), TRAINED)
def test_a_trained_baseline_whose_weights_are_cut_off_is_one_sentence(pico: Path, family: str, task: str) -> None:
    made = Path("made")
    fit(baseline(family, task), examples(task), made)
    file = made / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"made.* is missing or broken .*; remove it and run dvc repro"):
        answer(baseline(family, task), made, examples(task))


def test_a_seq2seq_model_reports_how_many_texts_it_truncates(pico: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(baseline("seq2seq", "summarization", max_length=512, max_new_tokens=2), examples("summarization"), Path("made"))
    printed = capsys.readouterr().out
    assert "summarization: targets truncated to max_new_tokens (2 tokens): 8 of 8" in printed and "inputs" not in printed


@pytest.mark.parametrize(("family", "task"), TRAINED)
def test_validation_losses_are_recorded_and_change_no_weight(pico: Path, family: str, task: str) -> None:
    settings = baseline(family, task, epochs=2)
    fit(settings, examples(task), pico / "plain")
    fit(settings, examples(task), pico / "looked", validation=examples(task)[:3])
    record = json.loads((pico / "looked" / "training.json").read_text())
    assert [entry["step"] for entry in record["validation"]] == [2, 4] and record["steps"] == len(record["loss"]) == 4
    weights = [(pico / name / "model.safetensors").read_bytes() for name in ("plain", "looked")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(("family", "task"), TRAINED)
def test_without_progress_training_stops_at_the_best_epoch(pico: Path, family: str, task: str) -> None:
    train, other = examples(task)[:4], [with_another_answer(task, each) for each in examples(task)[4:]]
    settings = baseline(family, task, epochs=40, patience=2, learning_rate=3e-2)
    fit(settings, train, pico / "stopped", validation=other)
    losses = [entry["loss"] for entry in json.loads((pico / "stopped" / "training.json").read_text())["validation"]]
    assert losses[-3] == min(losses) and len(losses) < 40
    fit(settings.model_copy(update={"patience": 0, "epochs": 40}), train, pico / "all", validation=other)
    weights = [load_file(pico / name / "model.safetensors") for name in ("stopped", "all")]
    assert any(not np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize(("family", "task"), TRAINED)
def test_few_rows_are_repeated_until_there_are_min_steps(pico: Path, family: str, task: str) -> None:
    for least, steps in ((0, 4), (4, 4), (5, 6)):  # 2 epochs of 2 steps; only complete epochs
        fit(baseline(family, task, epochs=2, min_steps=least), examples(task), pico / str(least), validation=examples(task)[:3])
        record = json.loads((pico / str(least) / "training.json").read_text())
        assert record["steps"] == steps and record["rows"] == 4 * steps
        assert [entry["step"] for entry in record["validation"]] == [steps - 2, steps] if steps == 4 else [4, 6]
    patient = baseline(family, task, epochs=1, min_steps=5, patience=9)
    fit(patient, examples(task), pico / "patient", validation=examples(task)[:3])
    record = json.loads((pico / "patient" / "training.json").read_text())
    assert [entry["step"] for entry in record["validation"]] == [2, 4, 6]
    assert baseline(family, task, min_steps=9).epochs_of(0) == 1  # the training refuses to train on nothing


def test_patience_without_validation_rows_is_refused(pico: Path) -> None:
    with pytest.raises(UserError, match="patience needs validation rows"):
        fit(baseline("encoder", "relevance", patience=1), examples("relevance"), pico / "made")


def test_class_weights_let_a_rare_label_count_as_much_as_a_common_one() -> None:
    weights = class_weights([0, 0, 0, 2], 3)
    assert weights.tolist() == pytest.approx([4 / (2 * 3), 0.0, 4 / 2])
    assert sum(float(weights[label]) for label in [0, 0, 0, 2]) == pytest.approx(4)


@pytest.mark.parametrize("task", ["relevance", "ner"])
def test_class_weights_change_the_weights(pico: Path, task: str) -> None:
    skewed = [*examples(task)[:1] * 6, *examples(task)[1:4]]
    for name, changes in (("plain", {}), ("weighted", {"class_weights": True})):
        fit(baseline("encoder", task, **changes), skewed, pico / name, validation=skewed[-2:])
    weights = [load_file(pico / name / "model.safetensors") for name in ("plain", "weighted")]
    assert any(not np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])

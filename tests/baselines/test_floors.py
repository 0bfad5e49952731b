"""Floors answer by their rule, with the same bytes on every machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from ecomtune.baselines.bag_of_words import marked_words
from ecomtune.core.files import sha256_folder
from ecomtune.messages.errors import UserError
from tests.support.baselines import answer, baseline, example, examples, fit
from tests.support.scratch_clone import REPOSITORY
from tests.support.tasks import load_task


def test_a_list_is_no_title_to_copy(pico: Path) -> None:
    with pytest.raises(UserError, match=r"^baselines: method title copies the first input, which is a list in task summ"):
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
from tests.support.tasks import load_task
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
        path = os.pathsep.join([str(REPOSITORY / "src"), str(REPOSITORY)])
        environment = {**os.environ, **variables, "PYTHONPATH": path}
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


def test_training_rows_of_punctuation_alone_are_refused_by_a_floor_of_words(pico: Path) -> None:
    fields = {"query": "?!", "title": "+++"}
    bare = [each.model_copy(update={"fields": fields}) for each in examples("relevance")]
    with pytest.raises(UserError, match=r"^tasks\.relevance: no training row holds a word of letters or digits; correct its"):
        fit(baseline("floor", "relevance"), bare, pico / "fitted")
    fit(baseline("floor", "relevance"), [*bare[:7], examples("relevance")[7]], pico / "with one")
    assert answer(baseline("floor", "relevance"), pico / "with one", bare[:1])[0][1] in load_task("relevance").labels


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

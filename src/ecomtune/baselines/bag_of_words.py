"""The floor for labels: logistic regression on TF-IDF of words, and of the words that query and product share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from ecomtune.baselines.inputs import input_pair, labels_of
from ecomtune.baselines.job import Job
from ecomtune.core.config import Baseline
from ecomtune.core.files import dump_json, read_json, write_text
from ecomtune.core.records import Example
from ecomtune.core.text import words_of
from ecomtune.messages.errors import UserError, reading
from ecomtune.tasks.base import Task


def fit(job: Job) -> None:
    """Fit vocabulary and weights, balanced by class; written as JSON and safetensors, never as a pickle.

    Raises UserError where the training rows have only one label, or no word.
    """
    labels_of(job.train, job.task)
    texts = [marked_words(example, job.task) for example in job.train]
    if not any(texts):
        raise UserError(f"tasks.{job.task.name}: no training row holds a word of letters or digits; correct its data set")
    vectorizer = _vectorizer()
    features = vectorizer.fit_transform(texts)
    regression = LogisticRegression(class_weight="balanced", max_iter=1000, random_state=job.seed)
    regression.fit(features, [str(example.reference) for example in job.train])
    vocabulary = {word: int(index) for word, index in vectorizer.vocabulary_.items()}
    write_text(job.folder / "vocabulary.json", dump_json({"classes": regression.classes_.tolist(), "words": vocabulary}))
    tensors = {"coefficients": regression.coef_, "idf": vectorizer.idf_, "intercepts": regression.intercept_}
    save_file({name: np.ascontiguousarray(values) for name, values in tensors.items()}, job.folder / "weights.safetensors")


def answer(settings: Baseline, task: Task, folder: Path, examples: Sequence[Example]) -> list[str]:
    """The likeliest label of each example."""
    with reading(folder):  # all of it: words and weights may not match
        stored = read_json(folder / "vocabulary.json")
        tensors = load_file(folder / "weights.safetensors")
        vectorizer = _vectorizer(stored["words"])
        vectorizer.idf_ = tensors["idf"]
        features: csr_matrix = vectorizer.transform([marked_words(example, task) for example in examples])
        scores = features @ tensors["coefficients"].T + tensors["intercepts"]
        best = scores.argmax(axis=1) if scores.shape[1] > 1 else (scores[:, 0] > 0).astype(int)
        return [task.target(example.fields, stored["classes"][index]) for example, index in zip(examples, best, strict=True)]


def _vectorizer(vocabulary: dict[str, int] | None = None) -> TfidfVectorizer:
    return TfidfVectorizer(vocabulary=vocabulary, token_pattern=r"\S+", lowercase=False)


def marked_words(example: Example, task: Task) -> str:
    """The words of both texts, marked by text, and the words that they share or that only the first one has."""
    query, *others = (words_of(text) for text in input_pair(example, task))
    if not others:
        return " ".join(f"query:{word}" for word in query)
    (product,) = others
    marked = [f"query:{word}" for word in query] + [f"product:{word}" for word in product]
    overlap = [f"shared:{word}" if word in product else f"missing:{word}" for word in query]
    return " ".join([*marked, *overlap, *(mark.partition(":")[0] for mark in overlap)])

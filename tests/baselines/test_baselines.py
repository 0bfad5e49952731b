"""Conventional models are trained, answer in the task's terms, and leave the same plain files each time."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import numpy as np
import pytest
from safetensors.numpy import load_file

from ecomtune.baselines.crf import follows
from ecomtune.baselines.inputs import input_pair, input_text
from ecomtune.baselines.registry import MODULES
from ecomtune.core.config import Baseline
from ecomtune.core.config.systems import Family, Method
from ecomtune.core.files import sha256_folder
from ecomtune.core.paths import SCRATCH
from ecomtune.inference import baseline_answers
from ecomtune.messages.errors import UserError
from ecomtune.tasks.base import Task
from tests.support.baselines import (
    BASELINES,
    METHODS,
    TRAINED,
    answer,
    baseline,
    example,
    examples,
    fit,
    link_encoder,
    spoil_weights,
    with_another_answer,
)
from tests.support.tasks import load_task


def test_the_registry_has_a_module_for_every_family_and_method_and_for_nothing_else() -> None:
    assert {chosen for chosen, _ in MODULES} == {*get_args(Family), *get_args(Method)}


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


def test_inputs_are_the_fields_only_the_required_ones_first() -> None:
    fields: dict[str, str | list[str]] = {"brand": "Acme", "title": "Mug", "bullets": ["Big", "Red"], "color": ""}
    described = example("description", fields, ["A mug."])
    assert input_text(described, load_task("description")) == "Mug Big Red Acme"
    judged = example("relevance", {"color": "red", "brand": "Acme", "title": "Mug", "query": "red mug"}, "Exact")
    assert input_pair(judged, load_task("relevance")) == ("red mug", "Mug Acme red")


@pytest.mark.parametrize("family", ["floor", "encoder"])
def test_training_rows_of_one_label_are_refused(pico: Path, family: str) -> None:
    alike = [each for each in examples("relevance") if each.reference == "Exact"]
    with pytest.raises(UserError, match=r"^tasks\.relevance\.train_size: .* the same label; raise train_size$"):
        fit(baseline(family, "relevance"), alike, pico / "fitted")


@pytest.mark.parametrize("family", ["encoder", "majority"])
def test_training_rows_without_a_word_are_refused(pico: Path, family: str) -> None:
    empty = [each.model_copy(update={"fields": {"words": []}, "reference": []}) for each in examples("ner")]
    with pytest.raises(UserError, match=r"^tasks\.ner: no training row holds a word.*; correct its data set$"):
        fit(baseline(family, "ner"), empty, pico / "fitted")
    fit(baseline(family, "ner"), [*empty[:1], *examples("ner")], pico / "with one")
    assert len(answer(baseline(family, "ner"), pico / "with one", examples("ner"))) == 8


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
    with pytest.raises(UserError, match="the model is loaded"):
        answer(settings.model_copy(update={"max_length": settings.max_length + 1}), model, asked)
    with monkeypatch.context() as patch, pytest.raises(UserError, match="the model is loaded"):
        patch.setattr(baseline_answers, "code_hashes", lambda stage: {"baselines/majority.py": "other"})
        answer(settings, model, asked)
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

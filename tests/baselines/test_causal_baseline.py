"""All weights of a causal model, trained on a task's prompts, answer by the same prompts and decoding as an adapter does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer

from ecomtune.baselines.fitting.causal import collate, encode_rows
from ecomtune.core.config import Baseline
from ecomtune.core.config.params import Params
from ecomtune.core.files import sha256_folder
from ecomtune.core.paths import SCRATCH
from ecomtune.inference.answering import answer_with_model
from ecomtune.messages.errors import UserError
from ecomtune.models.tokenization import IGNORED, encode_prompt, encode_text
from tests.support.baselines import baseline, examples, fit, spoil_weights
from tests.support.pico import make_causal, make_gpt2
from tests.support.scratch_clone import REPOSITORY
from tests.support.tasks import load_task

MODELS: dict[str, Callable[[Path], Path]] = {"llama": make_causal, "gpt2": make_gpt2}
#: Every kind of answer by each model.
TRAINED = [(model, task) for model in MODELS for task in ("relevance", "ner", "summarization", "description")]


def full(task: str, **changes: Any) -> Baseline:
    """The baseline of family causal for a task."""
    return baseline("causal", task, **{"max_length": 1024, **changes})


@pytest.fixture(params=MODELS)
def causal(request: pytest.FixtureRequest, workplace: Path) -> Path:
    """A working folder whose models/pretrained/pico is a causal model."""
    return make_project(workplace, request.param)


def make_project(folder: Path, model: str) -> Path:
    (folder / SCRATCH).mkdir()
    MODELS[model](folder / "models/pretrained/pico")
    return folder


def params_of(settings: Baseline) -> Params:
    """Profile pico with the baseline, and a system ``full`` that reads it."""
    values = yaml.safe_load((REPOSITORY / "profiles/pico.yaml").read_text())
    values["tasks"][settings.task] = {**values["tasks"]["relevance"], "max_new_tokens": 24}
    values["baselines"] = {"full": settings.model_dump(exclude_unset=True)}
    values["systems"] = {"full": {"kind": "baseline", "reads": "models/baselines/causal", "tasks": [settings.task]}}
    return Params.model_validate(values)


@pytest.mark.parametrize(("model", "task"), TRAINED)
def test_it_fits_its_examples_and_answers_them_as_a_prompted_model_does(workplace: Path, model: str, task: str) -> None:
    make_project(workplace, model)
    settings, rows = full(task, epochs=40, learning_rate=1e-2), examples(task)[:4]
    folder = workplace / "models/baselines/causal" / task
    fit(settings, rows, folder)
    losses = [loss for _, loss in json.loads((folder / "training.json").read_text())["loss"]]
    assert losses[-1] < 0.2 * losses[0]
    (answered,) = answer_with_model(params_of(settings), "full", {task: load_task(task)}, {task: rows})
    parsed = [load_task(task).parse(text, row.fields) for text, row in zip(answered.answers, rows, strict=True)]
    assert parsed == [row.reference for row in rows]


@pytest.fixture(scope="module", params=MODELS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a model and two fits of it on one text, ``first`` and ``second``."""
    folder = make_project(tmp_path_factory.mktemp("made"), request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("first", "second"):
            fit(full("summarization", epochs=20, learning_rate=1e-2), examples("summarization")[:4], folder / name)
    return folder


def test_equal_seeds_leave_the_same_bytes(made: Path) -> None:
    assert sha256_folder(made / "first") == sha256_folder(made / "second")


def test_the_folder_holds_what_the_pretrained_one_does_and_a_record_and_no_pickle(made: Path) -> None:
    before, after = ({file.name for file in (made / name).iterdir()} for name in ("models/pretrained/pico", "first"))
    assert after == before | {"training.json"}
    assert {Path(name).suffix for name in after} <= {".json", ".jinja", ".safetensors"}


def test_every_weight_is_trained_and_the_model_is_otherwise_the_pretrained_one(made: Path) -> None:
    start, trained = (load_file(made / name / "model.safetensors") for name in ("models/pretrained/pico", "first"))
    assert set(trained) == set(start) and all((trained[name] != start[name]).any() for name in start)
    configs = [json.loads((made / name / "config.json").read_text()) for name in ("models/pretrained/pico", "first")]
    assert configs[0] == configs[1]
    record = json.loads((made / "first/training.json").read_text())
    assert record["trained_parameters"] == sum(weights.size for weights in trained.values())


def test_transformers_alone_loads_it_and_continues_a_prompt_with_its_target(made: Path) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(made / "first"), AutoTokenizer.from_pretrained(made / "first")
    row = examples("summarization")[0]
    prompt = torch.tensor([encode_prompt(tokenizer, row.prompt)])
    written = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=24)
    answer = written[0, prompt.shape[1] :].tolist()
    end = answer.index(tokenizer.eos_token_id)
    assert tokenizer.decode(answer[:end]) == row.target


def test_gpt2s_tokenizer_has_neither_padding_token_nor_chat_template(tmp_path: Path) -> None:
    """The tests of GPT-2 assume it."""
    tokenizer = AutoTokenizer.from_pretrained(make_gpt2(tmp_path))
    assert tokenizer.pad_token_id is None and not tokenizer.chat_template and tokenizer.eos_token_id is not None


@pytest.mark.usefixtures("causal")
def test_labels_are_the_targets_tokens_and_eos_alone() -> None:
    tokenizer, row = AutoTokenizer.from_pretrained("models/pretrained/pico"), examples("ner")[2]
    (encoded,) = encode_rows(tokenizer, [row], 1024)
    prompt, target = encode_prompt(tokenizer, row.prompt), (*encode_text(tokenizer, row.target), tokenizer.eos_token_id)
    assert encoded["input_ids"] == [*prompt, *target] and encoded["labels"] == [*[IGNORED] * len(prompt), *target]


TEXTS = st.lists(
    st.tuples(st.lists(st.integers(0, 99), min_size=1, max_size=9), st.lists(st.integers(0, 99), min_size=1, max_size=5)),
    min_size=1,
    max_size=4,
)


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return AutoModelForCausalLM.from_pretrained(MODELS[request.param](tmp_path_factory.mktemp("pico"))).eval()


@given(texts=TEXTS)
def test_the_loss_of_a_batch_is_that_of_its_rows_one_by_one(model: Any, texts: list[tuple[list[int], list[int]]]) -> None:
    rows = [{"input_ids": prompt + target, "labels": [IGNORED] * len(prompt) + target} for prompt, target in texts]
    with torch.no_grad():
        found = model(**collate(rows)).loss
        scores = [model(torch.tensor([prompt + target])).logits[0, len(prompt) - 1 : -1] for prompt, target in texts]
    targets = torch.tensor([token for _, target in texts for token in target])
    torch.testing.assert_close(found, cross_entropy(torch.cat(scores), targets), rtol=1e-4, atol=1e-4)


def test_scores_are_computed_from_the_column_before_the_first_target_on() -> None:
    rows = [
        {"input_ids": [1, 2, 3, 4], "labels": [IGNORED, IGNORED, 3, 4]},
        {"input_ids": [1, 2, 3, 5, 6, 7], "labels": [*[IGNORED] * 4, 6, 7]},
    ]
    batch = collate(rows)
    assert batch["logits_to_keep"].tolist() == [1, 2, 3, 4, 5] and batch["input_ids"].tolist()[0][:4] == [1, 2, 3, 4]
    assert batch["labels"].tolist() == [[IGNORED, 3, 4, IGNORED, IGNORED], [IGNORED, IGNORED, IGNORED, 6, 7]]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_row_that_is_too_long_is_refused_and_none_is_truncated(causal: Path, split: str) -> None:
    rows = examples("relevance")
    long = rows[0].model_copy(update={"id": "long", "prompt": rows[0].prompt * 3})
    length = len(encode_rows(AutoTokenizer.from_pretrained("models/pretrained/pico"), [long], 1024)[0]["input_ids"])
    train, validation = ([*rows, long], rows) if split == "train" else (rows, [*rows, long])
    message = (
        rf"^example long: {length} tokens are more than the baseline's max_length {length - 1}; raise it, or remove the row"
    )
    with pytest.raises(UserError, match=message):
        fit(full("relevance", max_length=length - 1), train, causal / "made", validation=validation)


def test_a_max_length_that_exceeds_the_context_is_refused(causal: Path) -> None:
    context = json.loads((causal / "models/pretrained/pico/config.json").read_text())
    most = context.get("n_positions") or context["max_position_embeddings"]
    with pytest.raises(UserError, match=rf"^the baseline's max_length {most + 1} exceeds the model's context of {most}; lower"):
        fit(full("relevance", max_length=most + 1), examples("relevance"), causal / "made")


def test_a_diverged_training_is_refused(causal: Path) -> None:
    spoil_weights(causal / "models/pretrained/pico", float("nan"))
    with pytest.raises(UserError, match="the training has diverged: its weights are not finite numbers; lower the baseline's"):
        fit(full("relevance"), examples("relevance"), causal / "made")


def test_missing_and_broken_weights_are_one_sentence(causal: Path) -> None:
    folder = causal / "models/baselines/causal/relevance"
    fit(full("relevance"), examples("relevance"), folder)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(
        UserError, match=r"models/baselines/causal/relevance.* is missing or broken .*; remove it and run dvc repro"
    ):
        list(
            answer_with_model(
                params_of(full("relevance")),
                "full",
                {"relevance": load_task("relevance")},
                {"relevance": examples("relevance")[:1]},
            )
        )
    shutil.rmtree(causal / "models/pretrained/pico")
    with pytest.raises(UserError, match="models/pretrained/pico is missing; run dvc repro, which makes it"):
        fit(full("relevance"), examples("relevance"), causal / "made")


def test_without_progress_training_stops_at_the_best_epoch(causal: Path) -> None:
    rows = examples("relevance")
    settings = full("relevance", epochs=40, patience=2, learning_rate=3e-2)
    fit(settings, rows[:4], causal / "stopped", validation=rows[4:])
    losses = [entry["loss"] for entry in json.loads((causal / "stopped/training.json").read_text())["validation"]]
    assert losses[-3] == min(losses) and len(losses) < 40
    best = full("relevance", epochs=40, learning_rate=3e-2)
    fit(best, rows[:4], causal / "all", validation=rows[4:])
    weights = [load_file(causal / name / "model.safetensors") for name in ("stopped", "all")]
    assert any(not np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])

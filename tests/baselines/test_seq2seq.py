"""Seq2seq baselines train a pretrained model itself and answer greedily."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.numpy import load_file

from ecomtune.core.config import Model
from ecomtune.core.files import sha256_folder
from ecomtune.core.paths import SCRATCH
from ecomtune.models.sources import save_pretrained
from tests.support.baselines import answer, baseline, examples, fit
from tests.support.pico import make_bart, make_t5


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


def test_a_seq2seq_model_reports_how_many_texts_it_truncates(pico: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(baseline("seq2seq", "summarization", max_length=512, max_new_tokens=2), examples("summarization"), Path("made"))
    printed = capsys.readouterr().out
    assert "summarization: targets truncated to max_new_tokens (2 tokens): 8 of 8" in printed and "inputs" not in printed

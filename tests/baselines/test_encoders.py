"""Encoder baselines fit labels and tags, and refuse files that were edited."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from ecomtune.baselines.encoder_head import class_weights
from ecomtune.baselines.fitting.adversarial import AdversarialTrainer
from ecomtune.core.config import Baseline
from ecomtune.core.files import sha256_folder
from ecomtune.messages.errors import UserError
from tests.support.baselines import answer, baseline, example, examples, fit, link_encoder
from tests.support.pico import ENDLESS_SPLIT, make_deberta
from tests.support.tasks import load_task


@pytest.mark.parametrize("task", ["relevance", "ner"])
def test_an_encoder_of_another_architecture_fits_its_examples(workplace: Path, pico_encoder: Path, task: str) -> None:
    link_encoder(workplace, make_deberta(workplace / "deberta", pico_encoder))
    settings = baseline("encoder", task, epochs=60, learning_rate=1e-2, batch_size=8)
    fit(settings, examples(task), workplace / "fitted")
    learned = [parsed for _, parsed in answer(settings, workplace / "fitted", examples(task))]
    assert learned == [each.reference for each in examples(task)]


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
        load_task("ner").target(asked.fields, tags),
        tags,
    )


def test_a_tagger_trains_on_words_without_a_token(pico: Path) -> None:
    odd = example("ner", {"words": ["red", "\u200b", "shoes"]}, ["B-color", "O", "B-modifier"])
    settings = baseline("encoder", "ner", epochs=20, learning_rate=1e-2)
    fit(settings, [odd] * 4, pico / "fitted")
    assert answer(settings, pico / "fitted", [odd])[0][1] == odd.reference


EDITED: dict[str, tuple[str, dict[str, Any], str]] = {
    "another kind of model": ("config.json", {"model_type": "gpt2"}, "weights that the model needs are missing"),
    "a layer less": ("config.json", {"num_hidden_layers": 1}, "its config leaves out layers that its files hold"),
    "a layer more": ("config.json", {"num_hidden_layers": 3}, "weights that the model needs are missing"),
    "a million layers": ("config.json", {"num_hidden_layers": 1_000_000}, "1000000 layers"),
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

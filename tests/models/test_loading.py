"""With the real pretrained weights: plain transformers and peft can load the project's folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.support.scratch_clone import REPOSITORY

pytestmark = pytest.mark.weights
SMOLLM2 = REPOSITORY / "models/pretrained/smollm2"
MINILM = REPOSITORY / "models/pretrained/minilm"


def test_the_base_loads_with_plain_transformers_and_continues_a_sentence() -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(SMOLLM2)
    tokenizer = AutoTokenizer.from_pretrained(SMOLLM2)
    assert model.dtype == torch.float32 and model.num_parameters() == 134_515_008
    ids = tokenizer("The capital of France is", return_tensors="pt")
    with torch.inference_mode():
        next_token = int(model(**ids).logits[0, -1].argmax())
    assert tokenizer.decode(next_token) == " Paris"


def test_the_encoder_loads_with_plain_transformers() -> None:
    from transformers import AutoModel

    assert AutoModel.from_pretrained(MINILM).num_parameters() == 22_713_216


@pytest.mark.parametrize("folder", [SMOLLM2, MINILM], ids=["smollm2", "minilm"])
def test_pretrained_folders_hold_safetensors_and_no_quantization(folder: Path) -> None:
    assert {file.suffix for file in folder.iterdir()} <= {".json", ".safetensors", ".jinja", ".txt"}
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())


def test_the_pieces_of_a_tag_answer_have_the_tokens_of_the_whole_answer() -> None:
    """Decoding encodes words, tags and line breaks separately, training the target as a whole: both need the same tokens."""
    from transformers import AutoTokenizer

    from ecomtune.models.tokenization import encode_text
    from tests.support.tasks import load_task

    tokenizer = AutoTokenizer.from_pretrained(SMOLLM2)
    words = ["nike", "men's", "10-5", "&", "+", "(2", "pack)", '"x"', "café", "3/4", "a.b", "12oz", "#7", "$20", "—", "日本"]
    tags = ["B-creator", *["B-core_product_type", "I-core_product_type", "O"] * 5]
    target = load_task("ner").target({"words": words}, tags)
    pieces: list[int] = []
    for place, line in enumerate(target.split("\n")):
        word, tag = line.rsplit(" ", 1)
        pieces += [
            *(encode_text(tokenizer, "\n") if place else ()),
            *encode_text(tokenizer, word),
            *encode_text(tokenizer, f" {tag}"),
        ]
    assert tuple(pieces) == encode_text(tokenizer, target)
    first_tokens = {
        encode_text(tokenizer, f" {word}") for word in [*load_task("ner").definition.type_words.values(), "none", "+"]
    }
    assert len(first_tokens) == 19 and all(len(tokens) == 1 for tokens in first_tokens)


def test_the_shared_prefix_loss_equals_the_plain_one_on_real_weights() -> None:
    from transformers import AutoTokenizer

    from ecomtune.core.config import Training
    from ecomtune.core.records import Example
    from ecomtune.lora.batches import SharedPrefixCollator
    from ecomtune.lora.model import lora_model
    from ecomtune.models.tokenization import encode_example
    from tests.support.tasks import load_task

    settings = Training(
        model="smollm2",
        rank=4,
        alpha=8,
        dropout=0,
        learning_rate=1e-3,
        epochs=1,
        batch_size=4,
        token_budget=4096,
        max_length=512,
    )
    task, tokenizer = load_task("ner"), AutoTokenizer.from_pretrained(SMOLLM2)
    queries = [["red", "shoes"], ["acme", "running", "shoes", "for", "men"], ["12", "pack"]]
    rows = [
        Example(
            id=str(place),
            task="ner",
            prompt=task.prompt({"words": words}, "long"),
            target=task.target({"words": words}, ["B-modifier", *["I-modifier"] * (len(words) - 1)]),
            reference=[],
            fields={},
            group=str(place),
            source="made",
        )
        for place, words in enumerate(queries)
    ]
    encoded = [encode_example(tokenizer, row, settings.max_length) for row in rows]
    model = lora_model(SMOLLM2, settings)
    losses = []
    for share in (True, False):
        batch = SharedPrefixCollator(0, share=share)(encoded)
        assert (len(batch["prefix_ids"]) > 100) == share
        model.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        norm = sum(float(p.grad.pow(2).sum()) for p in model.parameters() if p.grad is not None) ** 0.5
        losses.append((float(loss), norm))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_trained_and_merged_adapters_load_with_plain_peft() -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folders = [file.parent for file in sorted((REPOSITORY / "models/adapters").rglob("adapter_config.json"))]
    if not folders:
        pytest.skip("models/adapters is empty: make repro trains them")
    base = AutoModelForCausalLM.from_pretrained(SMOLLM2)
    model = PeftModel.from_pretrained(base, folders[0], adapter_name="0")
    for place, folder in enumerate(folders[1:], start=1):
        model.load_adapter(folder, adapter_name=str(place))
    for place, folder in enumerate(folders):
        config = json.loads((folder / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == "models/pretrained/smollm2"
        weights = [p for name, p in model.named_parameters() if f"lora_B.{place}." in name]
        assert weights and any(float(each.abs().max()) > 0 for each in weights)

"""Computing a batch's prompt prefix once changes neither its loss nor any gradient."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, PeftModelForCausalLM
from peft.tuners.lora import Linear
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from ecomtune.core.config import Training
from ecomtune.core.records import Example
from ecomtune.lora import prefix_attention
from ecomtune.lora.batches import SharedPrefixCollator
from ecomtune.lora.model import lora_model
from ecomtune.lora.shared_prefix import SharedPrefixLora
from ecomtune.models.tokenization import IGNORED, EncodedExample, encode_example
from tests.support.tasks import load_task

Gradients = dict[str, Tensor]

QUERIES = ["red running shoes for men", "blue mug", "12 pack socks", "wool hat size 7", "kettle", "oak table for the garden"]
LABELS = ["Exact", "Substitute", "Irrelevant", "Complement", "Exact", "Substitute"]


@dataclass(frozen=True)
class Models:
    """Our model and transformers' own with the same weights (not shown where a test fails, since they are long)."""

    ours: SharedPrefixLora = field(repr=False)
    plain: PeftModelForCausalLM = field(repr=False)


@pytest.fixture(scope="module")
def models(pico_causal: Path) -> Models:
    """B is random, since A has no gradient while B is zero."""
    torch.manual_seed(1)
    training = Training(
        model="pico", rank=4, alpha=8, dropout=0.0, learning_rate=0.01, epochs=1, batch_size=4, token_budget=999, max_length=999
    )
    ours = lora_model(pico_causal, training)
    for name, weight in ours.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    config = LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, lora_dropout=0.0, target_modules="all-linear")
    plain = PeftModelForCausalLM(AutoModelForCausalLM.from_pretrained(pico_causal, dtype=torch.float32), config)
    plain.load_state_dict(ours.state_dict())
    return Models(ours, plain)


@pytest.fixture(scope="module")
def rows(pico_causal: Path) -> list[EncodedExample]:
    """Real prompts of one task and of different lengths."""
    tokenizer = AutoTokenizer.from_pretrained(pico_causal)
    task = load_task("relevance")
    examples = [
        Example(
            id=query,
            task="relevance",
            prompt=task.prompt({"query": query, "title": f"Acme {query}"}, "compact"),
            target=f"{label} since it is {query}"[: 8 * (place + 1)],
            reference=label,
            fields={},
            group=query,
            source="made",
        )
        for place, (query, label) in enumerate(zip(QUERIES, LABELS, strict=True))
    ]
    return [encode_example(tokenizer, example, 1000) for example in examples]


def gradients(model: Any) -> Gradients:
    """The gradient of every LoRA weight by its name; they are cleared for the next computation."""
    found = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    assert {name for name, weight in model.named_parameters() if weight.requires_grad} == set(found)
    model.zero_grad()
    return found


def shared(model: SharedPrefixLora, batch: Sequence[EncodedExample], share: bool = True) -> tuple[float, Gradients]:
    collated = SharedPrefixCollator(0, share=share)(batch)
    assert (len(collated["prefix_ids"]) > 0) == (share and len(batch) > 1)
    loss = model(**collated).loss
    loss.backward()
    return loss.item(), gradients(model)


def padded(batch: Sequence[EncodedExample]) -> dict[str, Tensor]:
    """The full sequences as transformers takes them."""
    width = max(map(len, batch))
    ids, labels = torch.zeros(len(batch), width, dtype=torch.long), torch.full((len(batch), width), IGNORED)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(batch):
        ids[place, : len(row)] = torch.tensor([*row.prompt_ids, *row.target_ids])
        labels[place, len(row.prompt_ids) : len(row)] = torch.tensor(row.target_ids)
        mask[place, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def vanilla(model: Any, batch: Sequence[EncodedExample]) -> tuple[float, Gradients]:
    """transformers' own loss of the full sequences."""
    loss = model(**padded(batch)).loss
    loss.backward()
    return loss.item(), gradients(model)


def check_equal(ours: tuple[float, Gradients], expected: tuple[float, Gradients]) -> None:
    assert ours[0] == pytest.approx(expected[0], rel=1e-5)
    assert len(expected[1]) == 2 * 2 * 7  # A and B of seven linear layers in two blocks
    for name, gradient in expected[1].items():
        assert gradient.norm() > 0, name
        assert (ours[1][name] - gradient).norm() <= 1e-5 * gradient.norm(), name


def test_a_layer_and_its_adapter_are_one_operation_in_the_ordinary_case(models: Models) -> None:
    layer = models.ours.get_base_model().model.layers[0].mlp.down_proj
    x = torch.randn(2, 3, layer.in_features)
    fused = layer(x)
    assert "FusedProduct" in fused.grad_fn.next_functions[0][0].name()
    torch.testing.assert_close(fused, Linear.forward(layer, x))
    with models.ours.disable_adapter():
        assert torch.equal(layer(x), layer.base_layer(x))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x), Linear.forward(layer, x))


def test_dropout_leaves_the_adapter_to_peft(pico_causal: Path) -> None:
    settings = Training(
        model="pico", rank=4, alpha=8, dropout=0.5, learning_rate=0.01, epochs=1, batch_size=4, token_budget=999, max_length=999
    )
    layer = lora_model(pico_causal, settings).get_base_model().model.layers[0].mlp.down_proj
    torch.nn.init.normal_(layer.lora_B["default"].weight)
    x = torch.ones(1, 1, layer.in_features)
    assert not torch.equal(layer(x), layer(x))


@pytest.mark.parametrize("places", [[0, 1], [1, 3, 4], [4, 2, 0, 5], [2, 2, 2], [0, 1, 2, 3, 4, 5]])
def test_a_shared_prefix_changes_neither_loss_nor_gradients(
    models: Models, rows: list[EncodedExample], places: list[int]
) -> None:
    batch = [rows[place] for place in places]
    check_equal(shared(models.ours, batch), vanilla(models.plain, batch))


@pytest.mark.parametrize("places", [[0, 1], [4, 2, 0, 5]])
def test_on_other_devices_a_shared_prefix_changes_neither(
    models: Models, rows: list[EncodedExample], places: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The computation on a GPU, under autocast or with another release of torch, without the CPU's own kernels."""
    monkeypatch.setattr(prefix_attention, "is_ordinary", lambda *_: False)
    batch = [rows[place] for place in places]
    check_equal(shared(models.ours, batch), vanilla(models.plain, batch))


def test_training_uses_the_fast_parts_of_a_step(models: Models, rows: list[EncodedExample]) -> None:
    loss = models.ours(**SharedPrefixCollator(0, share=True)(rows)).loss
    found, pending = set(), [loss.grad_fn]
    while pending:
        operation = pending.pop()
        if operation is not None and operation not in found:
            found.add(operation)
            pending += [each for each, _ in operation.next_functions]
    names = {operation.name() for operation in found}
    assert {"_HeadLossBackward", "_NormBackward", "_FusedProductBackward", "_RowsAttentionBackward"} <= names


@pytest.mark.parametrize("places", [[3], [0, 1], [0, 1, 2, 3, 4, 5]])
def test_without_a_prefix_loss_and_gradients_are_the_plain_ones_too(
    models: Models, rows: list[EncodedExample], places: list[int]
) -> None:
    batch = [rows[place] for place in places]
    check_equal(shared(models.ours, batch, share=False), vanilla(models.plain, batch))


@settings(max_examples=12)
@given(
    prefix=st.integers(64, 90),
    lengths=st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=2, max_size=4),
    seed=st.integers(0, 999),  # a constant sequence, to which hypothesis would shrink tokens, has no gradient of attention
)
def test_any_prefix_and_any_rows_have_the_plain_loss_and_gradients(
    models: Models, prefix: int, lengths: list[tuple[int, int]], seed: int
) -> None:
    rng = random.Random(seed)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(rng.randrange(3, 700) for _ in range(count))

    stem = tokens(prefix)
    batch = [EncodedExample("row", "any", stem + tokens(prompt), tokens(target)) for prompt, target in lengths]
    check_equal(shared(models.ours, batch), vanilla(models.plain, batch))


@pytest.mark.parametrize("share", [True, False])
def test_micro_batches_add_up_to_the_whole_batch(models: Models, rows: list[EncodedExample], share: bool) -> None:
    parts = [rows[:2], rows[2:5], rows[5:]]
    targets = sum(len(row.target_ids) for row in rows)
    loss = 0.0
    for part in parts:
        collated = SharedPrefixCollator(0, share=share)(part)
        part_loss = models.ours(**collated, num_items_in_batch=torch.tensor(targets)).loss
        part_loss.backward()  # gradients add up, as they do in an optimizer step with accumulation
        loss += part_loss.item()
    check_equal((loss, gradients(models.ours)), vanilla(models.plain, rows))


@pytest.mark.parametrize("share", [True, False])
def test_the_padding_tokens_do_not_change_the_loss(models: Models, rows: list[EncodedExample], share: bool) -> None:
    losses = []
    for pad in (0, 7, 699):
        collated = SharedPrefixCollator(pad, share=share)(rows)
        losses.append(models.ours(**collated).loss.item())
    assert losses[0] == losses[1] == losses[2]


def test_the_prefix_runs_once_for_the_whole_batch(models: Models, rows: list[EncodedExample]) -> None:
    collated = SharedPrefixCollator(0)(rows)
    seen: list[int] = []
    embedding = models.ours.get_input_embeddings()
    handle = embedding.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0].numel()))
    models.ours(**collated)
    handle.remove()
    saved = (len(rows) - 1) * len(collated["prefix_ids"])
    assert sum(seen) == sum(map(len, rows)) - saved  # so no padding is computed


def test_the_model_inside_remains_an_ordinary_one(models: Models, rows: list[EncodedExample]) -> None:
    losses = [model(**padded(rows)).loss.item() for model in (models.ours.get_base_model(), models.plain)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_one_batch_leaves_nothing_behind_for_the_next(models: Models, rows: list[EncodedExample]) -> None:
    first = shared(models.ours, rows[:3])
    shared(models.ours, rows[3:])
    again = shared(models.ours, rows[:3])
    assert first[0] == again[0]
    assert all(torch.equal(gradient, again[1][name]) for name, gradient in first[1].items())

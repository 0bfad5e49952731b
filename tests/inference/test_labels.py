"""Labels by likelihood, and sampled texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from ecomtune.inference.decoding.labels import answer_likeliest, label_scores
from ecomtune.inference.decoding.local_answers import load_model
from ecomtune.inference.decoding.strategies import answer_texts
from ecomtune.models.tokenization import encode_prompt, encode_text

PROMPTS = ["Query: red shoes\nFit:", "Query: blue phone case for men\nFit:", "Query: x\nFit:"]
LABELS = ["Exact", "Exact match", "no", "Complement of sorts"]


def quiet(_: int) -> None:
    """No progress is shown."""


@pytest.fixture(scope="module")
def causal(pico_causal: Path) -> tuple[Any, Any]:
    return load_model(pico_causal, None), AutoTokenizer.from_pretrained(pico_causal)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_label_scores_are_the_log_likelihoods_of_a_plain_forward(causal: tuple[Any, Any], batch_size: int) -> None:
    model, tokenizer = causal
    assert {len(encode_text(tokenizer, label)) for label in LABELS} > {1}  # labels of one token and of several
    expected = torch.zeros(len(PROMPTS), len(LABELS))
    for row, prompt in enumerate(PROMPTS):
        for place, label in enumerate(LABELS):
            before, option = encode_prompt(tokenizer, prompt), encode_text(tokenizer, label)
            with torch.inference_mode():
                logs = model(torch.tensor([[*before, *option]])).logits[0].log_softmax(-1)
            expected[row, place] = sum(logs[len(before) - 1 + step, token] for step, token in enumerate(option))
    assert torch.allclose(label_scores(model, tokenizer, PROMPTS, LABELS, batch_size, quiet), expected, atol=1e-4)


def test_normalizations_choose_by_their_own_formula(causal: tuple[Any, Any]) -> None:
    model, tokenizer = causal
    scores = label_scores(model, tokenizer, PROMPTS, LABELS, 3, quiet)
    empty = label_scores(model, tokenizer, ["N/A"], LABELS, 1, quiet)
    lengths = torch.tensor([len(encode_text(tokenizer, label)) for label in LABELS])
    for name, expected in (("sum", scores), ("mean", scores / lengths), ("calibrated", scores - empty)):
        found = answer_likeliest(model, tokenizer, PROMPTS, LABELS, 2, quiet, name, ["N/A"] * 3)  # type: ignore[arg-type]  # a str from the parameters
        assert found == [LABELS[place] for place in expected.argmax(dim=1).tolist()]


def test_a_label_is_calibrated_by_the_prompt_without_content_of_its_own_row(causal: tuple[Any, Any]) -> None:
    model, tokenizer = causal
    scores = label_scores(model, tokenizer, PROMPTS, LABELS, 3, quiet)
    rows = [0, 1, 2, 0, 1, 2]
    without = ["N/A", "mug", "?", "mug", "N/A", "red running shoes for men 12 pack"]
    empty = torch.cat([label_scores(model, tokenizer, [each], LABELS, 1, quiet) for each in without])
    expected = (scores[rows] - empty).argmax(dim=1).tolist()
    prompts = [PROMPTS[row] for row in rows]
    found = answer_likeliest(model, tokenizer, prompts, LABELS, 4, quiet, "calibrated", without)
    assert found == [LABELS[place] for place in expected]
    assert found != answer_likeliest(model, tokenizer, prompts, LABELS, 4, quiet, "calibrated", without[::-1])


def test_sampling_is_seeded_and_independent_of_batches(causal: tuple[Any, Any]) -> None:
    model, tokenizer = causal
    first = answer_texts(model, tokenizer, PROMPTS, 12, 1, quiet, temperature=1.0, seed=3)
    assert first == answer_texts(model, tokenizer, PROMPTS, 12, 3, quiet, temperature=1.0, seed=3)
    assert first != answer_texts(model, tokenizer, PROMPTS, 12, 3, quiet, temperature=1.0, seed=4)


def test_samples_follow_the_models_distribution(causal: tuple[Any, Any]) -> None:
    model, tokenizer = causal
    with torch.inference_mode():
        expected = model(torch.tensor([encode_prompt(tokenizer, PROMPTS[0])])).logits[0, -1].softmax(-1)
    from ecomtune.inference.decoding.strategies import next_tokens

    logits = expected.log().expand(4000, -1)
    drawn = torch.tensor(next_tokens(logits, 1.0, [torch.Generator().manual_seed(row) for row in range(4000)]))
    found = torch.bincount(drawn, minlength=len(expected)) / 4000
    assert float((found - expected).abs().max()) < 0.03

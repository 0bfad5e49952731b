"""Labels by likelihood, and sampled texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer

from ecomtune.inference.decoding.labels import answer_likeliest, label_scores
from ecomtune.inference.decoding.local_model import load_causal
from ecomtune.inference.decoding.strategies import Decoder, answer_texts, next_tokens
from ecomtune.models.tokenization import encode_prompt, encode_text

PROMPTS = ["Query: red shoes\nFit:", "Query: blue phone case for men\nFit:", "Query: x\nFit:"]
LABELS = ["Exact", "Exact match", "no", "Complement of sorts"]


class Causal:
    """The pico model and its tokenizer."""

    def __init__(self, folder: Path) -> None:
        self.model, self.tokenizer = load_causal(folder, None), AutoTokenizer.from_pretrained(folder)

    def decoder(self, batch_size: int) -> Decoder:
        return Decoder(self.model, self.tokenizer, batch_size)

    def encoded(self, prompts: Sequence[str]) -> list[tuple[int, ...]]:
        return [encode_prompt(self.tokenizer, prompt) for prompt in prompts]

    def scores(self, prompts: Sequence[str], batch_size: int = 3) -> Tensor:
        return label_scores(self.decoder(batch_size), self.encoded(prompts), LABELS)


@pytest.fixture(scope="module")
def causal(pico_causal: Path) -> Causal:
    return Causal(pico_causal)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_label_scores_are_the_log_likelihoods_of_a_plain_forward(causal: Causal, batch_size: int) -> None:
    assert {len(encode_text(causal.tokenizer, label)) for label in LABELS} > {1}  # labels of one token and of several
    expected = torch.zeros(len(PROMPTS), len(LABELS))
    for row, prompt in enumerate(PROMPTS):
        for place, label in enumerate(LABELS):
            before, option = encode_prompt(causal.tokenizer, prompt), encode_text(causal.tokenizer, label)
            with torch.inference_mode():
                logs = causal.model(torch.tensor([[*before, *option]])).logits[0].log_softmax(-1)
            expected[row, place] = sum(logs[len(before) - 1 + step, token] for step, token in enumerate(option))
    assert torch.allclose(causal.scores(PROMPTS, batch_size), expected, atol=1e-4)


def test_normalizations_choose_by_their_own_formula(causal: Causal) -> None:
    scores = causal.scores(PROMPTS)
    empty = causal.scores(["N/A"])
    lengths = torch.tensor([len(encode_text(causal.tokenizer, label)) for label in LABELS])
    for name, expected in (("sum", scores), ("mean", scores / lengths), ("calibrated", scores - empty)):
        empty_prompts = causal.encoded(["N/A"] * 3)
        found = answer_likeliest(causal.decoder(2), causal.encoded(PROMPTS), LABELS, name, empty_prompts)  # type: ignore[arg-type]  # a str from the parameters
        assert found == [LABELS[place] for place in expected.argmax(dim=1).tolist()]


def test_a_label_is_calibrated_by_the_prompt_without_content_of_its_own_row(causal: Causal) -> None:
    scores = causal.scores(PROMPTS)
    rows = [0, 1, 2, 0, 1, 2]
    without = ["N/A", "mug", "?", "mug", "N/A", "red running shoes for men 12 pack"]
    empty = torch.cat([causal.scores([each]) for each in without])
    expected = (scores[rows] - empty).argmax(dim=1).tolist()
    prompts, empty_prompts = causal.encoded([PROMPTS[row] for row in rows]), causal.encoded(without)
    found = answer_likeliest(causal.decoder(4), prompts, LABELS, "calibrated", empty_prompts)
    assert found == [LABELS[place] for place in expected]
    assert found != answer_likeliest(causal.decoder(4), prompts, LABELS, "calibrated", empty_prompts[::-1])


def test_sampling_is_seeded_and_independent_of_batches(causal: Causal) -> None:
    prompts = causal.encoded(PROMPTS)
    first = answer_texts(causal.decoder(1), prompts, 12, temperature=1.0, seed=3)
    assert first == answer_texts(causal.decoder(3), prompts, 12, temperature=1.0, seed=3)
    assert first != answer_texts(causal.decoder(3), prompts, 12, temperature=1.0, seed=4)


def test_samples_follow_the_models_distribution(causal: Causal) -> None:
    with torch.inference_mode():
        expected = causal.model(torch.tensor(causal.encoded(PROMPTS[:1]))).logits[0, -1].softmax(-1)
    logits = expected.log().expand(4000, -1)
    drawn = torch.tensor(next_tokens(logits, 1.0, [torch.Generator().manual_seed(row) for row in range(4000)]))
    found = torch.bincount(drawn, minlength=len(expected)) / 4000
    assert float((found - expected).abs().max()) < 0.03

"""Sentence vectors are the normalized means of the encoder's token states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from ecomtune.models import embeddings
from ecomtune.models.embeddings import embed


def test_a_vector_is_the_mean_of_the_tokens_states_at_length_one_whatever_its_batch(
    pico_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer, model = AutoTokenizer.from_pretrained(pico_encoder), AutoModel.from_pretrained(pico_encoder).eval()
    texts = ["red running shoes for men", "mug", "12 pack", "mug", ""]
    with torch.inference_mode():
        states = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0] for text in texts]
    means = [each.mean(0) / each.mean(0).norm() for each in states]
    for batch_size in (1, 2, 64):
        monkeypatch.setattr(embeddings, "BATCH_SIZE", batch_size)
        np.testing.assert_allclose(embed(pico_encoder, texts), torch.stack(means).numpy(), atol=1e-5)


def test_long_texts_are_truncated_not_refused(pico_encoder: Path) -> None:
    long = embed(pico_encoder, ["red shoes " * 2000, "red shoes " * 3000])
    np.testing.assert_allclose(long[0], long[1], atol=1e-6)

"""Sentence vectors of a pretrained encoder: texts of similar meaning point in similar directions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

from ecomtune.messages.errors import reading
from ecomtune.models.loading import load_model

BATCH_SIZE = 64
#: Longer texts are cut, as all-MiniLM-L6-v2's model card says that this model does.
MAX_TOKENS = 256


@torch.inference_mode()
def embed(folder: Path, texts: Sequence[str]) -> NDArray[np.float32]:
    """One vector of length 1 for each text [texts, H]: the mean of its tokens' last states (arXiv 1908.10084, section 3).

    Raises UserError where the encoder in ``folder`` is missing or broken.
    """
    model = load_model(AutoModel, folder, dtype=torch.float32).eval()
    with reading(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder)
    longest = min(MAX_TOKENS, model.config.max_position_embeddings)
    distinct = sorted(set(texts), key=lambda text: (len(text), text))  # of similar length; equal texts get equal vectors
    vectors: dict[str, NDArray[np.float32]] = {}
    for start in range(0, len(distinct), BATCH_SIZE):
        batch = distinct[start : start + BATCH_SIZE]
        encoded = tokenizer(batch, truncation=True, max_length=longest, padding=True, return_tensors="pt")
        states = model(**encoded).last_hidden_state
        inside = encoded["attention_mask"][:, :, None]
        means = (states * inside).sum(dim=1) / inside.sum(dim=1)
        vectors.update(zip(batch, functional.normalize(means, dim=-1).numpy(), strict=True))
    return np.stack([vectors[text] for text in texts])

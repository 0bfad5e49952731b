"""Labels by their likelihood after the prompt: every label of the set is scored, and the best one is the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ecomtune.inference.decoding.processes import gather
from ecomtune.inference.decoding.session import SharedPrefix, TokenIds
from ecomtune.inference.decoding.strategies import Decoder
from ecomtune.models.tokenization import encode_text

#: sum: log p(label | prompt). mean: that divided by the label's number of tokens. calibrated: that less
#: log p(label | prompt without content), which removes what the model prefers whatever it reads (arXiv 2102.09690).
Normalization = Literal["sum", "mean", "calibrated"]


def answer_likeliest(
    decoder: Decoder,
    prompts: Sequence[TokenIds],
    labels: Sequence[str],
    normalization: Normalization = "sum",
    without_content: Sequence[TokenIds] = (),
) -> list[str]:
    """For each prompt the likeliest of ``labels``; calibration compares it with its prompt in ``without_content``."""
    scores = label_scores(decoder, prompts, labels)
    if normalization == "mean":
        scores = scores / torch.tensor([len(encode_text(decoder.tokenizer, label)) for label in labels])
    elif normalization == "calibrated":
        keys = [tuple(prompt) for prompt in without_content]
        places = {key: place for place, key in enumerate(dict.fromkeys(keys))}  # all rows may share one
        silent = Decoder(decoder.model, decoder.tokenizer, decoder.batch_size)
        scores = scores - label_scores(silent, list(places), labels)[[places[key] for key in keys]]
    return [labels[place] for place in scores.argmax(dim=1).tolist()]


def label_scores(decoder: Decoder, prompts: Sequence[TokenIds], labels: Sequence[str]) -> Tensor:
    """log p(label | prompt) of each prompt and label: [prompts, labels], fp32.

    A prompt is read once for all labels; only labels of several tokens cost more than its last state.
    """
    options = [encode_text(decoder.tokenizer, label) for label in labels]
    longest = max(map(len, options))
    prefix = SharedPrefix(decoder.model, prompts)
    scores = torch.zeros(len(prompts), len(labels))
    batches = decoder.batches([len(prompt) for prompt in prompts])
    for rows in batches:
        session = decoder.start(prefix, [prompts[row] for row in rows], longest)
        found = session.logits().log_softmax(dim=-1)[:, [option[0] for option in options]]
        if longest > 1:
            session.keep([place for place in range(len(rows)) for _ in options])  # one copy of each row for each label
            for step in range(1, longest):
                session.feed([option[step - 1 : step] if step < len(option) else () for _ in rows for option in options])
                following = torch.tensor([option[step] if step < len(option) else 0 for option in options] * len(rows))
                gained = session.logits().log_softmax(dim=-1).cpu().gather(1, following[:, None])[:, 0]
                counts = torch.tensor([step < len(option) for option in options] * len(rows))
                found = found.cpu() + torch.where(counts, gained, 0.0).view(len(rows), len(options))
        scores[rows] = found.cpu()
        decoder.progress(len(rows))
    return torch.tensor(gather(scores.tolist(), batches)).view(len(prompts), len(labels))

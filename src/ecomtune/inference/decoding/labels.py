"""Labels by their likelihood after the prompt: every label of the set is scored, the best one is the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ecomtune.inference.decoding.processes import own, whole
from ecomtune.inference.decoding.session import SharedPrefix
from ecomtune.inference.decoding.strategies import Progress, batches, started
from ecomtune.models.tokenization import Tokenizer, encode_prompt, encode_text

#: sum: log p(label | prompt). mean: that divided by the label's number of tokens. calibrated: that less
#: log p(label | prompt without content), which takes away what the model prefers whatever it reads (arXiv 2102.09690).
Normalization = Literal["sum", "mean", "calibrated"]


def answer_likeliest(
    model: Any,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    labels: Sequence[str],
    batch_size: int,
    progress: Progress,
    normalization: Normalization = "sum",
    without_content: Sequence[str] = (),
) -> list[str]:
    """For each prompt the likeliest of ``labels``; ``without_content`` are the prompts that calibration compares them with."""
    scores = label_scores(model, tokenizer, prompts, labels, batch_size, progress)
    if normalization == "mean":
        scores = scores / torch.tensor([len(encode_text(tokenizer, label)) for label in labels])
    elif normalization == "calibrated":
        places = {prompt: place for place, prompt in enumerate(dict.fromkeys(without_content))}  # all rows may share one
        empty = label_scores(model, tokenizer, list(places), labels, batch_size, lambda _: None)
        scores = scores - empty[[places[prompt] for prompt in without_content]]
    return [labels[place] for place in scores.argmax(dim=1).tolist()]


def label_scores(
    model: Any, tokenizer: Tokenizer, prompts: Sequence[str], labels: Sequence[str], batch_size: int, progress: Progress
) -> Tensor:
    """log p(label | prompt) of each prompt and label: [prompts, labels], fp32.

    A prompt is read once for all labels; only labels of several tokens cost more than its last state.
    """
    encoded = [encode_prompt(tokenizer, prompt) for prompt in prompts]
    options = [encode_text(tokenizer, label) for label in labels]
    longest = max(map(len, options))
    prefix = SharedPrefix(model, encoded)
    scores = torch.zeros(len(prompts), len(labels))
    mine = own(batches([len(prompt) for prompt in encoded], batch_size))
    for rows in mine:
        session = started(model, prefix, [encoded[row] for row in rows], longest)
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
        progress(len(rows))
    return torch.tensor(whole(scores.tolist(), mine)).view(len(prompts), len(labels))

"""Tag sequences: the best valid one, and the loss of a linear-chain conditional random field (Lafferty et al. 2001)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ecomtune.models.tokenization import IGNORED

#: How much faster transitions are trained than an encoder's weights, since they start at zero (chosen on QueryNER's validation
#: queries). A factor is enough: AdamW's step doesn't depend on the size of a gradient.
GAIN = 32


class Transitions(nn.Module):
    """The score of each of T tags directly after each other one, and in the last row at the start: [T + 1, T]."""

    def __init__(self, tags: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(tags + 1, tags))

    def forward(self) -> Tensor:
        return GAIN * self.weight


def negative_log_likelihood(scores: Tensor, tags: Tensor, transitions: Tensor) -> Tensor:
    """The mean over B sentences of -log p(gold tag sequence).

    ``scores`` [B, L, T] of tokens and ``tags`` [B, L], IGNORED at tokens other than the first of a word.
    """
    words = tags != IGNORED
    order = torch.argsort((~words).byte(), dim=1, stable=True)[:, : int(words.sum(dim=1).max())]  # words come first
    words, tags = words.gather(1, order), tags.gather(1, order).clamp(min=0)
    scores = scores.gather(1, order[:, :, None].expand(-1, -1, scores.shape[-1]))
    between, start = transitions[:-1], transitions[-1]
    every = start + scores[:, 0]  # for each last tag, the log-sum of all sequences that end in it
    gold = every.gather(1, tags[:, :1]).squeeze(1)
    for place in range(1, scores.shape[1]):
        step = scores[:, place].gather(1, tags[:, place, None]).squeeze(1) + between[tags[:, place - 1], tags[:, place]]
        gold = gold + step * words[:, place]
        onward = torch.logsumexp(every[:, :, None] + between, dim=1) + scores[:, place]
        every = torch.where(words[:, place, None], onward, every)
    return (torch.logsumexp(every, dim=1) - gold).mean()


def best_path(scores: NDArray[np.floating[Any]], tags: Sequence[str], transitions: NDArray[np.floating[Any]]) -> list[str]:
    """The tag sequence of the highest total score in which every I-x follows B-x or I-x (Viterbi).

    ``scores`` [words, T]; ``transitions`` [T + 1, T], see :class:`Transitions`.
    """
    allowed = np.array([[follows(before, tag) for tag in tags] for before in [*tags, "O"]])
    steps = np.where(allowed, transitions, -np.inf)
    total = steps[-1] + scores[0] if len(scores) else steps[-1]
    back = []
    for row in scores[1:]:
        paths = total[:, None] + steps[:-1]
        back.append(paths.argmax(axis=0))
        total = paths.max(axis=0) + row
    best = [int(total.argmax())] if len(scores) else []
    for choices in reversed(back):
        best.append(int(choices[best[-1]]))
    return [tags[index] for index in reversed(best)]


def follows(before: str, tag: str) -> bool:
    """Whether ``tag`` may directly follow ``before`` in IOB2."""
    return not tag.startswith("I-") or (before != "O" and before[2:] == tag[2:])

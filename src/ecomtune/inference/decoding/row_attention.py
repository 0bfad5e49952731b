"""Attention of rows that read on token by token behind one shared prefix.

The rows' new tokens come laid end to end, so that linear layers see no padding. The prefix's keys and values are held once,
not once a row: all rows ask them in one product. Queries of one key head go together, so that keys are never repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

#: The name by which transformers finds this attention (``attn_implementation``).
NAME = "rows_behind_prefix"
#: Above this number of scores they aren't written out, but left to torch's fused attention, which needs no room for them.
MAX_SCORES = 2**24

#: Keys and values of one layer.
States = tuple[Tensor, Tensor]


@dataclass
class Reading:
    """What the rows have read, and where the tokens that they read now belong.

    ``prefix``: for each layer [K, P, D]; ``own``: for each layer [B, K, C, D] with room for C tokens a row; of the T tokens
    laid end to end, ``rows`` [T] and ``slots`` [T] say whose each is and its place in the row; ``places`` [B, W] says where a
    row's tokens stand among the T (0 where it has fewer), ``real`` [T] the reverse, counted over B * W; ``seen`` [B, W, S]
    which of its first S own slots a token sees.
    """

    prefix: list[States]
    own: list[States]
    rows: Tensor
    slots: Tensor
    places: Tensor
    real: Tensor
    seen: Tensor


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    reading: Reading | None = None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attention in the form that transformers asks for: query [1, H, T, D], key and value [1, K, T, D] -> [1, T, H, D].

    Without a reading it is transformers' own ``sdpa``, so that the model stays usable as an ordinary one.
    """
    if reading is None:
        output: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **options
        )
        return output
    keys, values = reading.own[module.layer_idx]
    keys[reading.rows, :, reading.slots] = key[0].transpose(0, 1)
    values[reading.rows, :, reading.slots] = value[0].transpose(0, 1)
    slots = reading.seen.shape[2]
    own = (keys[:, :, :slots], values[:, :, :slots])
    prefix = reading.prefix[module.layer_idx]
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = query.shape[1] * query.shape[2] * (prefix[0].shape[1] + slots)
    way = _written_out if scores <= MAX_SCORES else _fused
    return way(query[0] * scale, prefix, own, reading).transpose(0, 1)[None], None


def _written_out(query: Tensor, prefix: States, own: States, reading: Reading) -> Tensor:
    """[H, T, D] -> [H, T, D]: scores of the prefix for all tokens at once, of own tokens row by row, one softmax over both."""
    heads, tokens, width = query.shape
    groups, length = prefix[0].shape[:2]
    together = heads // groups * tokens
    shared = torch.bmm(query.reshape(groups, together, width), prefix[0].transpose(1, 2)).view(heads, tokens, length)
    own_scores = _by_row(query, reading, groups) @ own[0].transpose(2, 3)
    scores = torch.cat([shared, _by_token(own_scores, reading, heads)], dim=2)
    hidden = ~reading.seen.flatten(0, 1)[reading.real]
    scores[:, :, length:].masked_fill_(hidden, -torch.inf)
    weights = scores.softmax(dim=2)
    of_prefix = torch.bmm(weights[:, :, :length].reshape(groups, together, length), prefix[1]).view(heads, tokens, width)
    of_own = _by_row(weights[:, :, length:], reading, groups) @ own[1]
    return of_prefix + _by_token(of_own, reading, heads)


def _fused(query: Tensor, prefix: States, own: States, reading: Reading) -> Tensor:
    """The same by torch's fused attention, each row with a copy of the prefix."""
    rows = len(reading.places)
    keys, values = (
        torch.cat([shared.expand(rows, -1, -1, -1), each], dim=2).repeat_interleave(len(query) // len(shared), dim=1)
        for shared, each in zip(prefix, own, strict=True)
    )
    mask = functional.pad(reading.seen, (prefix[0].shape[1], 0), value=True)[:, None]
    padded = query[:, reading.places].transpose(0, 1)
    attended = functional.scaled_dot_product_attention(padded, keys, values, attn_mask=mask, scale=1.0)
    return attended.transpose(0, 1).flatten(1, 2)[:, reading.real]


def _by_row(states: Tensor, reading: Reading, groups: int) -> Tensor:
    """[H, T, X] -> [B, K, H / K * W, X]"""
    rows, width = reading.places.shape
    padded = states[:, reading.places.flatten()].view(len(states), rows, width, -1).transpose(0, 1)
    return padded.reshape(rows, groups, len(states) // groups * width, -1)


def _by_token(states: Tensor, reading: Reading, heads: int) -> Tensor:
    """[B, K, H / K * W, X] -> [H, T, X]"""
    padded = states.reshape(len(states), heads, -1, states.shape[-1]).transpose(0, 1)
    return padded.flatten(1, 2)[:, reading.real]


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)

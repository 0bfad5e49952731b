"""Attention for rows that continue token by token behind one shared prefix.

The rows' new tokens are laid end to end, so that linear layers see no padding. The prefix's keys and values are stored once,
not once per row: a single product scores them for all rows. Queries that share a key head are grouped, so that keys are never
repeated.
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
#: With more scores than this, torch's fused attention computes them, which doesn't store them.
MAX_SCORES = 2**24

#: Keys and values of one layer.
States = tuple[Tensor, Tensor]


@dataclass
class RowLayout:
    """What the rows have read, and where the tokens that they read now belong.

    ``prefix``: for each layer [K, P, D]. ``own``: for each layer [B, K, C, D], with room for C tokens of each row. Of the T
    tokens laid end to end, ``rows`` [T] and ``slots`` [T] are the row of each and its position in that row. ``places`` [B, W]
    is where a row's tokens are among the T (0 where it has fewer), and ``real`` [T] the reverse, counted over B * W. ``seen``
    [B, W, S] says which of a row's first S own slots a token sees.
    """

    prefix: list[States]
    own: list[States]
    rows: Tensor
    slots: Tensor
    places: Tensor
    real: Tensor
    seen: Tensor


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Attention in the form that transformers calls: query [1, H, T, D], key and value [1, K, T, D] -> [1, T, H, D].

    ``options`` holds what transformers passes on to each layer: ``scaling``, and the ``layout`` of the rows. Without a layout
    this is transformers' own ``sdpa``, so that the model remains usable as an ordinary one.
    """
    layout: RowLayout | None = options.pop("layout", None)
    if layout is None:
        output: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
        return output
    keys, values = layout.own[module.layer_idx]
    keys[layout.rows, :, layout.slots] = key[0].transpose(0, 1)
    values[layout.rows, :, layout.slots] = value[0].transpose(0, 1)
    slots = layout.seen.shape[2]
    own = (keys[:, :, :slots], values[:, :, :slots])
    prefix = layout.prefix[module.layer_idx]
    scaling = options.get("scaling")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = query.shape[1] * query.shape[2] * (prefix[0].shape[1] + slots)
    attention = _explicit if scores <= MAX_SCORES else _fused
    return attention(query[0] * scale, prefix, own, layout).transpose(0, 1)[None], None


def _explicit(query: Tensor, prefix: States, own: States, layout: RowLayout) -> Tensor:
    """[H, T, D] -> [H, T, D]: prefix scores for all tokens at once, own tokens' row by row, and one softmax over both."""
    heads, tokens, width = query.shape
    groups, length = prefix[0].shape[:2]
    together = heads // groups * tokens
    shared = torch.bmm(query.reshape(groups, together, width), prefix[0].transpose(1, 2)).view(heads, tokens, length)
    own_scores = _by_row(query, layout, groups) @ own[0].transpose(2, 3)
    scores = torch.cat([shared, _by_token(own_scores, layout, heads)], dim=2)
    hidden = ~layout.seen.flatten(0, 1)[layout.real]
    scores[:, :, length:].masked_fill_(hidden, -torch.inf)
    weights = scores.softmax(dim=2)
    of_prefix = torch.bmm(weights[:, :, :length].reshape(groups, together, length), prefix[1]).view(heads, tokens, width)
    of_own = _by_row(weights[:, :, length:], layout, groups) @ own[1]
    return of_prefix + _by_token(of_own, layout, heads)


def _fused(query: Tensor, prefix: States, own: States, layout: RowLayout) -> Tensor:
    """The same with torch's fused attention, where each row has a copy of the prefix."""
    rows = len(layout.places)
    keys, values = (
        torch.cat([shared.expand(rows, -1, -1, -1), each], dim=2).repeat_interleave(len(query) // len(shared), dim=1)
        for shared, each in zip(prefix, own, strict=True)
    )
    mask = functional.pad(layout.seen, (prefix[0].shape[1], 0), value=True)[:, None]
    padded = query[:, layout.places].transpose(0, 1)
    attended = functional.scaled_dot_product_attention(padded, keys, values, attn_mask=mask, scale=1.0)
    return attended.transpose(0, 1).flatten(1, 2)[:, layout.real]


def _by_row(states: Tensor, layout: RowLayout, groups: int) -> Tensor:
    """[H, T, X] -> [B, K, H / K * W, X]"""
    rows, width = layout.places.shape
    padded = states[:, layout.places.flatten()].view(len(states), rows, width, -1).transpose(0, 1)
    return padded.reshape(rows, groups, len(states) // groups * width, -1)


def _by_token(states: Tensor, layout: RowLayout, heads: int) -> Tensor:
    """[B, K, H / K * W, X] -> [H, T, X]"""
    padded = states.reshape(len(states), heads, -1, states.shape[-1]).transpose(0, 1)
    return padded.flatten(1, 2)[:, layout.real]


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)

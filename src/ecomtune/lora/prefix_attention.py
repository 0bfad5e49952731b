"""Attention over rows that share a prefix, concatenated in one sequence without padding.

In one sequence every linear layer processes the prefix once and each row's own tokens, in one large matrix product. Only
attention separates the rows: the prefix attends to itself, each row to the prefix and to itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from ecomtune.lora.two_part_attention import is_ordinary, rows_attention

#: The name by which transformers finds this attention (``attn_implementation``).
NAME = "shared_prefix"


@dataclass(frozen=True)
class Layout:
    """Where each token of a flat sequence [prefix, row 1, row 2, ...] of length T is.

    ``prefix``: number of prefix tokens P; ``places`` [B, L]: index in the sequence of each row's tokens, its last one
    repeated as padding; ``real`` [T - P]: index of each row token in the flattened padded rows [B * L]; ``positions`` [T]:
    each token's position in its own text; ``mask`` [1, 1, L, P + L]: what a row's token attends to.
    """

    prefix: int
    places: Tensor
    real: Tensor
    positions: Tensor
    mask: Tensor

    @classmethod
    def of(cls, prefix: int, lengths: Tensor) -> Layout:
        """The layout of rows of ``lengths`` [B] (each at least 1) after ``prefix`` tokens."""
        width = int(lengths.max())
        steps = torch.arange(width, device=lengths.device)
        inside = steps < lengths[:, None]
        starts = prefix + lengths.cumsum(0) - lengths
        places = starts[:, None] + torch.minimum(steps, lengths[:, None] - 1)
        positions = torch.cat([torch.arange(prefix, device=lengths.device), (prefix + steps).expand_as(inside)[inside]])
        causal = torch.ones(width, width, dtype=torch.bool, device=lengths.device).tril()
        sees_prefix = torch.ones(width, prefix, dtype=torch.bool, device=lengths.device)
        mask = torch.cat([sees_prefix, causal], dim=1)[None, None]
        return cls(prefix, places, inside.flatten().nonzero()[:, 0], positions, mask)


def shared_prefix_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Attention with the interface of transformers: query [1, H, T, D], key and value [1, K, T, D] -> [1, T, H, D].

    ``options`` are transformers' own (``scaling``, ``dropout``, ...) and ``shared_prefix``, the layout of the sequence. Without
    a layout it is transformers' ``sdpa``, so that the model can also be used as an ordinary one.
    """
    layout: Layout | None = options.pop("shared_prefix", None)
    if layout is None:
        output: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
        return output
    scaling, dropout = options.get("scaling"), options.get("dropout", 0.0)
    rows, length, repeats = len(layout.places), layout.prefix, query.shape[1] // key.shape[1]
    if length and is_ordinary(query, value, dropout):
        own = [states[0].index_select(1, layout.places.flatten()) for states in (query, key, value)]
        of_prefix = [states[0, :, :length] for states in (key, value)]
        flat = rows_attention((*own, *of_prefix), rows, scaling).transpose(0, 1)
        key, value = (states[:, :, :length].repeat_interleave(repeats, dim=1) for states in (key, value))
    else:
        key, value = (states.repeat_interleave(repeats, dim=1) for states in (key, value))
        of_rows = [_rows(states, layout.places) for states in (query, key, value)]
        keys, values = (
            torch.cat([states[:, :, :length].expand(rows, -1, -1, -1), row], dim=2)
            for states, row in zip((key, value), of_rows[1:], strict=True)
        )
        attended = scaled_dot_product_attention(
            of_rows[0], keys, values, attn_mask=layout.mask, dropout_p=dropout, scale=scaling
        )
        flat = attended.transpose(1, 2).flatten(0, 1)
    flat = flat[layout.real]
    if length:
        query, key, value = (states[:, :, :length] for states in (query, key, value))
        attended = scaled_dot_product_attention(query, key, value, is_causal=True, dropout_p=dropout, scale=scaling)
        flat = torch.cat([attended[0].transpose(0, 1), flat])
    return flat[None], None


def _rows(states: Tensor, places: Tensor) -> Tensor:
    """[1, H, T, D] -> [B, H, L, D]"""
    gathered = states[0].index_select(1, places.flatten())
    return gathered.view(len(gathered), *places.shape, -1).transpose(0, 1)


AttentionInterface.register(NAME, shared_prefix_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)

"""Rows' attention to their shared prefix and to themselves, computed separately and then combined.

All rows' queries are multiplied by the prefix's keys in one product, and no key is copied for each row. Besides its output,
torch's CPU kernel returns the logarithm of the softmax's denominator. With it two outputs over different keys are combined
into the output over all of them; and given the joint output and denominator, the kernel's backward computes each part's
share of the gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

#: torch's CPU kernel: private, so another release may lack it.
_forward: Any = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu", None)
_backward: Any = getattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu_backward", None)


def is_ordinary(query: Tensor, value: Tensor, dropout: float) -> bool:
    """Whether this attention is plain fp32 on a CPU, which torch's kernel computes."""
    if _forward is None or _backward is None:
        return False
    plain = query.device.type == "cpu" and query.dtype == value.dtype == torch.float32 and dropout == 0
    return plain and query.shape[-1] == value.shape[-1]


def rows_attention(states: Sequence[Tensor], rows: int, scale: float | None) -> Tensor:
    """Causal attention of rows after a prefix: their tokens' outputs [H, N, D].

    ``states``: the rows' query [H, N, D], key and value [K, N, D], the prefix's key and value [K, P, D]; N counts the
    tokens of ``rows`` concatenated rows, padded on the right to one length, and K divides H.
    """
    function: Any = _RowsAttention.apply  # apply has no types in torch
    output: Tensor = function(rows, scale, *states)
    return output


class _RowsAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: int, scale: float | None, *states: Tensor) -> Tensor:
        query, key, value, prefix_key, prefix_value = states
        repeats = len(query) // len(key)
        prefix = [each[None] for each in (query, *_repeated(repeats, prefix_key, prefix_value))]
        of_prefix, seen = (found[0] for found in _forward(*prefix, scale=scale))
        own = [_by_row(each, rows) for each in (query, *_repeated(repeats, key, value))]
        of_own, seen_own = (_concatenated(found) for found in _forward(*own, is_causal=True, scale=scale))
        joint = torch.logaddexp(seen, seen_own)
        output: Tensor = of_prefix * (seen - joint).exp()[..., None]
        output.addcmul_(of_own, (seen_own - joint).exp()[..., None])
        ctx.save_for_backward(query, key, value, prefix_key, prefix_value, output, joint)
        ctx.rows, ctx.scale = rows, scale
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, prefix_key, prefix_value, output, joint = ctx.saved_tensors
        repeats, gradient = len(query) // len(key), gradients[0].contiguous()
        seen = (gradient, query, *_repeated(repeats, prefix_key, prefix_value), output, joint)
        found = _backward(*(states[None] for states in seen), 0.0, False, scale=ctx.scale)
        of_query, *of_prefix = (states[0] for states in found)
        seen = (gradient, query, *_repeated(repeats, key, value), output, joint)
        found = _backward(*(_by_row(states, ctx.rows) for states in seen), 0.0, True, scale=ctx.scale)
        of_own_query, *of_own = (_concatenated(states) for states in found)
        of_states = [states.view(-1, repeats, *states.shape[1:]).sum(1) for states in (*of_own, *of_prefix)]
        return None, None, of_query + of_own_query, *of_states


def _repeated(repeats: int, *states: Tensor) -> list[Tensor]:
    """Each head of keys or values once for every query head of its group."""
    return [each.repeat_interleave(repeats, dim=0) for each in states]


def _by_row(states: Tensor, rows: int) -> Tensor:
    """[H, B * L, ...] -> [B, H, L, ...]"""
    return states.view(len(states), rows, -1, *states.shape[2:]).transpose(0, 1)


def _concatenated(states: Tensor) -> Tensor:
    """[B, H, L, ...] -> [H, B * L, ...]"""
    flat: Tensor = states.transpose(0, 1).flatten(1, 2)
    return flat

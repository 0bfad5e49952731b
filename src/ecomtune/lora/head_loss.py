"""The cross-entropy of a frozen head's logits with one tensor as large as the logits instead of four.

The gradient of the hidden states is computed together with the loss, from the exponentials that the loss needs anyway, so
that nothing as large as the vocabulary is kept for backward. On a CPU it is also more exact: torch's own fp32 cross-entropy
uses exponentials of few digits (the adapter's gradients with SmolLM2 are off by 2e-4 there, and by 1e-5 here).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


def head_loss(head: nn.Module, hidden: Tensor, targets: Tensor) -> Tensor:
    """The summed cross-entropy of the head's logits for hidden [N, in] with targets [N]."""
    if not _is_ordinary(head, hidden):
        return functional.cross_entropy(head(hidden).float(), targets, reduction="sum")
    function: Any = _HeadLoss.apply  # apply has no types in torch
    loss: Tensor = function(hidden, head.weight, targets)
    return loss


def _is_ordinary(head: nn.Module, hidden: Tensor) -> bool:
    """Whether the head is a frozen fp32 layer without bias, adapter or autocast."""
    if type(head) is not nn.Linear or head.bias is not None or head.weight.requires_grad:
        return False
    return hidden.dtype == head.weight.dtype == torch.float32 and not torch.is_autocast_enabled(hidden.device.type)


class _HeadLoss(torch.autograd.Function):
    """Cross-entropy of hidden [N, in], weight [V, in] and targets [N]; only the hidden states have a gradient.

    The other tokens are summed separately from the target: where it is nearly certain, 1 minus its probability has few digits.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        logits, places = hidden @ weight.T, targets[:, None]
        logits -= logits.amax(1, keepdim=True)
        of_target = logits.gather(1, places)
        exponentials = logits.exp_().scatter_(1, places, 0)
        others = exponentials.sum(1, keepdim=True)
        if ctx.needs_input_grad[0]:
            exponentials.scatter_(1, places, -others)
            ctx.save_for_backward((exponentials @ weight).div_(others + of_target.exp()))
        return (torch.log1p(others + of_target.expm1()) - of_target).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (of_hidden,) = ctx.saved_tensors
        return of_hidden * gradients[0], None, None

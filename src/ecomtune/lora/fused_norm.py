"""Llama's layer norm as one operation: the same numbers with fewer passes over the activations, forward and backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers.models.llama.modeling_llama import LlamaRMSNorm


class FusedRmsNorm(LlamaRMSNorm):
    """transformers' layer; only the computation of a frozen one in fp32 differs."""

    @classmethod
    def replacing(cls, layer: LlamaRMSNorm) -> FusedRmsNorm:
        """A fused layer with the weight of ``layer``."""
        fused = cls(layer.weight.shape[0], layer.variance_epsilon)
        fused.weight = layer.weight
        return fused

    def forward(self, hidden_states: Tensor) -> Tensor:
        """[..., D] -> [..., D]; transformers' own computation where the weight is trained or not in fp32."""
        if self.weight.requires_grad or not hidden_states.dtype == self.weight.dtype == torch.float32:
            plain: Tensor = super().forward(hidden_states)
            return plain
        function: Any = _Norm.apply  # apply has no types in torch
        fused: Tensor = function(hidden_states, self.weight, self.variance_epsilon)
        return fused


def fuse_norms(model: nn.Module) -> None:
    """Replace each of Llama's norms by a fused one; those of other families, which compute other things, stay."""
    for name, layer in list(model.named_modules()):
        if type(layer) is LlamaRMSNorm:
            model.set_submodule(name, FusedRmsNorm.replacing(layer))


class _Norm(torch.autograd.Function):
    """y = w x / sqrt(mean(x^2) + eps) for x [..., D] and a frozen w [D]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = norm.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        normed: Tensor = (x * scale).mul_(weight)
        return normed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        x, weight, scale = ctx.saved_tensors
        weighted = gradients[0] * weight
        along = torch.linalg.vecdot(weighted, x)[..., None] * scale**3 / x.shape[-1]
        return weighted.mul_(scale).addcmul_(x, along, value=-1), None, None

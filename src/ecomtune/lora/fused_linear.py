"""A linear layer and its adapter as one operation: the same numbers with fewer passes over the activations.

PEFT multiplies, scales and adds the adapter's output, each time passing over a tensor as large as the layer's output, and
likewise backward. Here the small products are added in place, and each gradient is computed in the shape at which a CPU is
fastest, which makes a training step about a tenth faster.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ecomtune.lora.matmul import product


class FusedLoraLinear(Linear):
    """PEFT's LoRA layer; only the computation of a single ordinary adapter without dropout differs."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """[..., in] -> [..., out]; PEFT's own computation in all but the ordinary case."""
        if args or kwargs or not self._is_ordinary(x):
            other: Tensor = super().forward(x, *args, **kwargs)
            return other
        (name,) = self.active_adapters
        a, b = self.lora_A[name].weight, self.lora_B[name].weight
        fused: Any = _FusedProduct.apply  # apply has no types in torch
        output: Tensor = fused(x.flatten(0, -2), self.base_layer.weight, a, b, self.scaling[name])
        return output.view(*x.shape[:-1], -1)

    def _is_ordinary(self, x: Tensor) -> bool:
        """Whether there is one plain adapter on a layer without bias, and no dropout, merging or autocast."""
        names = self.active_adapters
        return (
            len(names) == 1
            and names[0] in self.lora_A
            and names[0] not in self.lora_variant
            and not self.disable_adapters
            and not self.merged
            and isinstance(self.lora_dropout[names[0]], nn.Identity)
            and all(layer.bias is None for layer in (self.base_layer, self.lora_A[names[0]], self.lora_B[names[0]]))
            and x.dtype == self.base_layer.weight.dtype == self.lora_A[names[0]].weight.dtype
            and not torch.is_autocast_enabled(x.device.type)
        )


class _FusedProduct(torch.autograd.Function):
    """y = x W' + s (x A') B' for x [N, in], frozen W [out, in], A [r, in], B [out, r] and the scaling s."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, a: Tensor, b: Tensor, scaling: float) -> Tensor:
        low = product(x, a)
        ctx.save_for_backward(x, low, weight, a, b)
        ctx.scaling = scaling
        return product(x, weight).addmm_(low, b.T, alpha=scaling)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, Tensor, Tensor, None]:
        (gradient,) = gradients
        x, low, weight, a, b = ctx.saved_tensors
        of_low = product(gradient, b.T).mul_(ctx.scaling)
        of_x = product(gradient, weight.T).addmm_(of_low, a) if ctx.needs_input_grad[0] else None
        of_b = product(low.T, gradient.T).mul_(ctx.scaling).T  # [r, out] is several times faster than [out, r]
        return of_x, None, product(of_low.T, x.T), of_b, None

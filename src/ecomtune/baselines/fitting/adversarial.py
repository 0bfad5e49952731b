"""Training on perturbed word embeddings as well (Miyato, Dai and Goodfellow 2017, arXiv 1605.07725)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm
from transformers import Trainer

#: Keeps the quotient finite where the gradient is zero.
TINY = 1e-12


class AdversarialTrainer(Trainer):
    """Trains on each batch twice: unchanged, and with the table of word embeddings moved to where its loss grows fastest.

    The whole table moves by a vector of length ``size``, along its gradient over the batch. The gradients of both passes are
    summed, and the step changes the original weights.
    """

    def __init__(self, size: float, **options: Any) -> None:
        super().__init__(**options)
        self.size = size

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """The loss of the unchanged batch."""
        loss: Tensor = super().training_step(model, dict(inputs), num_items_in_batch)  # a copy: the labels are removed from it
        table = self.accelerator.unwrap_model(model).get_input_embeddings().weight
        kept, gradient = table.detach().clone(), table.grad
        with torch.no_grad():
            table += self.size * gradient / (vector_norm(gradient) + TINY)
        super().training_step(model, dict(inputs), num_items_in_batch)
        with torch.no_grad():
            table.copy_(kept)  # subtracting the shift would leave rounding errors
        return loss

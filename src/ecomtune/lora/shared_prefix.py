"""A LoRA model whose forward runs the prompt prefix of a batch once.

The prefix's keys and values serve every row, so its cost is paid once a batch instead of once a row, forward and
backward; gradients reach the adapter through them. Attention is causal, hence with dropout off the loss and its gradients
equal the plain computation up to rounding. With LoRA dropout on, the rows of a batch share one dropout mask over the
prefix instead of drawing their own: each row's expectation is the same, the rows' noise is correlated.
"""

from __future__ import annotations

from typing import Any

from peft import PeftModelForCausalLM
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache
from transformers.modeling_outputs import CausalLMOutput

from ecomtune.lora.batches import IGNORED


class SharedPrefixLora(PeftModelForCausalLM):
    """An ordinary PEFT model for Trainer, DDP and saving; only its training forward differs."""

    def forward(
        self,
        prefix_ids: Tensor,
        input_ids: Tensor,
        labels: Tensor,
        num_items_in_batch: Tensor | int | None = None,
        **_: Any,
    ) -> CausalLMOutput:
        """Cross-entropy over the target tokens, summed and divided by ``num_items_in_batch``.

        Args:
            prefix_ids: [P] tokens that all rows begin with; P may be 0.
            input_ids: [B, L] what follows in each row, padded on the right (causal attention never looks there).
            labels: [B, L] target tokens, IGNORED elsewhere and in the first column.
            num_items_in_batch: target tokens of the whole optimizer step (Trainer gives it); default those of this batch.
        """
        causal = self.get_base_model()
        hidden = suffix_hidden_states(causal.base_model, prefix_ids, input_ids)
        predicts_target = labels[:, 1:] != IGNORED
        logits = causal.get_output_embeddings()(hidden[:, :-1][predicts_target]).float()
        targets = labels[:, 1:][predicts_target]
        loss = functional.cross_entropy(logits, targets, reduction="sum")
        return CausalLMOutput(loss=loss / (targets.numel() if num_items_in_batch is None else num_items_in_batch))


def suffix_hidden_states(backbone: Any, prefix_ids: Tensor, input_ids: Tensor) -> Tensor:
    """Last hidden states [B, L, H] of rows that all stand behind ``prefix_ids`` [P]."""
    if prefix_ids.numel() == 0:
        output = backbone(input_ids=input_ids, use_cache=False)
    else:
        cache = expand_cache(prefix_cache(backbone, prefix_ids), input_ids.shape[0])
        output = backbone(input_ids=input_ids, past_key_values=cache, use_cache=True)
    hidden: Tensor = output.last_hidden_state
    return hidden


def prefix_cache(backbone: Any, prefix_ids: Tensor) -> DynamicCache:
    """Keys and values of ``prefix_ids`` [P] for one row."""
    cache = DynamicCache(config=backbone.config)
    backbone(input_ids=prefix_ids[None], past_key_values=cache, use_cache=True)
    return cache


def expand_cache(cache: DynamicCache, rows: int) -> DynamicCache:
    """A cache of ``rows`` rows that are views of the one row of ``cache``, which stays as it is."""
    expanded = DynamicCache()
    for index, layer in enumerate(cache.layers):
        expanded.update(layer.keys.expand(rows, -1, -1, -1), layer.values.expand(rows, -1, -1, -1), index)
    return expanded

"""A LoRA model whose training forward computes the prompt prefix of a batch once.

The prefix's keys and values serve every row, so they cost one computation a batch instead of one a row, forward and
backward; gradients reach the adapter through them. Since attention is causal, without dropout the loss and its gradients
equal the plain computation up to rounding. With LoRA dropout the rows of a batch share one dropout mask over the prefix
instead of drawing their own: each row's expectation is the same, but the rows' noise is correlated.
"""

from __future__ import annotations

from typing import Any

import torch
from peft import PeftModelForCausalLM
from torch import Tensor
from transformers.modeling_outputs import CausalLMOutput

from ecomtune.lora.head_loss import head_loss
from ecomtune.lora.prefix_attention import Layout
from ecomtune.models.tokenization import IGNORED


class SharedPrefixLora(PeftModelForCausalLM):
    """An ordinary PEFT model to Trainer, DDP and saving; only its training forward differs.

    Its base must be loaded with ``attn_implementation=prefix_attention.NAME``.
    """

    def forward(
        self,
        prefix_ids: Tensor,
        input_ids: Tensor,
        labels: Tensor,
        lengths: Tensor,
        num_items_in_batch: Tensor | int | None = None,
        **_: Any,
    ) -> CausalLMOutput:
        """Cross-entropy over the target tokens, summed and divided by ``num_items_in_batch``.

        Args:
            prefix_ids: [P] tokens with which all rows begin; P may be 0.
            input_ids: [B, L] the rest of each row, padded on the right.
            labels: [B, L] target tokens, IGNORED elsewhere, in the first column at least.
            lengths: [B] number of tokens of each row's rest without padding.
            num_items_in_batch: target tokens of the complete optimizer step (from Trainer); by default those of this batch.
        """
        causal = self.get_base_model()
        layout = Layout.of(len(prefix_ids), lengths)
        hidden = causal.base_model(
            input_ids=torch.cat([prefix_ids, input_ids.flatten()[layout.real]])[None],
            position_ids=layout.positions[None],
            attention_mask=layout.mask,  # four dimensions, so that transformers makes no mask of its own
            shared_prefix=layout,
            use_cache=False,
        ).last_hidden_state[0]
        targets = labels.flatten()[layout.real]
        predicted = (targets != IGNORED).nonzero()[:, 0]
        loss = head_loss(causal.get_output_embeddings(), hidden[layout.prefix + predicted - 1], targets[predicted])
        return CausalLMOutput(loss=loss / (len(predicted) if num_items_in_batch is None else num_items_in_batch))

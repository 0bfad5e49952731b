"""The loss of a LoRA model on validation rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch

from ecomtune.lora.batches import SharedPrefixCollator
from ecomtune.lora.shared_prefix import SharedPrefixLora
from ecomtune.models.tokenization import EncodedExample


@torch.no_grad()
def validation_losses(
    model: SharedPrefixLora, collate: SharedPrefixCollator, batches: Sequence[Sequence[EncodedExample]]
) -> dict[str, float]:
    """The mean cross-entropy of a target token by task, without dropout; each batch holds rows of one task."""
    sums: dict[str, float] = defaultdict(float)
    tokens: dict[str, int] = defaultdict(int)
    model.eval()
    for batch in batches:
        inputs = {name: value.to(model.device) for name, value in collate(batch).items()}
        with torch.autocast(model.device.type, torch.bfloat16, enabled=model.device.type == "cuda"):
            sums[batch[0].group] += float(model(**inputs, num_items_in_batch=1).loss)
        tokens[batch[0].group] += sum(len(example.target_ids) for example in batch)
    model.train()
    return {task: sums[task] / tokens[task] for task in sorted(sums)}

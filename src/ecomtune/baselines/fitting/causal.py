"""A causal model whose weights are all trained on a task's prompts: GPT-2, or the LLM itself without LoRA.

It writes an ordinary pretrained folder, so that it answers as a prompted model does (inference/answering.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM, AutoTokenizer

from ecomtune.baselines.job import Encoded, Job, TrainingData
from ecomtune.baselines.trained_model import model_folder, save
from ecomtune.core.records import Example
from ecomtune.messages.errors import UserError, reading
from ecomtune.models.loading import load_model
from ecomtune.models.tokenization import IGNORED, Tokenizer, context_of, encode_example


def fit(job: Job) -> None:
    """Train all weights on the examples' targets, each behind its complete prompt.

    Raises UserError naming a row that is too long or empty, and where ``max_length`` exceeds the context.
    """
    base = model_folder(job.settings)
    with reading(base):
        tokenizer = AutoTokenizer.from_pretrained(base)
    model = load_model(AutoModelForCausalLM, base, dtype=torch.float32)
    context, caches = context_of(model.config), getattr(model.config, "use_cache", True)
    limit = job.settings.max_length
    if limit > context:
        raise UserError(f"the baseline's max_length {limit} exceeds the model's context of {context}; lower it")
    rows, validation = (encode_rows(tokenizer, examples, limit) for examples in (job.train, job.validation))
    record = job.train_weights(model, TrainingData(rows, validation, collate))
    model.config.use_cache = caches  # which Trainer has switched off: the folder keeps the pretrained value
    save(tokenizer, model, record, job.folder)


def encode_rows(tokenizer: Tokenizer, examples: Sequence[Example], max_length: int) -> list[Encoded]:
    """Each example's tokens, and as labels those of its target with EOS. Raises UserError for one that is too long or empty."""
    rows = []
    for each in examples:
        encoded = encode_example(tokenizer, each, max_length, limit="the baseline's max_length")
        labels = [*[IGNORED] * len(encoded.prompt_ids), *encoded.target_ids]
        rows.append({"input_ids": [*encoded.prompt_ids, *encoded.target_ids], "labels": labels})
    return rows


def collate(rows: Sequence[Encoded]) -> dict[str, Tensor]:
    """The arguments of a causal model's forward.

    ``input_ids`` [B, L]: padded on the right with any token, since no real one sees what follows it; ``logits_to_keep`` [K]:
    the last columns, from the one before the first target on: scores of the whole vocabulary take the most memory, and those
    of the instruction aren't needed; ``labels`` [B, K]: the target tokens in these columns, IGNORED elsewhere.
    """
    input_ids, labels = (
        pad_sequence([torch.tensor(row[name]) for row in rows], batch_first=True, padding_value=padding)
        for name, padding in (("input_ids", 0), ("labels", IGNORED))
    )
    columns = torch.arange(labels.shape[1])
    kept = columns[int((labels != IGNORED).any(dim=0).nonzero()[0]) - 1 :]
    return {"input_ids": input_ids, "labels": labels[:, kept], "logits_to_keep": kept}

"""Batches for shared-prefix training: rows of one task and of similar length, under a token budget."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch

from ecomtune.messages.errors import UserError
from ecomtune.models.tokenization import IGNORED, EncodedExample, common_prefix_length

#: Rows are sorted by length within chunks of this many batches, so that an epoch's order stays random.
CHUNK_BATCHES = 8
#: A prefix that saves fewer tokens than this costs more in its own forward pass than it saves.
MIN_TOKENS_SAVED = 64


def plan_batches(
    examples: Sequence[EncodedExample], *, batch_size: int, token_budget: int, epoch: int, seed: int
) -> list[list[int]]:
    """The indices of the rows of every micro-batch of one epoch.

    A batch has rows of one group only (so that they share a prompt prefix), at most ``batch_size`` of them, and at most
    ``token_budget`` tokens of prompts and targets with padding. Every row occurs once. Raises UserError for a row that is
    longer than the budget.
    """
    too_long = max(examples, key=len, default=None)
    if too_long is not None and len(too_long) > token_budget:
        raise UserError(
            f"example {too_long.id}: {len(too_long)} tokens are more than train.shared.token_budget {token_budget}; raise it"
        )
    rng = random.Random(f"{seed}/{epoch}")
    batches: list[list[int]] = []
    for rows in _rows_by_group(examples).values():
        rng.shuffle(rows)
        for start in range(0, len(rows), batch_size * CHUNK_BATCHES):
            chunk = sorted(rows[start : start + batch_size * CHUNK_BATCHES], key=lambda row: len(examples[row]))
            batches += _cut(chunk, examples, batch_size, token_budget)
    rng.shuffle(batches)
    return batches


def plan_of_process(plan: Sequence[list[int]], process: int, processes: int) -> list[list[int]]:
    """The batches of the process of rank ``process`` among ``processes``, which take turns.

    Where the last step has too few batches for all, they are split: repeating rows, as accelerate would, changes the training.
    Raises UserError where they have too few rows for that.
    """
    full = len(plan) // processes * processes
    last = [list(batch) for batch in plan[full:]]
    while 0 < len(last) < processes:
        longest = max(last, key=len)
        if len(longest) < 2:
            raise UserError(
                f"the last training step has fewer rows than there are processes ({processes}); start fewer processes"
            )
        last.append(longest[len(longest) // 2 :])
        del longest[len(longest) // 2 :]
    return [*plan[:full], *last][process::processes]


def _rows_by_group(examples: Sequence[EncodedExample]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = defaultdict(list)
    for row, example in enumerate(examples):
        groups[example.group].append(row)
    return dict(sorted(groups.items()))


def _cut(rows: Sequence[int], examples: Sequence[EncodedExample], batch_size: int, budget: int) -> list[list[int]]:
    """Cut rows sorted by length into batches; the last row of a batch is its longest."""
    batches: list[list[int]] = []
    for row in rows:
        if batches and len(batches[-1]) < batch_size and (len(batches[-1]) + 1) * len(examples[row]) <= budget:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


class SharedPrefixCollator:
    """Turns rows into the arguments of :meth:`SharedPrefixLora.forward`.

    ``prefix_ids`` [P]: the tokens with which all prompts of the batch begin (empty where sharing doesn't pay);
    ``input_ids`` [B, L]: the rest of each row, padded on the right; ``lengths`` [B]: the rest's length without padding;
    ``labels`` [B, L]: the target's tokens, IGNORED elsewhere.
    At least one token of each prompt stays out of the prefix, because the hidden state that predicts a row's first
    target token must be the row's own.
    """

    def __init__(self, pad_token_id: int, *, share: bool = True) -> None:
        self.pad_token_id = pad_token_id
        self.share = share

    def __call__(self, batch: Sequence[EncodedExample]) -> dict[str, Any]:
        prefix = self.prefix_length(batch)
        rows = [[*example.prompt_ids[prefix:], *example.target_ids] for example in batch]
        width = max(len(row) for row in rows)
        input_ids = torch.full((len(rows), width), self.pad_token_id, dtype=torch.long)
        labels = torch.full((len(rows), width), IGNORED, dtype=torch.long)
        for index, (row, example) in enumerate(zip(rows, batch, strict=True)):
            tokens = torch.tensor(row, dtype=torch.long)
            input_ids[index, : len(row)] = tokens
            start = len(example.prompt_ids) - prefix
            labels[index, start : len(row)] = tokens[start:]
        prefix_ids = torch.tensor(batch[0].prompt_ids[:prefix], dtype=torch.long)
        lengths = torch.tensor([len(row) for row in rows])
        return {"prefix_ids": prefix_ids, "input_ids": input_ids, "labels": labels, "lengths": lengths}

    def tokens(self, batch: Sequence[EncodedExample]) -> int:
        """How many tokens the batch computes: the shared prefix once, and the rest of each row."""
        return sum(map(len, batch)) - self.prefix_length(batch) * (len(batch) - 1)

    def prefix_length(self, batch: Sequence[EncodedExample]) -> int:
        """How many leading tokens to compute once for all rows of the batch; 0 where that doesn't pay."""
        shortest = min(len(example.prompt_ids) for example in batch)
        prefix = min(common_prefix_length([example.prompt_ids for example in batch]), shortest - 1)
        return prefix if self.share and prefix * (len(batch) - 1) >= MIN_TOKENS_SAVED else 0

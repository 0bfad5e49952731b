"""A batch of rows that a causal model reads token by token, all behind one shared prefix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from ecomtune.encoding import common_prefix_length

Tokens = Sequence[int]
#: A shorter prefix is read with its rows: sharing it saves less than its own forward pass costs.
MIN_PREFIX = 8


class SharedPrefix:
    """The leading tokens that all prompts of a task have in common, and their keys and values."""

    def __init__(self, model: Any, prompts: Sequence[Tokens]) -> None:
        length = min(common_prefix_length(prompts), min(map(len, prompts), default=1) - 1)
        self.ids = tuple(prompts[0][:length]) if len(prompts) > 1 and length >= MIN_PREFIX else ()
        self.layers: list[tuple[Tensor, Tensor]] = []
        if self.ids:
            cache = DynamicCache(config=model.config)
            with torch.inference_mode():
                model.base_model(input_ids=_tensor([self.ids], model), past_key_values=cache, use_cache=True)
            self.layers = [(layer.keys, layer.values) for layer in cache.layers]


class Session:
    """Rows behind a shared prefix: feed each row its own next tokens, then look at what may follow.

    Rows may be fed different numbers of tokens; shorter ones are padded on the right and the padding is masked for good.
    ``hidden`` [B, H] is the last state of each row; no logits are computed before they are asked for.
    """

    def __init__(self, model: Any, prefix: SharedPrefix, rows: int, room: int) -> None:
        """``room``: the number of tokens that a row may be fed at most, padding included, before the cache grows."""
        self.model = model
        self.rows = rows
        length = len(prefix.ids)
        self.cache = DynamicCache()
        self.cache.layers = [RoomyLayer(keys, values, rows, length + room) for keys, values in prefix.layers]
        if not prefix.layers:
            self.cache = DynamicCache(config=model.config)
        self.mask = torch.ones(rows, length, dtype=torch.long, device=model.device)
        self.lengths = torch.full((rows,), length, dtype=torch.long, device=model.device)
        self.hidden = torch.empty(rows, 0, device=model.device)

    @torch.inference_mode()
    def feed(self, tokens: Sequence[Tokens]) -> None:
        """Let each row read its tokens; a row without any keeps its state."""
        counts = torch.tensor([len(row) for row in tokens], device=self.model.device)
        width = int(counts.max())
        if width == 0:
            return
        input_ids = _tensor([[*row, *[0] * (width - len(row))] for row in tokens], self.model)
        steps = torch.arange(width, device=self.model.device)
        self.mask = torch.cat([self.mask, (steps < counts[:, None]).long()], dim=1)
        states = self.model.base_model(
            input_ids=input_ids,
            attention_mask=self.mask,
            position_ids=self.lengths[:, None] + steps,
            past_key_values=self.cache,
            use_cache=True,
        ).last_hidden_state
        last = states[torch.arange(self.rows, device=states.device), (counts - 1).clamp(min=0)]
        self.hidden = last if self.hidden.shape[1] == 0 else torch.where(counts[:, None] > 0, last, self.hidden)
        self.lengths = self.lengths + counts

    @torch.inference_mode()
    def logits(self, allowed: Tensor | None = None) -> Tensor:
        """Scores [B, V] of each next token, or [B, len(allowed)] of the allowed ones alone."""
        head = self.model.get_output_embeddings()
        if allowed is None:
            return head(self.hidden).float()  # type: ignore[no-any-return]  # transformers has no types here
        bias = None if getattr(head, "bias", None) is None else head.bias[allowed]
        return functional.linear(self.hidden, head.weight[allowed], bias).float()

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows only."""
        index = torch.tensor(rows, dtype=torch.long, device=self.model.device)
        self.cache.batch_select_indices(index)
        self.mask, self.lengths, self.hidden = self.mask[index], self.lengths[index], self.hidden[index]
        self.rows = len(rows)

    def choose(self, options: Sequence[Sequence[Tokens]]) -> tuple[list[Tokens], list[Tokens]]:
        """For each row the likeliest of its options, greedily over their trie, and the option's tokens still unread.

        No option of a row may be the beginning of another.
        """
        paths: list[Tokens] = [() for _ in options]
        read = [0] * self.rows
        while True:
            paths = [_follow_forced(path, row) for path, row in zip(paths, options, strict=True)]
            open_rows = [row for row in range(self.rows) if paths[row] not in options[row]]
            if not open_rows:
                return paths, [path[count:] for path, count in zip(paths, read, strict=True)]
            unread = [paths[row][read[row] :] if row in open_rows else () for row in range(self.rows)]
            self.feed(unread)
            read = [count + len(tokens) for count, tokens in zip(read, unread, strict=True)]
            branches = {row: _branches(paths[row], options[row]) for row in open_rows}
            union = sorted({token for tokens in branches.values() for token in tokens})
            scores = self.logits(torch.tensor(union, device=self.model.device)).cpu()
            for row, tokens in branches.items():
                places = [union.index(token) for token in tokens]
                paths[row] = (*paths[row], tokens[int(scores[row, places].argmax())])


def _branches(path: Tokens, options: Sequence[Tokens]) -> list[int]:
    """Tokens that may follow ``path``, in sorted order."""
    return sorted({option[len(path)] for option in options if len(option) > len(path) and option[: len(path)] == path})


def _follow_forced(path: Tokens, options: Sequence[Tokens]) -> Tokens:
    """``path`` up to the next real choice."""
    while path not in options and len(branches := _branches(path, options)) == 1:
        path = (*path, branches[0])
    return path


def _tensor(rows: Sequence[Tokens], model: Any) -> Tensor:
    return torch.tensor([list(row) for row in rows], dtype=torch.long, device=model.device)


class RoomyLayer(DynamicLayer):
    """A cache layer that writes into room made beforehand; a growing one copies all it holds at every step."""

    def __init__(self, keys: Tensor, values: Tensor, rows: int, capacity: int) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self.length = keys.shape[-2]
        self.key_room, self.value_room = (
            state.new_empty(rows, state.shape[1], capacity, state.shape[3]) for state in (keys, values)
        )
        self.key_room[:, :, : self.length] = keys
        self.value_room[:, :, : self.length] = values
        self._show()

    def _show(self) -> None:
        self.keys = self.key_room[:, :, : self.length]
        self.values = self.value_room[:, :, : self.length]

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Write the new states behind the others and give views of all."""
        end = self.length + key_states.shape[-2]
        if end > self.key_room.shape[-2]:
            missing = end - self.key_room.shape[-2]
            self.key_room, self.value_room = (
                functional.pad(room, (0, 0, 0, missing)) for room in (self.key_room, self.value_room)
            )
        self.key_room[:, :, self.length : end] = key_states
        self.value_room[:, :, self.length : end] = value_states
        self.length = end
        self._show()
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these rows."""
        self.key_room, self.value_room = self.key_room[indices], self.value_room[indices]
        self._show()

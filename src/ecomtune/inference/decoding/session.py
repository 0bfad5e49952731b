"""A batch of rows that a causal model reads token by token, all behind one shared prefix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache

from ecomtune.inference.decoding import row_attention
from ecomtune.inference.decoding.row_attention import RowLayout
from ecomtune.models.tokenization import common_prefix_length

TokenIds = Sequence[int]
#: A shorter prefix is read with each row: sharing it saves less than its own forward pass costs.
MIN_PREFIX = 8


class SharedPrefix:
    """The leading tokens that all prompts of a task share, with their keys and values.

    The model must be loaded with ``attn_implementation=row_attention.NAME``; raises ValueError where it isn't.
    """

    def __init__(self, model: Any, prompts: Sequence[TokenIds]) -> None:
        if model.config._attn_implementation != row_attention.NAME:
            raise ValueError(f"load the model with attn_implementation={row_attention.NAME!r}")
        length = min(common_prefix_length(prompts), min(map(len, prompts), default=1) - 1)
        self.ids = tuple(prompts[0][:length]) if len(prompts) > 1 and length >= MIN_PREFIX else ()
        if self.ids:
            cache = DynamicCache(config=model.config)
            with torch.inference_mode():
                model.base_model(input_ids=_tensor([self.ids], model), past_key_values=cache, use_cache=True)
            self.layers = [(layer.keys[0], layer.values[0]) for layer in cache.layers]
        else:
            config = model.config
            width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
            heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads  # GPT-2 has no grouped queries
            nothing = torch.empty(heads, 0, width, dtype=model.dtype, device=model.device)
            self.layers = [(nothing, nothing)] * config.num_hidden_layers


class Session:
    """Rows behind a shared prefix: feed each row its own next tokens, then score what may follow.

    Rows may be fed different numbers of tokens; none is padded outside attention.
    ``hidden`` [B, H] is the last state of each row; logits are computed on request only.
    """

    def __init__(self, model: Any, prefix: SharedPrefix, rows: int, room: int) -> None:
        """``room``: how many own tokens a row may be fed before the space for their states must grow."""
        self.model = model
        self.prefix = prefix
        self.own = [
            tuple(states.new_zeros(rows, states.shape[0], room, states.shape[2]) for states in layer) for layer in prefix.layers
        ]
        self.lengths = torch.zeros(rows, dtype=torch.long, device=model.device)
        self.hidden = torch.zeros(rows, model.config.hidden_size, dtype=model.dtype, device=model.device)

    @property
    def rows(self) -> int:
        """The number of rows in the batch."""
        return len(self.lengths)

    @torch.inference_mode()
    def feed(self, tokens: Sequence[TokenIds]) -> None:
        """Feed each row its tokens; a row without any keeps its state."""
        flat = [token for row in tokens for token in row]
        if not flat:
            return
        counts = torch.tensor([len(row) for row in tokens], device=self.model.device)
        layout = self._layout(counts)
        states = self.model.base_model(
            input_ids=_tensor([flat], self.model),
            position_ids=(len(self.prefix.ids) + layout.slots)[None],
            attention_mask=layout.seen[None],  # with four dimensions, transformers builds no mask of its own
            layout=layout,
            use_cache=False,
        ).last_hidden_state[0]
        fed = counts > 0
        self.hidden[fed] = states[counts.cumsum(0)[fed] - 1]
        self.lengths = self.lengths + counts

    def _layout(self, counts: Tensor) -> RowLayout:
        """Where the next ``counts`` [B] tokens of each row go; makes room for them."""
        steps = torch.arange(int(counts.max()), device=counts.device)
        inside = steps < counts[:, None]
        slots = self.lengths[:, None] + steps
        filled = int((self.lengths + counts).max())
        missing = filled - self.own[0][0].shape[2]
        if missing > 0:
            self.own = [tuple(functional.pad(states, (0, 0, 0, missing)) for states in layer) for layer in self.own]
        starts = counts.cumsum(0) - counts
        return RowLayout(
            prefix=self.prefix.layers,
            own=self.own,
            rows=torch.arange(self.rows, device=counts.device)[:, None].expand_as(inside)[inside],
            slots=slots[inside],
            places=torch.where(inside, starts[:, None] + steps, 0),
            real=inside.flatten().nonzero()[:, 0],
            seen=torch.arange(filled, device=counts.device) <= slots[:, :, None],
        )

    @torch.inference_mode()
    def logits(self, allowed: Tensor | None = None) -> Tensor:
        """Scores [B, V] of each next token, or [B, len(allowed)] of the allowed ones only."""
        head = self.model.get_output_embeddings()
        if allowed is None:
            return head(self.hidden).float()  # type: ignore[no-any-return]  # transformers has no types here
        bias = None if getattr(head, "bias", None) is None else head.bias[allowed]
        return functional.linear(self.hidden, head.weight[allowed], bias).float()

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> None:
        """Continue with these rows only."""
        index = torch.tensor(rows, dtype=torch.long, device=self.model.device)
        self.own = [tuple(states[index] for states in layer) for layer in self.own]
        self.lengths, self.hidden = self.lengths[index], self.hidden[index]

    def choose(self, options: Sequence[Sequence[TokenIds]]) -> tuple[list[TokenIds], list[TokenIds]]:
        """For each row the likeliest of its options, greedily over their trie, and those of its tokens that are still unread.

        No option of a row may be a prefix of another.
        """
        paths: list[TokenIds] = [() for _ in options]
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


def _branches(path: TokenIds, options: Sequence[TokenIds]) -> list[int]:
    """Tokens that may follow ``path``, in sorted order."""
    return sorted({option[len(path)] for option in options if len(option) > len(path) and option[: len(path)] == path})


def _follow_forced(path: TokenIds, options: Sequence[TokenIds]) -> TokenIds:
    """``path`` up to the next real choice."""
    while path not in options and len(branches := _branches(path, options)) == 1:
        path = (*path, branches[0])
    return path


def _tensor(rows: Sequence[TokenIds], model: Any) -> Tensor:
    return torch.tensor([list(row) for row in rows], dtype=torch.long, device=model.device)

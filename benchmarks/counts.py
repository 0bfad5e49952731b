"""Operation counts of training and answering, by formula: they don't depend on the machine.

A product of [m, k] and [k, n] counts 2·m·k·n (Kaplan et al. 2020, arXiv 2001.08361, section 2.1). For each token, the
weights of the linear layers (N of them) then cost 2·N forward and, being frozen, 2·N backward for the gradient of their
input; the adapter's n weights cost 2·n forward and 4·n backward. What only the frozen embeddings feed (the input of the
first layer's q, k and v) needs no gradient. Attention costs 4·A for each pair of a query and a key that it may see,
forward, and 8·A backward, where A is the width of all heads; pairs that the causal mask hides aren't counted. The head
costs 2·H·V a scored position in each direction. Element-wise work isn't counted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ecomtune.models.tokenization import EncodedExample

Batch = Sequence[EncodedExample]


@dataclass(frozen=True)
class Shape:
    """What decides the cost of a Llama with an adapter on all linear layers but the head."""

    layers: int
    hidden: int
    inner: int
    queries: int
    keys: int
    vocabulary: int
    rank: int

    @classmethod
    def read(cls, base: Path, rank: int) -> Shape:
        """The shape of the model in ``base``."""
        config = json.loads((base / "config.json").read_text(encoding="utf-8"))
        head = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
        return cls(
            layers=config["num_hidden_layers"],
            hidden=config["hidden_size"],
            inner=config["intermediate_size"],
            queries=head * config["num_attention_heads"],
            keys=head * config["num_key_value_heads"],
            vocabulary=config["vocab_size"],
            rank=rank,
        )

    @property
    def linear(self) -> int:
        """Weights of one layer's linear modules."""
        return self.hidden * (2 * self.queries + 2 * self.keys + 3 * self.inner)

    @property
    def adapter(self) -> int:
        """Weights of the adapter on one layer."""
        widths = [self.hidden + self.queries, self.queries + self.hidden, *[self.hidden + self.keys] * 2]
        return self.rank * (sum(widths) + 3 * (self.hidden + self.inner))


@dataclass(frozen=True)
class Work:
    """What one pass over one batch computes; ``padding`` is the part of ``tokens`` that is none of any row."""

    rows: int
    tokens: int
    padding: int
    pairs: int
    targets: int
    scored: int
    head_products: int

    def as_json(self) -> dict[str, Any]:
        """The counts by name."""
        return asdict(self)


def _triangle(length: int) -> int:
    return length * (length + 1) // 2


def shared(batch: Batch, prefix: int) -> Work:
    """Our pass: the prefix once, each row's own tokens without padding, logits of target tokens alone."""
    own = [len(example) - prefix for example in batch]
    targets = sum(len(example.target_ids) for example in batch)
    return Work(
        rows=len(batch),
        tokens=prefix + sum(own),
        padding=0,
        pairs=_triangle(prefix) + sum(length * prefix + _triangle(length) for length in own),
        targets=targets,
        scored=targets,
        head_products=2,
    )


def whole(batch: Batch, *, scores_all: bool) -> Work:
    """trl's pass: whole rows, padded; it computes logits twice, and without Triton of every position but the last."""
    width = max(map(len, batch))
    targets = sum(len(example.target_ids) for example in batch)
    return Work(
        rows=len(batch),
        tokens=len(batch) * width,
        padding=len(batch) * width - sum(map(len, batch)),
        pairs=len(batch) * _triangle(width),
        targets=targets,
        scored=len(batch) * (width - 1) if scores_all else targets,
        head_products=3,
    )


def training_flops(shape: Shape, work: Work) -> int:
    """Operations of a forward and a backward pass."""
    forward = work.tokens * 2 * (shape.linear + shape.adapter) + 4 * shape.queries * work.pairs
    backward = work.tokens * (2 * shape.linear + 4 * shape.adapter) + 8 * shape.queries * work.pairs
    first = work.tokens * 2 * (shape.hidden * (shape.queries + 2 * shape.keys) + 3 * shape.rank * shape.hidden)
    return shape.layers * (forward + backward) - first + work.head_products * _head(shape, work.scored)


def _head(shape: Shape, positions: int) -> int:
    return 2 * shape.hidden * shape.vocabulary * positions


def answering_flops(shape: Shape, tokens: int, scored: int) -> int:
    """Operations of answering: linear layers and head; attention is left out on both sides."""
    return tokens * 2 * shape.layers * shape.linear + _head(shape, scored)

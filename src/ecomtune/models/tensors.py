"""Sizes of the tensors in safetensors files, read from the headers only."""

from __future__ import annotations

from math import prod
from pathlib import Path

from safetensors import safe_open

from ecomtune.messages.errors import reading


def tensor_sizes(folder: Path) -> list[int]:
    """How many numbers each tensor in a folder of safetensors files has. Raises UserError for a broken file."""
    sizes = []
    for file in sorted(folder.glob("*.safetensors")):
        with reading(file), safe_open(file, framework="numpy") as weights:
            sizes += [prod(weights.get_slice(name).get_shape()) for name in weights.keys()]  # noqa: SIM118 (no mapping)
    return sizes

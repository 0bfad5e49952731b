"""What files of weights say that they hold, read from their headers alone."""

from __future__ import annotations

from math import prod
from pathlib import Path

from safetensors import safe_open

from ecomtune.messages.errors import reading


def tensor_sizes(folder: Path) -> list[int]:
    """The numbers in each tensor of a model's folder of safetensors files. Raises UserError for a broken one."""
    sizes = []
    for file in sorted(folder.glob("*.safetensors")):
        with reading(file), safe_open(file, framework="numpy") as weights:
            sizes += [prod(weights.get_slice(name).get_shape()) for name in weights.keys()]  # noqa: SIM118 (no mapping)
    return sizes

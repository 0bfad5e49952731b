"""Loading models that are complete and no larger than their files, where transformers itself loads whatever it finds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, PreTrainedConfig
from transformers.integrations.gguf.reader import GgufHeader, read_gguf_metadata

from ecomtune.messages.errors import reading
from ecomtune.models.tensors import tensor_sizes

#: Quantized files pack at most this many weights into one number.
PACKED = 8
#: How many numbers a model may create that no file holds (tables of positions, masks), whatever its size.
TABLES = 2**28
#: Names of settings that count layers; not Qwen2's max_window_layers, which may exceed the number of layers.
LAYERS = re.compile(r"(?<!max_window_)layers?$|block_count$")


def load_model(kind: Any, folder: Path, fresh_head: bool = False, **options: Any) -> Any:
    """The model of an auto class ``kind`` in ``folder``; with ``fresh_head`` the files may lack the head above the encoder.

    ``options`` go to ``from_pretrained``. Raises UserError where weights are missing or broken, or don't fit the config.
    """
    with reading(folder):
        check_size(folder, "", kind)
        return load_complete(kind, folder, fresh_head, **options)


def load_complete(kind: Any, source: str | Path, fresh_head: bool = False, **options: Any) -> Any:
    """Like :func:`load_model`, but also from a hub, and without checking the size.

    Raises ValueError where weights are missing or don't fit the config, and whatever transformers raises for broken ones.
    """
    model, loaded = kind.from_pretrained(source, output_loading_info=True, **options)
    encoder = f"{model.base_model_prefix}."
    _refuse_missing(name for name in loaded["missing_keys"] if name.startswith(encoder) or not fresh_head)
    _refuse_ignored_layers(loaded["unexpected_keys"])
    return model


def _refuse_missing(names: Iterable[str]) -> None:
    """Raises ValueError where weights of the model are missing: transformers would draw them at random.

    An encoder's pooler may be missing: masked language models have none, and fine-tuning trains it.
    """
    missing = sorted(name for name in names if not re.search(r"(^|\.)pooler\.", name))
    if missing:
        raise ValueError(f"weights that the model needs are missing: {', '.join(missing[:3])}, {len(missing)} in all")


def _refuse_ignored_layers(names: Iterable[str]) -> None:
    """Raises ValueError where the files hold a layer that the config leaves out. A masked language model's head may be."""
    if ignored := sorted(name for name in names if re.search(r"\.\d+\.", name)):
        raise ValueError(f"its config leaves out layers that its files hold: {', '.join(ignored[:3])}, {len(ignored)} in all")


def check_size(folder: Path, gguf: str, kind: Any) -> None:
    """Raises ValueError where the config describes far more weights than the files hold, which would fill the memory.

    The number of layers is checked first: building them takes memory even without weights.
    """
    if gguf:
        config_values, _ = read_gguf_metadata(str(folder / gguf))
        header = GgufHeader.from_file(str(folder / gguf))
        if any(header.data_start + each.offset + each.nbytes > (folder / gguf).stat().st_size for each in header.tensors):
            raise ValueError("a tensor lies beyond its end")
        tensors = [prod(tensor.shape) for tensor in header.tensors]
    else:
        config_values, _ = PreTrainedConfig.get_config_dict(folder)
        tensors = tensor_sizes(folder)
    if not tensors:
        raise ValueError("it holds no tensors" if gguf else "it holds no safetensors file")
    layers = max((number for key, number in _integers(config_values) if LAYERS.search(key)), default=0)
    if layers > len(tensors):
        raise ValueError(f"its config asks for {layers} layers, and its files hold {len(tensors)} tensors")
    config = AutoConfig.from_pretrained(folder, **({"gguf_file": gguf} if gguf else {}), trust_remote_code=False)
    with torch.device("meta"):
        model = kind.from_config(config, trust_remote_code=False)
    described, held = sum(weight.numel() for weight in model.parameters()), sum(tensors)
    if described > PACKED * held:
        raise ValueError(f"its config describes {described:,} weights, and its files hold {held:,}")
    if (tables := sum(buffer.numel() for buffer in model.buffers())) > PACKED * held + TABLES:
        raise ValueError(f"its config asks for tables of {tables:,} numbers with only {held:,} weights")


def _integers(values: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Every integer of a config and of the configs nested in it, with its key."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _integers(value)
        elif isinstance(value, int):
            yield key, value

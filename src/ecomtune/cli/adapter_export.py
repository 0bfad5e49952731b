"""A system's adapter for use elsewhere: a plain PEFT folder or a plain transformers model, with a model card."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open

from ecomtune.adapters.factors import load_adapter
from ecomtune.cli.common import check_task, missing_model
from ecomtune.cli.model_card import model_card
from ecomtune.core.adapter_files import is_plain, read_config
from ecomtune.core.config import Model
from ecomtune.core.config.params import Params, model_folder
from ecomtune.core.files import dump_json
from ecomtune.core.metadata import base_model_folder
from ecomtune.core.paths import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from ecomtune.messages.errors import UserError, reading, writing
from ecomtune.models.process import prepare


def export_adapter(params: Params, system: str, task: str | None, folder: Path, merged: bool) -> None:
    """Write the adapter with which ``system`` answers ``task``, or with ``merged`` the complete model, into ``folder``.

    Without a task, it is the one adapter with which the system answers all of its tasks. Raises UserError if the system has no
    such adapter, if the adapter is missing, or if the folder isn't empty.
    """
    tasks = tasks_of(params, system, task)
    adapter = Path(model_folder(params.systems[system], tasks[0], params))
    if not (adapter / ADAPTER_CONFIG).is_file():
        raise missing_model(adapter)
    folder = _checked(folder.resolve())
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".ecomtune-") as scratch:  # on the same disk, for the rename
        made = Path(scratch) / folder.name
        made.mkdir()
        if merged:
            with writing(folder):
                _write_merged(adapter, made, params.train.shared.threads)
        else:
            _write_adapter(adapter, made, params.models[params.train.shared.model])
        (made / "README.md").write_text(model_card(params, system, tasks, merged), encoding="utf-8")
        made.replace(folder)


def _checked(folder: Path) -> Path:
    """The folder. Raises UserError if it isn't empty, or if a file is in its place."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir():
        raise UserError(f"{existing} is a file; name a folder with --out that is empty or doesn't exist yet")
    if existing == folder and any(folder.iterdir()):
        raise UserError(f"{folder} exists and isn't empty; name another folder with --out")
    return folder


def tasks_of(params: Params, system: str, task: str | None) -> Sequence[str]:
    """The tasks of the exported adapter: ``task``, or without one, all of the system's tasks if one adapter answers them.

    Raises UserError if the system has no adapter for it, or if it has several adapters and no task is named.
    """
    config = params.systems.get(system)
    if config is None or config.kind != "adapter":
        known = ", ".join(name for name, each in params.systems.items() if each.kind == "adapter") or "none"
        raise UserError(f"systems of params.yaml have no {system!r} with an adapter to export; name one of: {known}")
    if task is not None:
        check_task(system, config, task)
        return (task,)
    if len({model_folder(config, each, params) for each in config.tasks}) > 1:
        raise UserError(f"system {system} has an adapter for each task; name one with --task: {', '.join(config.tasks)}")
    return config.tasks


def _write_adapter(adapter: Path, folder: Path, model: Model) -> None:
    """Write the adapter's files; a base from the hub is named by its id there, any other by its folder in this repository.

    Raises UserError if its config or weights are cut off or broken.
    """
    config = read_config(adapter)
    if is_plain(adapter):
        load_adapter(adapter)  # checks everything that can be checked without the base
    else:
        with reading(adapter), safe_open(adapter / ADAPTER_WEIGHTS, framework="np"):
            pass  # opening the file compares its length with its header
    for file in sorted(adapter.iterdir()):
        shutil.copyfile(file, folder / file.name)
    if model.source == "hub":
        config |= {"base_model_name_or_path": model.name, "revision": model.version}
        (folder / ADAPTER_CONFIG).write_text(dump_json(config), encoding="utf-8")


def _write_merged(adapter: Path, folder: Path, threads: int) -> None:
    prepare(threads)
    from transformers import AutoTokenizer

    from ecomtune.inference.decoding.local_model import load_causal

    base = base_model_folder(adapter)
    load_causal(base, adapter).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.chat_template = tokenizer.chat_template or plain_chat(tokenizer)
    tokenizer.save_pretrained(folder)


def plain_chat(tokenizer: Any) -> str:
    """A chat template for servers, which take only chats, that makes the plain prompts that the model was tuned on."""
    first = tokenizer.bos_token if tokenizer("\n")["input_ids"][0] == tokenizer.bos_token_id else ""
    return f"{first}{{% for message in messages %}}{{{{ message['content'] }}}}\n{{% endfor %}}"

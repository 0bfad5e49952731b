"""A study in a folder, with pico weights and formatted examples: single stages run in it without DVC."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.support.pico import make_causal, make_encoder
from tests.support.scratch_clone import REPOSITORY, run
from tests.support.tasks import define_tasks


def make_study(folder: Path, edit: Callable[[dict[str, Any]], None]) -> Path:
    """Write params.yaml with an adapter ``mixed`` and a baseline ``encoder``, and run the stages that these depend on.

    ``edit`` changes the parameters before they are written.
    """
    params = yaml.safe_load((REPOSITORY / "profiles/pico.yaml").read_text())
    make_causal(folder / ".scratch/pico/causal")
    make_encoder(folder / ".scratch/pico/encoder")
    params["models"]["encoder"] = {**params["models"]["pico"], "kind": "encoder", "folder": ".scratch/pico/encoder"}
    params["tasks"]["ner"] = {**params["tasks"]["relevance"], "max_new_tokens": 64}
    params["train"]["shared"].update(batch_size=4, epochs=2)
    params["train"]["adapters"] = {"mixed": {"out": "mixed", "reads": "data/examples", "tasks": ["relevance", "ner"]}}
    params["merge"]["recipes"] = {}
    encoder = {"family": "encoder", "task": "relevance", "out": "encoder/relevance", "model": "encoder", "batch_size": 8}
    params["baselines"]["encoder"] = encoder
    params["systems"] = {"floor": params["systems"]["floor"]}
    edit(params)
    define_tasks(folder)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    for stage, item in (
        ("download", "demo_shop"),
        ("pretrained", "pico"),
        ("pretrained", "encoder"),
        *(("format", task) for task in params["tasks"]),
    ):
        done = run_module(folder, f"ecomtune.stages.{stage}", item)
        assert done.returncode == 0, done.stderr
    return folder


def run_module(folder: Path, module: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m module`` in the folder, where this checkout's package and tests can be imported."""
    path = f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}"
    return run(folder, sys.executable, "-m", module, *arguments, PYTHONPATH=path, **environment)

"""A training that is killed at any point and run again leaves the same bytes as one that was never stopped.

``make reliability`` kills 20 times a stage (ECOMTUNE_KILLS), the tests 5 times.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.pico import make_gpt2
from tests.studies import make_study, run_module

KILLS = int(os.environ.get("ECOMTUNE_KILLS", "5"))
TRAININGS = [
    ("train", "mixed", "models/adapters/mixed"),
    ("baseline", "encoder", "models/baselines/encoder/relevance"),
    ("baseline", "gpt2", "models/baselines/causal/relevance"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose trainings have what a checkpoint must carry: dropout's random numbers, accumulated gradients, a warm-up,
    the losses of every epoch and the best epoch's weights."""

    def edit(params: dict[str, Any]) -> None:
        params["train"]["shared"].update(dropout=0.1, accumulation=2, warmup=0.2, patience=2)
        params["baselines"]["encoder"].update(epochs=3, patience=2)
        params["models"]["gpt2"] = {**params["models"]["pico"], "folder": ".scratch/pico/gpt2"}
        causal = {"family": "causal", "out": "causal/relevance", "model": "gpt2", "max_length": 1024}
        params["baselines"]["gpt2"] = {**params["baselines"]["encoder"], **causal}

    folder = tmp_path_factory.mktemp("resume")
    make_gpt2(folder / ".scratch/pico/gpt2")
    make_study(folder, edit)
    done = run_module(folder, "ecomtune.stages.pretrained", "gpt2")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(("stage", "item", "out"), TRAININGS, ids=[item for _, item, _ in TRAININGS])
def test_a_killed_training_that_runs_again_leaves_the_same_bytes(home: Path, stage: str, item: str, out: str) -> None:
    done = run_module(home, "tests.kill_points", stage, item, out, str(KILLS), "11")
    assert done.returncode == 0, done.stderr
    kills = json.loads(done.stdout)
    assert len(kills) == KILLS and all(kill["equal"] for kill in kills), kills
    assert not any(kill["stands"] for kill in kills)  # no output stands before the end
    assert any(kill["resumed"] for kill in kills), "no kill came after the first checkpoint, so nothing was resumed"
    record = json.loads((home / out / "training.json").read_text())
    assert len(record["loss"]) == record["steps"] > 5 and record["validation"]
    assert list((home / ".scratch/checkpoints").glob("*/")) == []  # removed once the output stands

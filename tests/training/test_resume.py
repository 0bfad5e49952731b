"""A training or a paying stage that is killed at any point and run again leaves the same bytes as one that was never stopped.

``make reliability`` kills each kind of stage 20 times (ECOMTUNE_KILLS), the tests 5 times.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ecomtune.inference.chat_api.connection import BASE_VARIABLE, KEY_VARIABLE
from tests.support.chat_server import serving
from tests.support.pico import make_gpt2
from tests.support.studies import make_study, run_module

KILLS = int(os.environ.get("ECOMTUNE_KILLS", "5"))
TRAININGS = {
    "adapter": ("train", "mixed", "models/adapters/mixed"),
    "encoder": ("baseline", "encoder", "models/baselines/encoder/relevance"),
    "encoder that stops early": ("baseline", "early", "models/baselines/encoder_early/relevance"),
    "tagger": ("baseline", "tagger", "models/baselines/encoder/ner"),
    "gpt2": ("baseline", "gpt2", "models/baselines/causal/relevance"),
    "seq2seq": ("baseline", "seq2seq", "models/baselines/seq2seq/description"),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose trainings have everything that a checkpoint must hold: dropout's random state, accumulated gradients, a
    warm-up, the losses of every epoch and the best epoch's weights; and a system behind an endpoint."""

    def edit(params: dict[str, Any]) -> None:
        params["train"]["shared"].update(dropout=0.1, accumulation=2, warmup=0.2, patience=2)
        params["baselines"]["encoder"].update(epochs=3, patience=2)
        early = {"epochs": 12, "patience": 1, "learning_rate": 0.3}  # stops early, and restores an earlier epoch
        params["baselines"]["early"] = {**params["baselines"]["encoder"], **early, "out": "encoder_early/relevance"}
        tagger = {"task": "ner", "out": "encoder/ner", "crf": True, "adversarial": 0.5}
        params["baselines"]["tagger"] = {**params["baselines"]["encoder"], **tagger}
        params["models"]["gpt2"] = {**params["models"]["pico"], "folder": ".scratch/pico/gpt2"}
        causal = {"family": "causal", "out": "causal/relevance", "model": "gpt2", "max_length": 1024}
        params["baselines"]["gpt2"] = {**params["baselines"]["encoder"], **causal}
        params["tasks"]["description"] = {**params["tasks"]["relevance"], "max_new_tokens": 32}
        seq2seq = {"family": "seq2seq", "task": "description", "out": "seq2seq/description", "max_new_tokens": 32}
        params["baselines"]["seq2seq"] = {**params["baselines"]["encoder"], **seq2seq}
        large = {"kind": "endpoint", "reads": "data/examples", "tasks": ["relevance", "ner"]}
        params["systems"]["large"] = {**large, "endpoint": {"model": "large", "concurrency": 3}}

    folder = tmp_path_factory.mktemp("resume")
    make_gpt2(folder / ".scratch/pico/gpt2")
    make_study(folder, edit)
    done = run_module(folder, "ecomtune.stages.pretrained", "gpt2")
    assert done.returncode == 0, done.stderr
    return folder


def kill(home: Path, stage: str, item: str, out: str, **environment: str) -> list[dict[str, Any]]:
    """Kill a stage at random points, and check that the next run each time leaves the bytes of an uninterrupted one."""
    done = run_module(home, "tests.support.kill_points", stage, item, out, str(KILLS), "11", **environment)
    assert done.returncode == 0, done.stderr
    kills: list[dict[str, Any]] = json.loads(done.stdout)
    assert len(kills) == KILLS and all(kill["equal"] for kill in kills), kills
    assert not any(kill["torn"] for kill in kills)  # an output is complete or missing
    assert all(kill["resumed"] for kill in kills if kill["late"]), kills  # these were killed after a checkpoint
    return kills


@pytest.mark.parametrize("training", TRAININGS)
def test_a_killed_training_that_runs_again_leaves_the_same_bytes(home: Path, training: str) -> None:
    stage, item, out = TRAININGS[training]
    kill(home, stage, item, out)
    record = json.loads((home / out / "training.json").read_text())
    losses = [entry.get("loss", 0) for entry in record["validation"]]
    assert len(record["loss"]) == record["steps"] > 5 and losses
    assert training != "encoder that stops early" or losses.index(min(losses)) < len(losses) - 1 < 11, losses
    assert list((home / ".scratch/checkpoints").glob("*/")) == []  # removed once the output is written


def test_a_killed_system_behind_an_endpoint_pays_only_for_the_rest_and_leaves_the_same_bytes(home: Path) -> None:
    with serving() as site:
        site.seconds = 0.02
        environment = {BASE_VARIABLE: site.base, KEY_VARIABLE: "any", "NO_PROXY": "127.0.0.1"}
        kills = kill(home, "predict", "large", "data/predictions/large", **environment)
    assert {each["kept"] + each["asked"] for each in kills} == {len(set(site.prompts))}

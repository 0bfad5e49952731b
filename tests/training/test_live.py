"""A training's losses can be read while it runs, in a folder outside of outputs and commits."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from transformers import TrainerControl, TrainerState

from ecomtune.checks.parameters import load_params
from ecomtune.core.files import read_json, sha256_folder
from ecomtune.stages import baseline, download, format, pretrained, train
from ecomtune.training.callbacks import LiveLosses
from tests.support.pico import make_causal, make_encoder
from tests.support.scratch_clone import REPOSITORY

pytest.importorskip("dvclive", reason="dvclive isn't installed: pip install -e '.[live]' brings it")
ADAPTER, LIVE = "models/adapters/shards/relevance/1", Path(".scratch/live")


@pytest.fixture
def study(workplace: Path) -> Path:
    """The pico profile up to its examples, in a repository of git and DVC, with a training of 60 steps."""
    params = yaml.safe_load((REPOSITORY / "profiles/pico.yaml").read_text())
    params["train"]["shared"].update(epochs=30, dropout=0.1)
    params["models"]["bert"] = {"kind": "encoder", "source": "folder", "folder": ".scratch/pico/encoder", "licence": "none"}
    encoder = {"family": "encoder", "task": "relevance", "out": "encoder/relevance", "model": "bert", "epochs": 2}
    params["baselines"]["encoder_relevance"] = encoder
    params["systems"]["encoder"] = {"kind": "baseline", "reads": "models/baselines/encoder", "tasks": ["relevance"]}
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    Path(".gitignore").write_bytes((REPOSITORY / ".gitignore").read_bytes())
    make_causal(Path(".scratch/pico/causal"))
    make_encoder(Path(".scratch/pico/encoder"))
    for stage, item in ((download, "demo_shop"), (pretrained, "pico"), (pretrained, "bert"), (format, "relevance")):
        stage.main(load_params(), item)
    for command in (
        "git init -q",
        "dvc init -q",
        "git config user.name T",
        "git config user.email t@example.org",
        "git add -A",
    ):
        subprocess.run(command.split(), check=True)
    subprocess.run(["git", "commit", "-qm", "Start"], check=True)
    return workplace


def lines(name: str, training: str = "relevance_1") -> list[list[str]]:
    """Step and loss in the file so far, without its header."""
    file = LIVE / training / f"plots/metrics/{name}.tsv"
    return [line.split("\t") for line in file.read_text().splitlines()[1:]] if file.is_file() else []


def test_a_loss_is_written_after_each_step_and_changes_no_output_or_commit(study: Path) -> None:
    command = [sys.executable, "-m", "ecomtune.stages.train", "relevance_1"]
    running = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)
    seen = {0}
    while running.poll() is None:
        seen.add(len(lines("train/loss")))
        time.sleep(0.002)
    assert running.wait() == 0, running.communicate()[1]
    steps = read_json(Path(ADAPTER) / "training.json")["steps"]
    assert len(seen) > 4 and max(seen) <= steps == 60
    assert [int(step) for step, _ in lines("train/loss")] == list(range(1, steps + 1))
    assert [int(step) for step, _ in lines("validation/relevance")] == [2 * epoch for epoch in range(1, 31)]
    assert read_json(Path(".scratch/live/relevance_1/metrics.json"))["step"] == steps
    status = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True)
    assert status.stdout == "" and not list(Path().glob("dvclive*"))
    live = sha256_folder(Path(ADAPTER))
    Path(".dvc").rename("away")  # so that no live losses are written
    train.main(load_params(), "relevance_1")
    assert sha256_folder(Path(ADAPTER)) == live


def test_a_baseline_also_writes_its_losses_live(study: Path) -> None:
    baseline.main(load_params(), "encoder_relevance")
    steps = read_json(Path("models/baselines/encoder/relevance/training.json"))["steps"]
    assert [int(step) for step, _ in lines("train/loss", "baselines/encoder_relevance")] == list(range(1, steps + 1))
    assert len(lines("validation/loss", "baselines/encoder_relevance")) == 2


def environment() -> dict[str, str]:
    path = [str(REPOSITORY / "src"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def test_a_resumed_training_has_each_loss_once(workplace: Path) -> None:
    subprocess.run(["dvc", "init", "-q", "--no-scm"], check=True)
    before = [{"step": step, "loss": 1 / step} for step in (1, 2, 3)]
    for known in (3, 2):  # killed after the third step, with a checkpoint of the second
        state = TrainerState(log_history=before[:known])
        callback = LiveLosses(Path(".scratch/live/relevance_1"))
        callback.on_train_begin(None, state, TrainerControl())
    state.log_history.append({"step": 3, "loss": 0.5})
    callback.on_log(None, state, TrainerControl())
    assert lines("train/loss") == [["1", "1.0"], ["2", "0.5"], ["3", "0.5"]]

"""Processes that train together end with one process's weights, one of them writes, and separate training is refused."""

from __future__ import annotations

import ast
import json
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

from ecomtune.checks.parameters import load_params
from ecomtune.core.files import sha256_folder
from ecomtune.messages.errors import UserError
from ecomtune.stages import predict
from ecomtune.training.distributed import check_processes
from tests.support.scratch_clone import REPOSITORY
from tests.support.studies import make_study, run_module

OUT = Path("models/adapters/mixed")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def edit(params: dict[str, Any]) -> None:
        params["tasks"]["relevance"]["train_size"] = 21  # too few batches in the last step for two processes
        params["train"]["shared"].update(epochs=1, warmup=0.2, learning_rate=0.005)

    return make_study(tmp_path_factory.mktemp("distributed"), edit)


def launch(
    study: Path, module: str, *arguments: str, by: str = "torchrun", script: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a module in two processes on this machine's CPU; accelerate starts several only with --multi_gpu."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    if by == "torchrun":
        options = ["torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1", "--master-port", port]
    else:
        options = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", port]
    target = [script, module] if script else ["-m", module]
    return run_module(study, *options, *target, *arguments, **environment)


def set_shared(study: Path, **changes: Any) -> str:
    """Change train.shared in params.yaml, and return the file's former text."""
    before = (study / "params.yaml").read_text()
    params = yaml.safe_load(before)
    params["train"]["shared"].update(changes)
    (study / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return before


def train_alone(study: Path, name: str) -> Path:
    """Train in one process with as many rows a step, and move the adapter to the folder ``name``."""
    set_shared(study, accumulation=2)
    done = run_module(study, "ecomtune.stages.train", "mixed")
    assert done.returncode == 0, done.stderr
    set_shared(study, accumulation=1)
    (study / ".scratch/times.jsonl").unlink()
    return Path(shutil.move(study / OUT, study / name))


@pytest.fixture(scope="module")
def alone(study: Path) -> Path:
    """The adapter that one process trains with the study's own parameters."""
    return train_alone(study, "alone")


@pytest.mark.parametrize("by", ["torchrun", "accelerate launch"])
def test_two_processes_train_the_same_adapter_as_one(study: Path, alone: Path, by: str) -> None:
    shutil.rmtree(study / OUT, ignore_errors=True)
    (study / ".scratch/times.jsonl").unlink(missing_ok=True)
    done = launch(study, "ecomtune.stages.train", "mixed", by=by, ECOMTUNE_CHECKPOINT_SECONDS="0")
    assert done.returncode == 0, done.stderr
    records = [json.loads((folder / "training.json").read_text()) for folder in (study / OUT, alone)]
    assert records[0]["steps"] == records[1]["steps"] > 4 and records[0]["tokens"] == records[1]["tokens"]
    for (step, together), (other, single) in zip(records[0]["loss"], records[1]["loss"], strict=True):
        assert step == other and together == pytest.approx(single, abs=1e-4)
    for task in ("relevance", "ner"):
        assert records[0]["validation"][0][task] == pytest.approx(records[1]["validation"][0][task], abs=1e-4)
    weights = [load_file(folder / "adapter_model.safetensors") for folder in (study / OUT, alone)]
    assert all(torch.allclose(weights[0][name], weights[1][name], atol=1e-4) for name in weights[1])
    assert list((study / ".scratch/checkpoints").glob("*/")) == []
    assert (study / ".scratch/times.jsonl").read_text().count("train@mixed") == 1


@pytest.mark.parametrize(("labels", "decoding"), [("calibrated", "constrained"), ("greedy", "free")])
def test_two_processes_give_the_answers_of_one_for_half_of_the_batches_each(
    study: Path, monkeypatch: pytest.MonkeyPatch, labels: str, decoding: str
) -> None:
    monkeypatch.chdir(study)
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["tasks"]["relevance"].update(labels=labels, batch_size=5)
    params["tasks"]["ner"].update(decoding=decoding, batch_size=5, max_new_tokens=12)
    params["systems"]["zero"] = {"kind": "prompt", "reads": "models/pretrained/pico", "tasks": ["relevance", "ner"]}
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    predict.main(load_params(), "zero")
    alone = shutil.move("data/predictions/zero", study / f"alone_{labels}")
    shutil.rmtree(".scratch/answers")
    done = launch(study, "tests.support.answering_together", "zero")
    assert done.returncode == 0, done.stderr
    assert sha256_folder(Path("data/predictions/zero")) == sha256_folder(Path(alone))
    first, second = (ast.literal_eval(Path(f"rows.{rank}").read_text()) for rank in (0, 1))
    for mine, others in zip(first, second, strict=True):
        assert sorted(mine + others) == list(range(len(mine + others))) and (mine or others)
    assert first[0] and second[0] and first[-1] and second[-1]
    assert len(list(Path(".scratch/answers").iterdir())) == 2  # kept by the first process, for both tasks


def test_a_system_without_a_causal_model_is_answered_by_the_first_process_alone(study: Path) -> None:
    assert run_module(study, "ecomtune.stages.baseline", "floor_relevance").returncode == 0
    done = launch(study, "ecomtune.stages.predict", "floor")
    assert done.returncode == 0, done.stderr
    written = sorted(file.name for file in (study / "data/predictions/floor").iterdir())
    assert written == ["costs.json", "definitions.json", "relevance.jsonl"]


def test_a_stage_that_does_not_train_an_adapter_is_run_by_the_first_process_alone(study: Path) -> None:
    shutil.rmtree(study / "data/raw")
    done = launch(study, "ecomtune.stages.download", "demo_shop")
    assert done.returncode == 0, done.stderr
    assert list((study / "data/raw").iterdir()) == [study / "data/raw/demo_shop"]


def test_sharding_that_needs_a_gpu_is_refused_without_one(study: Path) -> None:
    shutil.rmtree(study / OUT, ignore_errors=True)
    done = launch(study, "ecomtune.stages.train", "mixed", ACCELERATE_USE_FSDP="true")
    assert done.returncode == 1
    assert "train: error: FSDP was asked for, and the processes would run without it, since it needs GPUs" in done.stderr
    assert not (study / OUT).exists() and list((study / ".scratch/checkpoints").iterdir()) == []


SHARDED = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "ACCELERATE_TORCH_DEVICE": "cpu",
}


def train_sharded(study: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    script = str(REPOSITORY / "tests/support/sharded_on_cpu.py")
    return launch(study, "ecomtune.stages.train", "mixed", script=script, **{**SHARDED, **environment})


def difference(study: Path, alone: Path) -> float:
    """The mean difference between the adapter's weights and those that one process has trained."""
    weights = [load_file(folder / "adapter_model.safetensors") for folder in (study / OUT, alone)]
    assert weights[0].keys() == weights[1].keys()
    return float(torch.cat([(weights[0][name] - weights[1][name]).abs().flatten() for name in weights[1]]).mean())


def test_processes_that_share_a_model_train_the_adapter_of_one_and_resume_after_a_kill(study: Path, alone: Path) -> None:
    shutil.rmtree(study / OUT, ignore_errors=True)
    stopped = train_sharded(study, ECOMTUNE_CHECKPOINT_SECONDS="0", STOP_AT="checkpoint-4")
    assert stopped.returncode != 0 and not (study / OUT).exists()
    done = train_sharded(study, ECOMTUNE_CHECKPOINT_SECONDS="0")
    assert done.returncode == 0, done.stderr
    assert "resumed from step 3" in done.stdout
    records = [json.loads((folder / "training.json").read_text()) for folder in (study / OUT, alone)]
    assert [loss for _, loss in records[0]["loss"]] == pytest.approx([loss for _, loss in records[1]["loss"]], abs=1e-4)
    assert records[0]["trained_parameters"] == records[1]["trained_parameters"] > 0
    assert difference(study, alone) < 1e-4


def test_processes_that_share_a_model_write_the_weights_of_its_best_epoch(study: Path) -> None:
    # options of accelerate launch: activation checkpointing, which renames layers, and loading weights in rank 0 only
    others = {"FSDP_ACTIVATION_CHECKPOINTING": "true", "FSDP_CPU_RAM_EFFICIENT_LOADING": "true"}
    before = set_shared(study, epochs=6, learning_rate=0.2, patience=1, rank=2)  # so that the second epoch is worse
    try:
        alone = train_alone(study, "alone_for_epochs")
        done = train_sharded(study, **others)
    finally:
        (study / "params.yaml").write_text(before)
    assert done.returncode == 0, done.stderr
    for folder in (study / OUT, alone):
        losses = json.loads((folder / "training.json").read_text())["validation"]
        assert len(losses) == 2 and sum(losses[0][task] - losses[1][task] for task in ("relevance", "ner")) < -0.1
    assert difference(study, alone) < 1e-2  # at a learning rate forty times as high


def test_fsdp_version_1_is_refused(study: Path) -> None:
    done = train_sharded(study, FSDP_VERSION="1")
    assert done.returncode == 1
    assert "train: error: FSDP of version 1 was asked for" in done.stderr and "set fsdp_version to 2" in done.stderr


def test_processes_that_would_train_separately_are_refused(
    pico_causal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = AutoModelForCausalLM.from_pretrained(pico_causal)
    trainer = Trainer(model=model, args=TrainingArguments(output_dir=str(tmp_path), use_cpu=True))
    check_processes(trainer)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="2 processes were started, and 1 would train together; start them with torchrun"):
        check_processes(trainer)

"""The endpoint path against a real OpenAI-compatible server: transformers serve with the packaged weights."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ecomtune.core.config import TaskSettings
from ecomtune.core.records import Prediction, read_task
from ecomtune.inference.chat_api.connection import BASE_VARIABLE, KEY_VARIABLE
from ecomtune.inference.decoding.local_answers import answer_task
from ecomtune.inference.decoding.local_model import LocalModel
from ecomtune.inference.decoding.prompts import PromptedTask
from tests.support.chat_server import forward, serving
from tests.support.endpoint_stage import lay_out, predicted, start_stage
from tests.support.pico import CHAT_TEMPLATE
from tests.support.scratch_clone import REPOSITORY
from tests.support.served import transformers_serve
from tests.support.tasks import load_task

pytestmark = pytest.mark.weights
SMOLLM2 = REPOSITORY / "models/pretrained/smollm2"
ROWS = 12


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2 with a chat template, without which a server takes no chat."""
    folder = tmp_path_factory.mktemp("model")
    for file in SMOLLM2.resolve().iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def served(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a server of that model on this machine."""
    with transformers_serve(model, tmp_path_factory.mktemp("served") / "log") as base:
        yield base


def test_a_run_killed_half_way_pays_a_real_server_only_for_the_rest_and_answers_as_the_weights_do(
    served: str, model: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = lay_out(workplace, {"endpoint": {"model": str(model), "concurrency": 2}}, ROWS)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(KEY_VARIABLE, "any")
    with serving() as counting:
        monkeypatch.setenv(BASE_VARIABLE, counting.base)
        counting.faults = [forward(served)] * 10 * ROWS
        stage = start_stage(workplace)
        while len(counting.requests) < ROWS // 2 and stage.poll() is None:
            time.sleep(0.02)
        os.killpg(stage.pid, signal.SIGKILL)
        _, err = stage.communicate()
        kept, asked = len(list(Path(".scratch/endpoint").glob("*.json"))), len(counting.requests)
        assert 0 < kept <= asked < ROWS, err
        stage = start_stage(workplace)
        out, err = stage.communicate(timeout=300)
        assert stage.returncode == 0, err
        assert len(counting.requests) - asked == ROWS - kept
        assert f"before: {kept} (" in out
    settings = TaskSettings(dataset="shop", train_size=1, validation_size=0, test_size=1, max_new_tokens=8, decoding="free")
    asked = PromptedTask(load_task("relevance"), settings, LocalModel(model))
    expected = answer_task(asked, examples, asked.prompts(examples))
    assert [prediction.answer.strip() for prediction in predicted(workplace)] == expected


@pytest.mark.mirror
def test_fifty_real_queries_are_answered_and_paid_for_once_though_the_run_was_killed_half_way(
    served: str, model: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = yaml.safe_load((REPOSITORY / "profiles/queryner.yaml").read_text(encoding="utf-8"))
    params["tasks"]["ner"] |= {"train_size": 200, "validation_size": 20, "test_size": 50, "max_new_tokens": 16}
    large = {"kind": "endpoint", "reads": "data/examples", "tasks": ["ner"], "shots": 3, "demonstrations": "bm25"}
    params["systems"] = {"large": {**large, "endpoint": {"model": str(model), "concurrency": 2}}}
    (workplace / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    for stage, item in (("download", "queryner"), ("format", "ner")):
        subprocess.run([sys.executable, "-m", f"ecomtune.stages.{stage}", item], check=True)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(KEY_VARIABLE, "any")
    with serving() as counting:
        monkeypatch.setenv(BASE_VARIABLE, counting.base)
        counting.faults = [forward(served)] * 500
        killed = start_stage(workplace)
        while len(counting.requests) < 25 and killed.poll() is None:
            time.sleep(0.02)
        os.killpg(killed.pid, signal.SIGKILL)
        _, err = killed.communicate()
        kept, asked = len(list(Path(".scratch/endpoint").glob("*.json"))), len(counting.requests)
        assert 0 < kept <= asked < 50, err
        again = start_stage(workplace)
        out, err = again.communicate(timeout=600)
        assert again.returncode == 0, err
        assert len(counting.requests) - asked == 50 - kept and f"before: {kept} (" in out
    answers = read_task(workplace / "data/predictions/large/ner.jsonl", Prediction, "ner")
    costs = json.loads((workplace / "data/predictions/large/costs.json").read_text())["ner"]
    assert len(answers) == 50 and all(answer.answer for answer in answers)
    assert costs["input_tokens"] > 100 and 0 < costs["output_tokens"] <= 16 and "parameters" not in costs


def test_a_wrong_model_stops_at_once(served: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_out(workplace, {"endpoint": {"model": "another"}}, ROWS)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(KEY_VARIABLE, "any")
    monkeypatch.setenv(BASE_VARIABLE, served)
    stage = start_stage(workplace)
    _, err = stage.communicate(timeout=120)
    assert stage.returncode == 1 and err.count("\n") == 1
    assert err.startswith(f"predict: error: systems.large: the endpoint at {served} refuses model another (status 400: ")

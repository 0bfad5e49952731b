"""A model written by `ecomtune export --merged` answers behind transformers serve as its adapter does here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
import yaml
from transformers import PreTrainedTokenizerFast
from typer.testing import CliRunner

from ecomtune.checks.parameters import load_params
from ecomtune.cli.adapter_export import plain_chat
from ecomtune.cli.app import app
from ecomtune.core.records import Example, read_records, read_task
from ecomtune.inference.decoding.local_answers import answer_task
from ecomtune.inference.decoding.local_model import LocalModel
from ecomtune.inference.decoding.prompts import PromptedTask
from ecomtune.models.tokenization import encode_prompt
from ecomtune.stages import download, format, pretrained, train
from tests.support.pico import causal_tokenizer, make_causal, seq2seq_tokenizer
from tests.support.scratch_clone import REPOSITORY
from tests.support.served import transformers_serve
from tests.support.tasks import load_task

ADAPTER = Path("models/adapters/shards/relevance/1")


@pytest.fixture
def chat() -> bool:
    """Whether the model is asked in its chat form."""
    return False


@pytest.fixture
def study(workplace: Path, chat: bool) -> Path:
    """The pico profile with a system of one trained adapter, run up to that adapter."""
    params = yaml.safe_load((REPOSITORY / "profiles/pico.yaml").read_text())
    params["models"]["pico"]["chat"] = chat
    params["systems"]["tuned"] = {"kind": "adapter", "reads": str(ADAPTER), "tasks": ["relevance"]}
    params["tasks"]["relevance"]["decoding"] = "free"
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    make_causal(Path(".scratch/pico/causal"))
    for stage, item in ((download, "demo_shop"), (pretrained, "pico"), (format, "relevance"), (train, "relevance_1")):
        stage.main(load_params(), item)
    return workplace


def test_an_exported_model_answers_behind_a_server_as_its_adapter_does(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(app, ["export", "--system", "tuned", "--task", "relevance", "--merged", "--out", "served"])
    assert done.exit_code == 0, done.output
    assert "- Serve: `transformers serve .`" in Path("served/README.md").read_text()
    task, settings = load_task("relevance"), load_params().tasks["relevance"]
    rows = read_task(Path("data/examples/relevance/test.jsonl"), Example, "relevance")[:3]
    prompts = [row.prompt for row in rows]
    models = (LocalModel.of_adapter(ADAPTER), LocalModel(Path("models/pretrained/pico")))
    tuned, plain = (answers(PromptedTask(task, settings, model), rows) for model in models)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with transformers_serve(study / "served", study / "log") as base:
        served = [ask(base, study / "served", prompt, settings.max_new_tokens) for prompt in prompts]
    assert served == tuned != plain


@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
@pytest.mark.parametrize("merged", [False, True], ids=["adapter", "merged"])
def test_the_code_in_a_card_loads_and_asks_the_model_in_its_folder(study: Path, merged: bool, chat: bool) -> None:
    command = ["export", "--system", "tuned", "--task", "relevance", "--out", "made", *(["--merged"] if merged else [])]
    assert CliRunner().invoke(app, command).exit_code == 0
    (row,) = read_records(Path("data/examples/relevance/test.jsonl"), Example, 1)
    (code,) = re.findall("```python\n(.*?)```", Path("made/README.md").read_text(), flags=re.DOTALL)
    assert ("REPOSITORY" in code, "apply_chat_template" in code) == (not merged, merged or chat)
    assert (study / "models/pretrained/pico/chat_template.jinja").is_file() == chat
    code = code.replace('"PROMPT"', json.dumps(row.prompt)).replace("REPOSITORY", str(study))
    done = subprocess.run([sys.executable, "-c", code], cwd="made", capture_output=True, text=True, check=True)
    asked = PromptedTask(load_task("relevance"), load_params().tasks["relevance"], LocalModel.of_adapter(ADAPTER))
    assert [done.stdout.strip()] == answers(asked, [row])


def answers(asked: PromptedTask, rows: list[Example]) -> list[str]:
    """The answers as the stage predict decodes them."""
    return answer_task(asked, rows, asked.prompts(rows))


def ask(base: str, model: Path, prompt: str, tokens: int) -> str:
    """The answer to one prompt, decoded greedily."""
    question = {"model": str(model), "messages": [{"role": "user", "content": prompt}], "temperature": 0, "max_tokens": tokens}
    answered = httpx2.post(f"{base}/chat/completions", json=question, timeout=120).raise_for_status()
    return str(answered.json()["choices"][0]["message"]["content"]).strip()


@pytest.mark.parametrize("adds_bos", [False, True])
def test_the_chat_template_of_an_export_gives_the_tokens_that_it_was_tuned_on(adds_bos: bool) -> None:
    tokenizer: PreTrainedTokenizerFast = seq2seq_tokenizer("<s> $A") if adds_bos else causal_tokenizer()
    tokenizer.chat_template = None
    tuned_on = encode_prompt(tokenizer, "Query: mug\nAnswer:")
    assert (tuned_on[0] == tokenizer.bos_token_id) == adds_bos
    tokenizer.chat_template = plain_chat(tokenizer)
    message = [{"role": "user", "content": "Query: mug\nAnswer:"}]
    asked = tokenizer.apply_chat_template(message, add_generation_prompt=True, return_dict=True)
    assert tuple(asked["input_ids"]) == tuned_on

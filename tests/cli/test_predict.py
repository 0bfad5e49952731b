"""The user's own inputs get the answers that the stage gives: from texts, fields, a file or standard input, as JSON lines."""

from __future__ import annotations

import json
import os
import pty
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoTokenizer
from typer.testing import CliRunner, Result

from ecomtune.checks.parameters import load_params
from ecomtune.cli.app import app
from ecomtune.cli.predict_inputs import read_inputs
from ecomtune.core.records import Example, Prediction, Reference, read_task, write_records
from ecomtune.inference.answer_costs import count_tokens
from ecomtune.messages.errors import UserError
from ecomtune.models.tokenization import encode_prompt
from ecomtune.stages.predict import main as stage
from ecomtune.tasks.row_text import Fields
from tests.support.scratch_clone import REPOSITORY
from tests.support.tasks import load_task, mark_formatted

OWN_TASKS = ("relevance", "ner", "summarization", "description")
FIELDS: dict[str, list[Fields]] = {
    "relevance": [{"query": "red shoes", "title": "Red Shoes for Men"}, {"query": "mug", "title": "Shoes", "brand": "Acme"}],
    "ner": [{"words": ["red", "running", "shoes"]}, {"words": ["shoes"]}],
    "summarization": [{"reviews": ["Warm.", "Soft, warm."]}],
    "description": [{"title": "Red Shoes", "bullets": ["light", "for men"]}],
}
GOLD: dict[str, Reference] = {"relevance": "Exact", "summarization": "-", "description": "-"}


@pytest.fixture
def project(workplace: Path, pico_causal: Path) -> Path:
    """The pico profile with four tasks, a prompted system for them, and test and training rows of each."""
    params = yaml.safe_load((REPOSITORY / "profiles/pico.yaml").read_text())
    params["tasks"] = {name: {**params["tasks"]["relevance"], "max_new_tokens": 6} for name in OWN_TASKS}
    prompt = {"kind": "prompt", "reads": "models/pretrained/pico"}
    params["systems"]["zero"] = {**prompt, "tasks": list(OWN_TASKS)}
    params["systems"]["one"] = {**prompt, "tasks": ["relevance", "ner"], "shots": 1}
    params["systems"]["in_use"] = {"kind": "recorded", "reads": "data/examples/relevance", "tasks": ["relevance"]}
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    shutil.copytree(pico_causal, "models/pretrained/pico")
    for task in OWN_TASKS:
        for split in ("train", "test"):
            write_records(Path("data/examples") / task / f"{split}.jsonl", rows(task))
    mark_formatted(*OWN_TASKS)
    return workplace


def rows(task: str) -> list[Example]:
    """Rows as the format stage writes them."""
    found = []
    for number, fields in enumerate(FIELDS[task]):
        gold = GOLD.get(task) or ["O"] * len(fields["words"])
        asked = load_task(task)
        found.append(
            Example(
                id=f"{task}-{number}",
                task=task,
                prompt=asked.prompt(fields, "compact"),
                target=asked.target(fields, gold),
                reference=gold,
                fields=dict(fields),
                group=str(number),
                source="shop",
            )
        )
    return found


def ask(*arguments: str, given: str | bytes | None = None, system: str = "zero", task: str = "ner") -> Result:
    return CliRunner().invoke(app, ["predict", "--task", task, "--system", system, *arguments], input=given)


def results(*arguments: str, **options: Any) -> list[dict[str, Any]]:
    """The JSON lines of a command that succeeds."""
    done = ask(*arguments, **options)
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def refusal(*arguments: str, **options: Any) -> str:
    done = ask(*arguments, **options)
    assert done.exit_code == 1 and done.stdout == "", done.output
    (line,) = done.stderr.splitlines()
    return line.removeprefix("error: ")


@pytest.mark.parametrize(("system", "names"), [("zero", OWN_TASKS), ("one", ("relevance", "ner"))])
def test_an_input_gets_the_answer_that_the_stage_gives_for_the_same_row(
    project: Path, system: str, names: tuple[str, ...]
) -> None:
    stage(load_params(), system)
    for name in names:
        given = read_task(Path(f"data/predictions/{system}/{name}.jsonl"), Prediction, name)
        shutil.rmtree(".scratch/answers")  # otherwise the answers would come from the cache
        lines = "".join(f"{json.dumps(fields)}\n" for fields in FIELDS[name])
        found = results(given=lines, system=system, task=name)
        assert [(line["answer"], line["parsed"], line["valid"]) for line in found] == [
            (each.answer, each.parsed, each.valid) for each in given
        ]


@pytest.mark.parametrize(("system", "shots"), [("zero", 0), ("one", 1)])
def test_the_stage_records_the_mean_tokens_of_its_prompts_and_answers(project: Path, system: str, shots: int) -> None:
    stage(load_params(), system)
    tokenizer = AutoTokenizer.from_pretrained("models/pretrained/pico")
    asked, examples = load_task("ner"), rows("ner")
    shown = [(each.fields, each.target) for each in examples[:shots]]
    prompts = [asked.prompt(each.fields, "compact", shown) for each in examples]
    answers = [each.answer for each in read_task(Path(f"data/predictions/{system}/ner.jsonl"), Prediction, "ner")]
    counted = count_tokens(tokenizer, [encode_prompt(tokenizer, prompt) for prompt in prompts], answers)
    costs = json.loads(Path(f"data/predictions/{system}/costs.json").read_text())["ner"]
    assert counted[0] != counted[1]
    assert [costs["input_tokens"], costs["output_tokens"]] == [round(tokens / len(examples), 1) for tokens in counted]


def test_a_query_may_be_a_text_a_line_or_a_json_object(project: Path) -> None:
    (first, second) = results("red running shoes", " shoes ")
    assert first["words"] == ["red", "running", "shoes"] and second["words"] == ["shoes"]
    assert first["tagged"] == [list(pair) for pair in zip(first["words"], first["parsed"], strict=True)]
    assert list(first) == ["words", "answer", "parsed", "valid", "tagged"]
    Path("queries.txt").write_bytes("\ufeffred running shoes\r\n\n  shoes\n".encode())
    Path("queries.jsonl").write_text('{"words": "red running shoes"}\n{"words": ["shoes"]}\n')
    assert results("--file", "queries.txt") == results("--file", "queries.jsonl") == [first, second]
    assert results(given="red running shoes\nshoes\n") == [first, second]
    assert results("--field", "words=red running shoes") == [first]


def test_fields_are_given_by_name_and_a_list_by_repeating_the_name(project: Path) -> None:
    (line,) = results("--field", "query=red mug", "--field", "title=Mug = red", task="relevance")
    assert (line["query"], line["title"]) == ("red mug", "Mug = red") and line["parsed"] == line["answer"]
    (line,) = results("--field", "title=Mug", "--field", "bullets=red", "--field", "bullets=light", task="description")
    assert line["bullets"] == ["red", "light"] and "brand" not in line


def test_only_json_lines_go_to_standard_output_and_progress_to_standard_error(project: Path) -> None:
    done = ask("red shoes")
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["words"] == ["red", "shoes"] and "ner" in done.stderr and "100%" in done.stderr


def test_a_model_of_other_parameters_answers_with_a_warning(project: Path) -> None:
    """The lock is that of a run whose weights were pinned with another licence."""
    shutil.copy(REPOSITORY / "dvc.yaml", "dvc.yaml")
    now = yaml.safe_load(Path("params.yaml").read_text())["models"]["pico"]
    for licence, warns in ((now["licence"], False), ("other", True)):
        params = {"params.yaml": {"models.pico": {**now, "licence": licence}}}
        stage = {"cmd": "python", "params": params, "outs": [{"path": "models/pretrained/pico", "md5": "0"}]}
        Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"pretrained@pico": stage}}))
        done = ask("red shoes")
        difference = "stage pretrained@pico of dvc.lock ran with models.pico.licence other, and"
        assert done.exit_code == 0 and (done.stderr.startswith("warning: ") and difference in done.stderr) == warns
        assert len(done.stdout.splitlines()) == 1


def test_other_scripts_stay_readable(project: Path) -> None:
    assert '["靴", "é"]' in ask("靴 é").stdout


@pytest.mark.parametrize(
    ("arguments", "options", "sentence"),
    [
        (["x"], {"system": "none"}, "systems of params.yaml have no 'none'; name one of: merged_shards, floor, zero, one"),
        (["x"], {"system": "floor"}, "system floor doesn't answer 'ner'; name one of its tasks: relevance"),
        (["x"], {"task": "none"}, "system zero doesn't answer 'none'; name one of its tasks: relevance, ner, summarization"),
        (
            ["x"],
            {"system": "in_use", "task": "relevance"},
            "system in_use is of kind recorded, which has no model that answers; name one of: merged_shards, floor, zero, one",
        ),
        (
            ["x"],
            {"system": "merged_shards", "task": "relevance"},
            "models/adapters/merged/relevance_shards is missing; run dvc repro, or dvc checkout if it has been run before",
        ),
        (["x", "--field", "words=y"], {}, "texts, --field and --file are three ways to give inputs; use one of them"),
        (["--file", "a", "--field", "words=y"], {}, "texts, --field and --file are three ways to give inputs; use one of them"),
        (["--field", "words"], {}, "--field 'words' has no value; write it as --field NAME=VALUE"),
        (["--field", "query=x"], {}, "the input: 'query' is not a field; ner needs words, its fields are words"),
        (["red mug"], {"task": "relevance"}, "text 1: relevance needs query and title, not one text; give --field query=..."),
        (
            [],
            {"task": "relevance", "given": '{"query": "mug", "title": "Red Mug"}\n\nmug\n'},
            "standard input line 3: relevance needs query and title, not one text; give --field query=... --field title=..., "
            "or JSON lines with these fields",
        ),
        (
            ["--field", "query=x"],
            {"task": "relevance"},
            "the input: field title is missing or empty; relevance needs query and title, its fields are query, title, brand",
        ),
        (["--field", "query=x", "--field", "query=y"], {"task": "relevance"}, "the input: query is not text; relevance needs"),
        (["  "], {}, "text 1: field words is missing or empty; ner needs words"),
        ([], {"given": "\n \n"}, "there is nothing to answer: the input is empty; give a text, --field NAME=VALUE or --file"),
        ([], {"given": 'mug\n{"words": \n'}, "standard input line 2 is not a JSON object ("),
        ([], {"given": '{"words": ["red mug", "a\\nb"]}'}, "standard input line 1: its target doesn't parse back"),
        ([], {"given": '{"words": "\\ud800"}'}, "standard input line 1: words holds broken UTF-8; ner needs words"),
        ([], {"given": '{"words": null}'}, "standard input line 1: field words is missing or empty; ner needs words"),
        ([], {"given": b"caf\xe9\n"}, "standard input is not UTF-8 text ("),
        (["--file", "gone.txt"], {}, "--file gone.txt names no file; correct it"),
        (["--file", "data"], {}, "--file data names no file; correct it"),
        (["word " * 3000], {}, "example input 1: its prompt and answer need up to "),
    ],
)
def test_an_input_that_can_not_be_answered_is_refused_in_one_sentence(
    project: Path, arguments: list[str], options: dict[str, Any], sentence: str
) -> None:
    assert refusal(*arguments, **options).startswith(sentence)


def test_a_terminal_without_input_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    other, terminal = pty.openpty()
    with os.fdopen(terminal) as file, os.fdopen(other, "rb"):
        monkeypatch.setattr("sys.stdin", file)
        with pytest.raises(UserError, match=r"^there is nothing to answer; give a text, --field NAME=VALUE, --file, or lines"):
            read_inputs(load_task("ner"), [], [], None)

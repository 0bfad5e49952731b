"""The pages of docs/: a newcomer's commands, and everything that is said to extend the project, done in scratch clones."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.main import get_command

from ecomtune.adapters.factors import load_adapter
from ecomtune.checks.parameters import load_params
from ecomtune.cli.app import app
from ecomtune.core.config.params import model_folder
from ecomtune.runs.roles import role_of
from tests.support.pico import make_causal
from tests.support.scratch_clone import REPOSITORY, commit, make_clone, run
from tests.support.tasks import load_task

pytestmark = pytest.mark.pipeline
DOCS = REPOSITORY / "docs"
#: The LLM of the profiles, in its place a random one of a few thousand weights.
PICO = {"kind": "causal", "source": "folder", "folder": ".scratch/pico", "licence": "Apache-2.0"}


def blocks(page: str, language: str) -> list[str]:
    """The page's code of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def small(values: dict[str, Any]) -> dict[str, Any]:
    """A profile's parameters with the random LLM, few rows and one epoch."""
    values["models"]["smollm2"] = PICO
    values["train"]["shared"].update(model="smollm2", rank=2, epochs=1, max_length=1024, threads=1)
    return values


def clone_with(folder: Path, profile: str) -> Path:
    """A clone whose profile of that name, and params.yaml, are small."""
    clone = make_clone(folder, profile=profile)
    make_causal(clone / PICO["folder"])
    values = small(yaml.safe_load((clone / "params.yaml").read_text()))
    for name in ("params.yaml", f"profiles/{profile}.yaml"):
        (clone / name).write_text(yaml.safe_dump(values, sort_keys=False))
    return clone


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A clone in which the tutorial's commands have been run, and what each block of them printed.

    Left out is the first block, which clones and installs. Of the profile's systems only two are there: its encoder and
    prompts cost a process with torch each.
    """
    clone = clone_with(tmp_path_factory.mktemp("tutorial") / "ecomtune", "one_task")
    profile = clone / "profiles/one_task.yaml"
    values = yaml.safe_load(profile.read_text())
    values["systems"] = {name: values["systems"][name] for name in ("single", "floor")}
    values["baselines"] = {"floor_relevance": values["baselines"]["floor_relevance"]}
    del values["models"]["minilm"]
    profile.write_text(yaml.safe_dump(values, sort_keys=False))
    commit(clone, "Take a random LLM")
    printed = {}
    for block in blocks("tutorial.md", "console")[1:]:
        done = run(clone, "bash", "-euo", "pipefail", "-c", block)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        printed[block] = done.stdout
    return clone, printed


def printed_by(newcomer: tuple[Path, dict[str, str]], command: str) -> str:
    """What the last block with that command printed."""
    return [text for block, text in newcomer[1].items() if command in block.splitlines()][-1]


def test_the_tutorial_begins_with_a_clone_and_its_environment() -> None:
    first = blocks("tutorial.md", "console")[0].splitlines()
    assert first[1:] == ["cd ecomtune", "make env", ". .venv/bin/activate"] and first[0].startswith("git clone ")
    assert "\nenv: " in (REPOSITORY / "Makefile").read_text()


def test_the_tutorials_commands_lead_from_a_csv_to_an_answer(newcomer: tuple[Path, dict[str, str]]) -> None:
    clone, _ = newcomer
    report = json.loads((clone / "data/examples/relevance/report.json").read_text())
    assert sum(counts["available"] for counts in report["splits"].values()) == 480 and report["rejected"] == {}
    assert {name: counts["rows"] for name, counts in report["splits"].items()} == {"train": 160, "validation": 40, "test": 60}
    assert report["splits"]["test"]["groups"] == 15
    shown = printed_by(newcomer, "ecomtune table")
    assert re.search(r"│ single +│ +(\[bold\])?0\.\d{3} ", shown) and "60 rows, 15 groups" in shown
    answers = " ".join(printed_by(newcomer, "ecomtune answers").split())
    assert re.search(r"single is (not )?significantly \w+ (than|from) floor on relevance", answers)
    assert "Made-up data" not in answers and "stale" not in answers and answers.count("not measured (") >= 4


def test_the_tutorials_experiment_is_a_point_of_the_curve_and_of_the_answer(newcomer: tuple[Path, dict[str, str]]) -> None:
    clone, _ = newcomer
    curve = json.loads((clone / "plots/curve/curve.json").read_text())
    assert sorted(map(int, curve["systems"]["single"])) == [80, 160]
    shown = run(clone, "dvc", "plots", "show", "--out", str(clone.parent / "shown"))
    assert shown.returncode == 0 and "failed" not in shown.stderr, shown.stderr
    drawn = (clone.parent / "shown/index.html").read_text()
    assert "plots/curve/curve.png" in drawn and "curve.json" not in drawn
    assert "relevance: trained on 80, 160 rows, single scores highest with " in " ".join(
        printed_by(newcomer, "ecomtune answers").split()
    )
    assert run(clone, "git", "status", "--porcelain").stdout == ""


def test_the_tutorials_export_is_a_plain_adapter(newcomer: tuple[Path, dict[str, str]]) -> None:
    made = newcomer[0].parent / "my_relevance"
    assert {file.name for file in made.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "training.json",
        "README.md",
    }


def merged(into: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """``into`` with ``values`` put into it, section by section."""
    for key, value in values.items():
        into[key] = merged(into.get(key, {}), value) if isinstance(value, dict) else value
    return into


def apply(patch: str, clone: Path) -> None:
    """Do what a diff shows; the lines of a hunk before it must stand in its file once, as the page has no line numbers."""
    for name, hunks in re.findall(r"^\+\+\+ b/(\S+)\n((?:@@\n(?:[ +-].*\n)+)+)", patch, re.MULTILINE):
        text = (clone / name).read_text(encoding="utf-8")
        for hunk in filter(None, hunks.split("@@\n")):
            before, after = ("".join(f"{line[1:]}\n" for line in hunk.splitlines() if line[0] in kept) for kept in (" -", " +"))
            assert text.count(before) == 1, before
            text = text.replace(before, after)
        (clone / name).write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of profile pico in which all that docs/extending.md shows has been done, and what it adds has been run."""
    clone = clone_with(tmp_path_factory.mktemp("extending"), "pico")
    page = (DOCS / "extending.md").read_text(encoding="utf-8")
    for name, code in re.findall(r"^In `([^`]+)`:\n\n```(?:python|yaml)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
        assert not (clone / name).exists()
        (clone / name).write_text(code, encoding="utf-8")
    for patch in blocks("extending.md", "diff"):
        apply(patch, clone)
    graded = [f"mug {number // 4}\tMug {number}\t{number % 4}" for number in range(240)]
    (clone / "judged.tsv").write_text("\n".join([*graded, "no product"]), encoding="utf-8")
    asked = [f"{('buy', 'compare', 'return')[number % 3]} {number}" for number in range(150)]
    lines = [f"{query},{('Buy', 'Compare', 'Help')[number % 3]}" for number, query in enumerate(asked)]
    (clone / "intents.csv").write_text("\n".join(["query,intent", *lines, "hm,Wonder"]), encoding="utf-8")
    values = yaml.safe_load((clone / "params.yaml").read_text())
    del values["models"]["pico"]
    columns = {"query": "query", "reference": "intent"}
    for file, keys in (("judged.tsv", {"reader": "shop_grades"}), ("intents.csv", {"reader": "table", "columns": columns})):
        name = Path(file).stem
        entry = yaml.safe_load(run(clone, "ecomtune", "pin", file).stdout)[name]
        values["datasets"][name] = {**keys, "files": entry["files"]}
    values["tasks"]["relevance"]["dataset"] = "judged"
    for block in blocks("extending.md", "yaml"):
        if "instruction:" not in block:  # a task's own file
            merged(values, yaml.safe_load(block))
    (clone / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    done = run(clone, "ecomtune", "check")
    assert done.returncode == 0, done.stderr
    done = run(clone, "dvc", "repro", "score@guess", "score@asked", "score@merged_equal", "score@full")
    assert done.returncode == 0, done.stdout + done.stderr
    return clone


def report_of(clone: Path, task: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((clone / "data/examples" / task / "report.json").read_text())
    return found


def test_the_pages_data_set_gives_examples_and_names_its_broken_line(extended: Path) -> None:
    found = report_of(extended, "relevance")
    assert sum(counts["available"] for counts in found["splits"].values()) == 240
    assert found["rejected"] == {"the line isn't query, product and a grade from 0 to 3": 1}
    row = json.loads((extended / "data/examples/relevance/train.jsonl").read_text().splitlines()[0])
    assert row["reference"] == ("Irrelevant", "Complement", "Substitute", "Exact")[int(row["fields"]["title"].split()[1]) % 4]


def test_the_pages_task_is_answered_by_a_floor_and_by_a_prompt_and_scored(extended: Path) -> None:
    assert report_of(extended, "intent")["rejected"] == {"label 'Wonder' is not one of Buy, Compare, Help": 1}
    for system in ("guess", "asked"):
        scores = json.loads((extended / f"metrics/{system}.json").read_text())["intent"]
        assert scores["n"] == 10 and scores["invalid"] == 0 and 0 <= scores["macro_f1"] <= 1


def test_the_pages_merge_method_is_what_it_says_of_the_dense_matrices(extended: Path) -> None:
    parts = [load_adapter(extended / f"models/adapters/shards/relevance/{number}") for number in (1, 2)]
    made = load_adapter(extended / "models/adapters/merged/shards_equal")
    for module, factors in made.factors.items():
        dense = [part.factors[module].b @ part.factors[module].a for part in parts]
        assert all(np.linalg.norm(each) > 0 for each in dense)
        expected = sum(0.5 * each / np.linalg.norm(each) for each in dense)
        assert np.abs(factors.b @ factors.a - expected).max() < 1e-6


def test_the_pages_system_has_answered_and_its_part_is_known(extended: Path) -> None:
    scores = json.loads((extended / "metrics/merged_equal.json").read_text())["relevance"]
    assert scores["n"] == 12 and scores["invalid"] == 0
    code = (
        "from ecomtune.checks.parameters import load_params; from ecomtune.runs.roles import role_of; "
        "print(role_of(load_params(), 'merged_equal', 'relevance'), role_of(load_params(), 'three_shots', 'relevance'))"
    )
    assert run(extended, "python", "-c", code).stdout == "merged_within prompt\n"


def test_the_pages_full_fine_tuning_has_trained_every_weight_and_answered(extended: Path) -> None:
    scores = json.loads((extended / "metrics/full.json").read_text())["relevance"]
    assert scores["n"] == 12 and scores["invalid"] == 0
    assert scores["trained_parameters"] == scores["parameters"] > 0 and scores["trained_tokens"] > 0


def test_the_papers_gpt2_is_a_baseline_that_the_demo_can_take(tmp_path: Path) -> None:
    values = yaml.safe_load((REPOSITORY / "profiles/demo.yaml").read_text())
    for block in blocks("paper.md", "yaml"):
        merged(values, yaml.safe_load(block))
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    params = load_params(tmp_path / "params.yaml")
    tasks = params.systems["gpt2"].tasks
    assert [role_of(params, "gpt2", task) for task in tasks] == ["conventional"] * 2
    assert all(model_folder(params.systems["gpt2"], task, params) == f"models/baselines/causal_gpt2/{task}" for task in tasks)


def test_the_project_with_all_of_it_has_its_shape(extended: Path) -> None:
    shape = "python -m pytest -q tests/pipeline/test_architecture.py -k not(of_the_demo)"  # the demo's parameters aren't there
    for command in (shape, "ruff check src", "ruff format --check src"):
        done = run(extended, *command.split())
        assert done.returncode == 0, done.stdout


def test_every_command_is_explained_on_the_page_of_commands() -> None:
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    commands = set(vars(get_command(app))["commands"])
    explained = re.findall(r"^\| `ecomtune ([\w-]+)", page, re.MULTILINE)
    assert sorted(commands) == sorted(explained)
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"bin/ecomtune ([\w-]+)", readme)) <= commands


def test_every_command_line_of_the_pages_is_one_that_the_program_takes() -> None:
    """Names, options and numbers of arguments, of lines in code and of code within a text; nothing is run."""
    commands, seen = vars(get_command(app))["commands"], set()
    for page in (*DOCS.glob("*.md"), REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"):
        text = page.read_text(encoding="utf-8")
        code = "\n".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL))
        lines = re.findall(r"(?:^|&& )(?:\.venv/bin/)?ecomtune ([^\n|&<>]+)", code, re.MULTILINE)
        inline = re.findall(r"`(?:\.venv/bin/)?ecomtune ([a-z-]+ [^`]+)`", text)  # a name alone is no command line
        for line in (*lines, *inline):
            name, *arguments = shlex.split(line, comments=True)
            if name in commands:  # a group's own options, such as --help, are not
                commands[name].make_context(name, arguments)
                seen.add(name)
    assert {"check", "curve", "export", "plan", "pin", "predict", "profile", "publish", "sweep", "table"} <= seen


def test_the_readmes_parameters_are_valid_beside_the_demos(tmp_path: Path) -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^```yaml\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    assert len(found) == 3  # a table, a model, an endpoint
    for block in found:
        values = yaml.safe_load((REPOSITORY / "profiles/demo.yaml").read_text())
        filled = re.sub(r"<(\d+) hex digits[^>]*>", lambda length: f"'{'a' * int(length[1])}'", block)
        merged(values, yaml.safe_load(filled))
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
        load_params(tmp_path / "params.yaml")


def test_the_readmes_table_is_that_of_the_committed_metrics() -> None:
    readme, params = (REPOSITORY / "README.md").read_text(encoding="utf-8"), load_params(REPOSITORY / "profiles/demo.yaml")
    (table,) = re.findall(r"^\| system \| relevance.*?\n\n", readme, re.DOTALL | re.MULTILINE)
    rows = {
        cells[0]: cells[1:] for line in table.strip().splitlines()[2:] if (cells := [c.strip() for c in line.split("|")[1:-1]])
    }
    assert list(rows) == list(params.systems)
    for system, cells in rows.items():
        scores = json.loads((REPOSITORY / f"metrics/{system}.json").read_text())
        for task, cell in zip(params.tasks, cells, strict=True):
            main = load_task(task).main_metric
            low, high = scores[task][f"{main}_ci"] if task in scores else (0, 0)
            assert cell == (f"{scores[task][main]:.3f} ({low:.2f}–{high:.2f})" if task in scores else "–")


def test_every_link_between_the_pages_leads_to_a_file() -> None:
    for page in (*DOCS.glob("*.md"), REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"

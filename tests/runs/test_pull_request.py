"""The report of what a branch changes, on real branches of a small repository with real git and DVC."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from ecomtune.cli.app import app
from ecomtune.metrics.bootstrap import Resampling
from ecomtune.metrics.registry import load_metric
from ecomtune.runs.pull_request import MARK
from tests.support.scratch_clone import REPOSITORY
from tests.support.toy_project import copy_project, make_toy_project, run

PARAMS = """
seed: 7
right: 20
score: {bootstrap: 200, confidence: 0.95}
systems:
  single: {kind: recorded}
  floor: {kind: recorded}
"""
#: The system single answers ``right`` rows correctly, floor always ten.
STAGES = """
stages:
  predict:
    foreach: [single, floor]
    do:
      cmd: python predict.py ${item}
      deps: [predict.py]
      params: [right]
      outs: ["data/predictions/${item}"]
  score:
    foreach: [single, floor]
    do:
      cmd: python score.py ${item}
      deps: [score.py, "data/predictions/${item}"]
      params: [score, seed]
      metrics:
        - metrics/${item}.json: {cache: false}
"""
PREDICT = """
import json, os, sys, yaml
system = sys.argv[1]
right = yaml.safe_load(open("params.yaml"))["right"] if system == "single" else 10
os.makedirs(f"data/predictions/{system}", exist_ok=True)
with open(f"data/predictions/{system}/relevance.jsonl", "w", encoding="utf-8") as file:
    for row in range(40):
        gold = ["Exact", "Irrelevant"][row % 2]
        parsed = gold if row < right else None
        answer = "one\u2028two\u0085three"  # line separators to everything but JSON
        record = dict(id=str(row), task="relevance", system=system, answer=answer, parsed=parsed, valid=parsed is not None)
        print(json.dumps({**record, "reference": gold, "group": str(row)}, ensure_ascii=False), file=file)
"""
SCORE = """
import json, sys
from ecomtune.metrics.bootstrap import Resampling
from ecomtune.metrics.registry import load_metric
rows = [json.loads(line) for line in open(f"data/predictions/{sys.argv[1]}/relevance.jsonl")]
columns = [[row[key] for row in rows] for key in ("parsed", "reference", "group")]
scores = load_metric("classification").score(*columns, Resampling(200, seed=7))
json.dump({"relevance": scores}, open(f"metrics/{sys.argv[1]}.json", "w"))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Branch main has a run with 20 correct answers, branch ``more`` one with 36, branch ``same`` changes only a text."""
    files = {"params.yaml": PARAMS, "dvc.yaml": STAGES, "predict.py": PREDICT, "score.py": SCORE}
    folder = make_toy_project(tmp_path_factory.mktemp("made"), files)
    run(folder, "git checkout -qb more")
    (folder / "params.yaml").write_text(PARAMS.replace("right: 20", "right: 36"))
    run(folder, "dvc repro -q", "git commit -qam More", "git checkout -qb same main")
    (folder / "README.md").write_text("words")
    run(folder, "git add -A", "git commit -qm Words", "git checkout -q more", "dvc checkout -q")
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = copy_project(made, tmp_path / "project")
    monkeypatch.chdir(folder)
    return folder


def pr_report(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["pr-report", *arguments])


def page(*arguments: str) -> str:
    done = pr_report(*arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def refusal(*arguments: str) -> str:
    done = pr_report(*arguments)
    assert done.exit_code == 1 and done.stdout == "" and len(done.stderr.splitlines()) == 1, done.output
    return done.stderr


def rows(text: str) -> list[list[str]]:
    """The cells of every table row."""
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]


def test_only_the_changed_parameter_and_the_metrics_that_moved_are_reported(project: Path) -> None:
    text = page("--base", "main")
    assert text.startswith(f"{MARK}\n## Against main (")
    found = rows(text)
    assert found[:3] == [["parameter", "base", "here"], ["---"] * 3, ["`right`", "`20`", "`36`"]]
    moved = [row[:2] for row in found[3:] if row[0] not in ("system", "---")]
    assert moved == [
        ["single", f"relevance: {name}"] for name in ("macro_f1", "accuracy", "invalid", "micro_f1", "weighted_f1")
    ]
    assert ["single", "relevance: invalid", "20", "4", "-16", ""] in found
    assert "floor" not in text
    values = json.loads(Path("metrics/single.json").read_text())["relevance"]
    (main,) = [row for row in found if row[1] == "relevance: macro_f1"]
    assert main[3] == f"{values['macro_f1']:.4f}" and main[4].startswith("+0.")


def test_a_metric_is_judged_by_a_paired_test_if_both_sides_have_predictions(project: Path) -> None:
    assert "| better (paired p 0.000) |" in page()
    shutil.rmtree(".dvc/cache")
    text = page()
    assert "paired" not in text and "| better |" in text
    shutil.rmtree("data")
    assert page() == text


@pytest.mark.parametrize(("right", "verdict"), [(24, "within its interval"), (4, "worse"), (39, "better")])
def test_without_predictions_a_metric_is_judged_by_its_interval(project: Path, right: int, verdict: str) -> None:
    Path("params.yaml").write_text(PARAMS.replace("right: 20", f"right: {right}"))
    run(project, "dvc repro -q")
    shutil.rmtree(".dvc/cache")
    assert verdict in [row[5] for row in rows(page()) if row[1:2] == ["relevance: macro_f1"]]


def test_a_small_move_is_not_significant_by_the_paired_test(project: Path) -> None:
    Path("params.yaml").write_text(PARAMS.replace("right: 20", "right: 21"))
    run(project, "dvc repro -q")
    assert "| no significant difference (paired p 1.000) |" in page()


def test_a_branch_that_moves_nothing_says_so(project: Path) -> None:
    run(project, "git checkout -q same", "dvc checkout -q")
    text = page()
    assert "No parameter changed." in text and "No metric moved." in text and "```" not in text


def test_a_base_with_later_commits_is_compared_where_the_branch_left_it(project: Path) -> None:
    before = page()
    run(project, "git checkout -qf main")
    Path("metrics/floor.json").write_text("{}")
    run(project, "git commit -qam Later", "git checkout -qf more")
    assert page() == before


def test_an_added_system_is_new_and_a_removed_one_is_gone(project: Path) -> None:
    values = yaml.safe_load(Path("params.yaml").read_text())
    values["systems"]["copy"] = values["systems"].pop("floor")
    Path("params.yaml").write_text(yaml.safe_dump(values))
    Path("metrics/floor.json").rename("metrics/copy.json")
    verdicts = {row[0]: row[5] for row in rows(page()) if row[1:2] == ["relevance: macro_f1"]}
    assert verdicts["copy"] == "new" and verdicts["floor"] == "gone"


def test_each_moved_main_metric_is_drawn_from_0_to_1(project: Path) -> None:
    score = load_metric("classification").score(["Exact"] * 2, ["Exact"] * 2, ["a", "b"], Resampling(10))
    assert score["macro_f1"] == 1.0
    base, here = [line.split("│")[1] for line in page().splitlines() if "●" in line]
    assert base.index("●") < here.index("●") and {"─", "●", " "} >= set(base + here)


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("none", "error: there is no commit 'none' to compare with; fetch it, or name another with --base"),
        ("apart", "error: apart and HEAD have no common commit here; name a branch of this project with --base"),
    ],
)
def test_a_base_without_a_common_commit_is_refused(project: Path, base: str, message: str) -> None:
    run(project, "git checkout -q --orphan apart", "git commit -qm Apart", "git checkout -q more")
    assert message in refusal("--base", base)


def test_a_shallow_clone_is_refused_with_the_remedy(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(project, f"git clone -q --depth 1 --no-single-branch file://{project} {tmp_path}/shallow")
    monkeypatch.chdir(tmp_path / "shallow")
    message = "origin/main and HEAD have no common commit here; this clone is shallow: git fetch --unshallow"
    assert message in refusal("--base", "origin/main")


def test_a_file_of_the_base_that_git_can_not_read_is_an_error_and_not_new(project: Path) -> None:
    digest = run(project, "git rev-parse main:params.yaml").strip()
    object_file = project / ".git/objects" / digest[:2] / digest[2:]
    object_file.chmod(0o644)
    object_file.write_bytes(b"garbage")
    message = refusal("--base", "main")
    assert "params.yaml of " in message and "can't be read (git can't read it: fatal: " in message


def test_in_a_folder_of_the_repository_it_says_where_to_run_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project / "metrics")
    assert "this folder is not the repository's root" in refusal("--base", "main")


def test_without_git_it_says_so(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert refusal("--base", "main").startswith("error: git, which other commits are read with, is not installed; install it")


def test_labels_and_a_tokenizer_are_shown_by_dvc_and_left_out_of_the_report(project: Path) -> None:
    before = page()
    scores = json.loads(Path("metrics/single.json").read_text())
    scores["relevance"]["tokenizer"] = "unicode"
    Path("metrics/single.json").write_text(json.dumps(scores))
    shown = json.loads(run(project, "dvc metrics diff main --json"))["metrics/single.json"]
    assert shown["relevance.tokenizer"] == {"old": None, "new": "unicode"}
    assert shown["relevance.classes.Exact.recall"] == {"old": 0.5, "new": 0.9, "diff": 0.4}
    assert page() == before and "classes" not in before


MALFORMED_SCORES = [
    '{"relevance": {"macro_f1": 0.5}}',
    '{"relevance": {"macro_f1": 0.5, "macro_f1_ci": [0.1]}}',
    '{"relevance": {"macro_f1": NaN, "macro_f1_ci": [0.1, 0.9]}}',
    f'{{"relevance": {{"macro_f1": 1{"0" * 400}, "macro_f1_ci": [0.1, 0.9]}}}}',
    '{"relevance": 1}',
    '{"relevance": {"f1": 1}}',
]


@pytest.mark.parametrize("scores", MALFORMED_SCORES, ids=range(len(MALFORMED_SCORES)))
def test_malformed_metrics_are_refused(project: Path, scores: str) -> None:
    Path("metrics/single.json").write_text(scores)
    problem = "metrics/single.json of this branch doesn't hold the scores of relevance as stage score@single writes them"
    assert refusal() == f"error: {problem}; run dvc repro and commit it\n"


@pytest.mark.parametrize("scores", ["[1]", "{", "[" * 100_000], ids=["list", "cut", "brackets"])
def test_metrics_that_are_not_a_json_object_are_refused(project: Path, scores: str) -> None:
    Path("metrics/single.json").write_text(scores)
    message = refusal()
    assert "metrics/single.json of workspace can't be read" in message and "correct it, or run dvc repro" in message


@pytest.mark.parametrize("scores", MALFORMED_SCORES, ids=range(len(MALFORMED_SCORES)))
def test_malformed_metrics_of_the_base_are_reported_as_such(project: Path, scores: str) -> None:
    run(project, "git checkout -qb older main")
    Path("metrics/single.json").write_text(scores)
    run(project, "git commit -qam Older", "git checkout -qb newer", "git checkout more metrics/single.json")
    message = refusal("--base", "older")
    assert message.startswith("error: metrics/single.json of the base doesn't hold the scores of relevance ")
    assert message.endswith("; run dvc repro there and commit it, or name another base with --base\n")


def test_predictions_of_another_commit_are_ignored(project: Path) -> None:
    """Whoever switches branches without dvc checkout still has the other branch's data."""
    run(project, "git checkout -q main", "dvc checkout -q", "git checkout -q more")
    text = page()
    assert "paired" not in text and "| better |" in text


@pytest.mark.parametrize(("old", "new"), [("group", "groups"), ('"0"', '"a0"')])
def test_malformed_predictions_are_ignored(project: Path, old: str, new: str) -> None:
    file = Path("data/predictions/single/relevance.jsonl")
    text = file.read_text().replace(old, new)
    file.unlink()  # it may be a link into DVC's cache
    file.write_text(text)
    assert "paired" not in page() and "| better |" in page()


def test_a_task_that_this_branch_no_longer_has_is_gone(project: Path) -> None:
    run(project, "git checkout -qb older main")
    scores = json.loads(Path("metrics/single.json").read_text())
    Path("metrics/single.json").write_text(json.dumps({**scores, "intent": scores["relevance"]}))
    run(project, "git commit -qam Older", "git checkout -qb newer", "git checkout main metrics/single.json")
    found = rows(page("--base", "older"))
    assert {row[-1] for row in found if row[1].startswith("intent: ")} == {"gone"}


@pytest.mark.parametrize(
    ("score", "message"),
    [
        ("{bootstrap: 0}", "params.yaml: score: bootstrap"),
        ("", "params.yaml: score: "),
    ],
)
def test_a_broken_score_config_is_reported_in_one_sentence(project: Path, score: str, message: str) -> None:
    text = Path("params.yaml").read_text().replace("{bootstrap: 200, confidence: 0.95}", score)
    Path("params.yaml").write_text(text)
    assert message in refusal()


def test_the_level_of_significance_follows_from_the_confidence_of_params(project: Path) -> None:
    """With this confidence no p-value is below the level."""
    text = Path("params.yaml").read_text().replace("confidence: 0.95", "confidence: 0.99999999999")
    Path("params.yaml").write_text(text)
    assert "| no significant difference (paired p 0.0" in page()


def test_a_date_in_params_is_shown_like_other_values(project: Path) -> None:
    Path("params.yaml").write_text(Path("params.yaml").read_text() + "since: 2026-01-02\n")
    assert ["`since`", "–", '`"2026-01-02"`'] in rows(page())


def test_outside_a_repository_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("seed: 7\n")
    assert "there is no commit 'main' to compare with" in refusal()


#: A gh that keeps comments in files: it lists those that start with the mark, adds one, or changes one.
GH = """#!/bin/bash
case "$*" in
  "api --method PATCH repos/"*"/issues/comments/1 --field body=@report.md --silent") cp report.md 1; echo patched >> calls ;;
  "api --paginate comments --jq .[] | select(.body | startswith(\\"<!-- ecomtune pr-report -->\\")) | .id")
    grep -ls "^<!-- ecomtune pr-report -->" [0-9]* || true ;;
  "api comments --field body=@report.md --silent") cp report.md 1; echo added >> calls ;;
  *) echo "no such call: $*" >&2; exit 1 ;;
esac
"""


def test_the_workflow_keeps_one_comment_up_to_date(project: Path) -> None:
    """The workflow's own steps are run by bash, with a substitute for GitHub's command."""
    workflow = yaml.safe_load((REPOSITORY / ".github/workflows/pull-request.yml").read_text())
    scripts = [step["run"] for step in workflow["jobs"]["report"]["steps"] if "report.md" in step.get("run", "")]
    bin_folder = Path(".venv/bin")
    bin_folder.mkdir(parents=True)
    (bin_folder / "ecomtune").symlink_to(Path(sys.executable).with_name("ecomtune"))
    (bin_folder / "gh").write_text(GH)
    (bin_folder / "gh").chmod(0o755)
    variables = {
        **os.environ,
        "PATH": f"{bin_folder.resolve()}:{os.environ['PATH']}",
        "BASE": "main",
        "GITHUB_STEP_SUMMARY": "summary.md",
        "COMMENTS": "comments",
    }
    for _ in range(2):
        for script in scripts:
            filled = re.sub(r"\$\{\{.*?\}\}", "x", script)
            subprocess.run(["bash", "-euo", "pipefail", "-c", filled], env=variables, check=True, capture_output=True)
    assert Path("calls").read_text().split() == ["added", "patched"]
    assert Path("summary.md").read_text().count(MARK) == 2


def test_the_workflow_fetches_the_complete_history_and_refuses_a_stale_lock() -> None:
    workflow = yaml.safe_load((REPOSITORY / ".github/workflows/pull-request.yml").read_text())
    tests, steps = (workflow["jobs"][job]["steps"] for job in ("tests", "report"))
    assert [step["run"] for step in tests if "run" in step] == ["make weights", "make test"]
    (checkout,) = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert checkout["with"]["fetch-depth"] == 0  # otherwise there is no common commit with the base
    assert steps[-1]["run"] == ".venv/bin/ecomtune fresh" and "if" not in steps[-1]
    assert workflow[True] == "pull_request" and workflow["permissions"] == {"contents": "read", "pull-requests": "write"}

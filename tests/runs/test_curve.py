"""Learning curves of DVC's own experiments, in a small repository with real git and DVC."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ecomtune.cli.app import app
from ecomtune.messages.errors import UserError
from ecomtune.runs.curve import is_flat, learning_curves
from ecomtune.runs.revisions import Run
from tests.support.toy_project import make_toy_project, run

PARAMS = """
seed: 7
tasks:
  ner: {train_size: 100}
systems: {single: {}, annotator: {}, idle: {}}
"""
#: The scores of single grow with the training size and the seed, those of the annotator are always the same.
STAGES = """
stages:
  score:
    foreach: [single, annotator]
    do:
      cmd: python score.py ${item}
      deps: [score.py]
      params: [seed, tasks.ner.train_size]
      metrics:
        - metrics/${item}.json: {cache: false}
"""
SCORE = """
import json, sys, yaml
params = yaml.safe_load(open("params.yaml"))
if params["tasks"]["ner"]["train_size"] < 0:
    sys.exit("there are no such rows")
value = 0.7 if sys.argv[1] == "annotator" else (params["tasks"]["ner"]["train_size"] + params["seed"]) / 1000
scores = {"ner": {"f1": value, "f1_ci": [value - 0.02, value + 0.02], "n": 5}}
json.dump(scores, open(f"metrics/{sys.argv[1]}.json", "w"))
"""


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed run with 100 rows, experiments with 200 and 400, and one with another seed; one more fails, one is queued."""
    files = {"params.yaml": PARAMS, "dvc.yaml": STAGES, "score.py": SCORE}
    folder = make_toy_project(tmp_path_factory.mktemp("swept"), files)
    run(
        folder,
        "dvc exp run -q -S tasks.ner.train_size=400",
        "dvc exp run -q -S tasks.ner.train_size=200",
        "dvc exp run -q -S tasks.ner.train_size=300 -S seed=8",
        "git restore .",
        "dvc exp run -q --queue -S tasks.ner.train_size=-1 -n fails",
        "dvc queue start",
    )
    until = time.monotonic() + 60
    while "Failed" not in run(folder, "dvc queue status") and time.monotonic() < until:
        time.sleep(0.2)
    run(folder, "dvc exp run -q --queue -S seed=9 -n waits")
    queue = run(folder, "dvc queue status")
    assert "Failed" in queue and "Queued" in queue
    return folder


@pytest.fixture
def project(swept: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(swept)
    return swept


def curve(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["curve", *arguments])


def test_a_curve_has_a_point_for_each_run_that_differs_in_the_parameter_only(project: Path, tmp_path: Path) -> None:
    done = curve("tasks.ner.train_size", "ner", "--out", str(tmp_path / "made"))
    assert done.exit_code == 0, done.output
    content = json.loads((tmp_path / "made/curve.json").read_text())
    assert (content["parameter"], content["task"], content["metric"]) == ("tasks.ner.train_size", "ner", "f1")
    assert {at: point["value"] for at, point in content["systems"]["single"].items()} == {
        "100": 0.107,
        "200": 0.207,
        "400": 0.407,
    }
    assert content["systems"]["single"]["400"] == {"value": 0.407, "ci": pytest.approx([0.387, 0.427]), "n": 5}
    assert {point["value"] for point in content["systems"]["annotator"].values()} == {0.7}
    assert set(content["systems"]) == {"single", "annotator"}
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if "│" in line]
    assert lines == [
        ["100", "0.107 0.09–0.13", "0.700 0.68–0.72"],
        ["200", "0.207 0.19–0.23", "0.700 0.68–0.72"],
        ["400", "0.407 0.39–0.43", "0.700 0.68–0.72"],
    ]


def test_unfinished_experiments_are_counted_and_have_no_row(project: Path) -> None:
    done = CliRunner().invoke(app, ["experiments"], env={"COLUMNS": "200"})
    first, *rows = done.stdout.splitlines()
    assert first == "left out, because they failed, are running or are queued: 2 (fails, waits)"
    assert not any(name in row for row in rows for name in ("fails", "waits", "-1 "))
    assert sum(row.startswith("│") for row in rows) == 4


def test_parameters_that_have_not_been_run_are_not_a_point(project: Path, tmp_path: Path) -> None:
    """The value was only written into params.yaml, while metrics/ still holds those of another run."""
    params = project / "params.yaml"
    committed = params.read_text()
    try:
        params.write_text(committed.replace("100", "200"))
        assert curve("tasks.ner.train_size", "ner", "--out", str(tmp_path)).exit_code == 0
    finally:
        params.write_text(committed)
    points = json.loads((tmp_path / "curve.json").read_text())["systems"]["single"]
    assert {at: point["value"] for at, point in points.items()} == {"100": 0.107, "200": 0.207, "400": 0.407}


def test_a_system_with_one_run_is_not_flat() -> None:
    point = {"value": 0.5, "ci": [0.4, 0.6], "n": 5}
    assert [is_flat({1: point}), is_flat({1: point, 2: point}), is_flat({1: point, 2: {**point, "value": 0.6}})] == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    "cell",
    [
        1,
        {"f1": 0.5},
        {"f1": 0.5, "f1_ci": 1, "n": 5},
        *({"f1": value, "f1_ci": [0, 1], "n": 5} for value in ("0.5", None, math.nan)),
    ],
)
def test_malformed_metrics_are_reported(project: Path, cell: Any) -> None:
    malformed = Run({"x": 1}, {"single": {"ner": cell}})
    with pytest.raises(UserError, match=r"^the metrics of single, ner at x 1 .*; remove the experiment: dvc exp remove$"):
        learning_curves([malformed], {"x": 2}, "x", "ner")


def test_the_same_runs_give_the_same_bytes(project: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        assert curve("tasks.ner.train_size", "ner", "--out", str(tmp_path / name)).exit_code == 0
    for name in ("curve.json", "curve.png"):
        content = [(tmp_path / folder / name).read_bytes() for folder in ("first", "second")]
        assert content[0] == content[1] != b""


def test_other_files_in_the_folder_are_kept(project: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    assert curve("tasks.ner.train_size", "ner", "--out", str(tmp_path)).exit_code == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["README.md", "curve.json", "curve.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tasks.ner.size", "ner"), "params.yaml has no number at tasks.ner.size; name one, for example tasks.ner"),
        (("systems", "ner"), "params.yaml has no number at systems; name one, for example tasks.ner"),
        (("seed", "ner"), "a curve needs two values of seed with nothing else changed, and this commit's runs of ner have 1"),
        (("tasks.ner.train_size", "price"), "tasks/price.yaml is missing"),
    ],
)
def test_a_curve_that_can_not_be_drawn_is_explained_in_one_sentence(
    project: Path, tmp_path: Path, arguments: tuple[str, str], message: str
) -> None:
    done = curve(*arguments, "--out", str(tmp_path / "made"))
    assert done.exit_code == 1 and message in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "made").exists()


def test_a_folder_without_runs_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("seed: 7\n")
    done = curve("seed", "ner")
    assert done.exit_code == 1 and done.stderr.startswith("error: dvc exp show failed (")

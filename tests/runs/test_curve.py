"""Learning curves of runs that DVC's own experiments made, in a small repository with real git and DVC."""

from __future__ import annotations

import json
import math
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ecomtune.cli.app import app
from ecomtune.messages.errors import UserError
from ecomtune.runs.curve import is_flat, learning_curves
from ecomtune.runs.revisions import Run

PARAMS = """
seed: 7
tasks:
  ner: {train_size: 100}
systems: {single: {}, annotator: {}, idle: {}}
"""
#: Stages of the real names: single's scores grow with the training size and the seed, the annotator's are always the same.
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
    """A committed run at 100 rows, experiments at 200 and 400, and one of another seed; one more fails, and one waits."""
    folder = tmp_path_factory.mktemp("swept")
    (folder / "metrics").mkdir()
    (folder / ".gitignore").write_text("/.scratch/\n/plots/\n")
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "dvc.yaml").write_text(STAGES)
    (folder / "score.py").write_text(SCORE)
    for command in (
        "git init -q",
        "git config user.name Test",
        "git config user.email test@example.org",
        "dvc init -q",
        "dvc repro -q",
        "git add -A",
        "git commit -qm Run",
        "dvc exp run -q -S tasks.ner.train_size=400",
        "dvc exp run -q -S tasks.ner.train_size=200",
        "dvc exp run -q -S tasks.ner.train_size=300 -S seed=8",
        "git restore .",
        "dvc exp run -q --queue -S tasks.ner.train_size=-1 -n fails",
        "dvc queue start",
    ):
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    until = time.monotonic() + 60
    while "Failed" not in queue(folder) and time.monotonic() < until:
        time.sleep(0.2)
    waits = ["dvc", "exp", "run", "-q", "--queue", "-S", "seed=9", "-n", "waits"]
    subprocess.run(waits, cwd=folder, check=True, capture_output=True)
    assert "Failed" in queue(folder) and "Queued" in queue(folder)
    return folder


def queue(folder: Path) -> str:
    """dvc's table of queued experiments."""
    return subprocess.run(["dvc", "queue", "status"], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def project(swept: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(swept)
    return swept


def curve(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["curve", *arguments])


def test_a_curve_has_a_point_for_each_run_that_differs_in_the_parameter_alone(project: Path, tmp_path: Path) -> None:
    done = curve("tasks.ner.train_size", "ner", "--out", str(tmp_path / "made"))
    assert done.exit_code == 0, done.output
    drawn = json.loads((tmp_path / "made/curve.json").read_text())
    assert (drawn["parameter"], drawn["task"], drawn["metric"]) == ("tasks.ner.train_size", "ner", "f1")
    assert {at: point["value"] for at, point in drawn["systems"]["single"].items()} == {
        "100": 0.107,
        "200": 0.207,
        "400": 0.407,
    }
    assert drawn["systems"]["single"]["400"] == {"value": 0.407, "ci": pytest.approx([0.387, 0.427]), "n": 5}
    assert {point["value"] for point in drawn["systems"]["annotator"].values()} == {0.7}
    assert set(drawn["systems"]) == {"single", "annotator"}
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if "│" in line]
    assert lines == [
        ["100", "0.107 0.09–0.13", "0.700 0.68–0.72"],
        ["200", "0.207 0.19–0.23", "0.700 0.68–0.72"],
        ["400", "0.407 0.39–0.43", "0.700 0.68–0.72"],
    ]


def test_experiments_that_have_not_ended_are_counted_and_have_no_row(project: Path) -> None:
    done = CliRunner().invoke(app, ["experiments"], env={"COLUMNS": "200"})
    first, *rows = done.stdout.splitlines()
    assert first == "left out, since they have failed, are running or are queued: 2 (fails, waits)"
    assert not any(name in row for row in rows for name in ("fails", "waits", "-1 "))
    assert sum(row.startswith("│") for row in rows) == 4


def test_what_has_not_been_run_is_no_point(project: Path, tmp_path: Path) -> None:
    """A value that was only written into params.yaml, where metrics/ still holds another run's."""
    params = project / "params.yaml"
    committed = params.read_text()
    try:
        params.write_text(committed.replace("100", "200"))
        assert curve("tasks.ner.train_size", "ner", "--out", str(tmp_path)).exit_code == 0
    finally:
        params.write_text(committed)
    points = json.loads((tmp_path / "curve.json").read_text())["systems"]["single"]
    assert {at: point["value"] for at, point in points.items()} == {"100": 0.107, "200": 0.207, "400": 0.407}


def test_a_system_of_one_run_is_not_flat() -> None:
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
def test_metrics_of_another_shape_are_told(project: Path, cell: Any) -> None:
    broken = Run({"x": 1}, {"single": {"ner": cell}})
    with pytest.raises(UserError, match=r"^the metrics of single, ner at x 1 are not as this version writes them"):
        learning_curves([broken], {"x": 2}, "x", "ner")


def test_the_same_runs_give_the_same_bytes(project: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        assert curve("tasks.ner.train_size", "ner", "--out", str(tmp_path / name)).exit_code == 0
    for name in ("curve.json", "curve.png"):
        content = [(tmp_path / folder / name).read_bytes() for folder in ("first", "second")]
        assert content[0] == content[1] != b""


def test_other_files_of_the_folder_stay(project: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    assert curve("tasks.ner.train_size", "ner", "--out", str(tmp_path)).exit_code == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["README.md", "curve.json", "curve.png"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("tasks.ner.size", "ner"), "params.yaml has no number at tasks.ner.size; name one as in tasks.ner.train_size"),
        (("systems", "ner"), "params.yaml has no number at systems; name one as in tasks.ner.train_size"),
        (("seed", "ner"), "a curve needs two values of seed with nothing else changed, and this commit's runs of ner have 1"),
        (("tasks.ner.train_size", "price"), "tasks.price: no task of that name; each is a module"),
    ],
)
def test_what_can_not_be_drawn_is_told_in_one_sentence(
    project: Path, tmp_path: Path, arguments: tuple[str, str], told: str
) -> None:
    done = curve(*arguments, "--out", str(tmp_path / "made"))
    assert done.exit_code == 1 and told in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "made").exists()


def test_a_folder_without_runs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("seed: 7\n")
    done = curve("seed", "ner")
    assert done.exit_code == 1 and done.stderr.startswith("error: dvc exp show failed (")

"""An output of other parameters than params.yaml's is told with the parameter, by the lock that dvc wrote of the demo run."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from ecomtune.adapters.factors import save_adapter
from ecomtune.cli.app import app
from ecomtune.core.files import dump_json, write_text
from ecomtune.messages.errors import UserError
from ecomtune.runs.freshness import stage_names
from ecomtune.runs.stale_outputs import made_with_others
from tests.conftest import REPOSITORY
from tests.support.report_data import adapter_of

SINGLE, MERGED = "models/adapters/single/ner", "models/adapters/merged/tasks"
ENCODER = "models/baselines/encoder"
SIZE, OTHER_SIZE = (f"ner: {{dataset: demo_shop, train_size: {size}" for size in (200, 90))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The committed run's lock and parameters, without its outputs."""
    for name in ("params.yaml", "dvc.yaml", "dvc.lock"):
        shutil.copy(REPOSITORY / name, tmp_path)
    return tmp_path


def edit(repository: Path, old: str, new: str) -> None:
    text = (repository / "params.yaml").read_text()
    assert old in text
    (repository / "params.yaml").write_text(text.replace(old, new))


@pytest.mark.parametrize("out", [SINGLE, MERGED, f"{ENCODER}/ner", "metrics", "elsewhere"])
def test_the_committed_run_is_of_the_committed_parameters(repository: Path, out: str) -> None:
    assert made_with_others(repository, out) is None


def test_another_profile_is_noticed_at_the_adapter_itself(repository: Path) -> None:
    shutil.copy(REPOSITORY / "profiles/real.yaml", repository / "params.yaml")
    told = made_with_others(repository, SINGLE)
    assert told == "stage train@ner of dvc.lock ran with train.adapters.ner.settings.epochs none, and params.yaml has 3"
    assert made_with_others(repository, "metrics") is not None


@pytest.mark.parametrize(
    ("old", "new", "out", "told"),
    [
        ("rank: 8", "rank: 4", SINGLE, "train@ner of dvc.lock ran with train.shared.rank 8, and params.yaml has 4"),
        ("rank: 8", "rank: 4", MERGED, "merge@tasks of dvc.lock ran with train.shared.rank 8, and"),
        ("rank: 8", "rank: 4", f"{ENCODER}/ner", None),
        ("rank: 8", "rank: 4", "models/adapters/merged/ner", None),  # of which merged/ner_shards is no part
        (SIZE, OTHER_SIZE, SINGLE, "format@ner of dvc.lock"),
        (SIZE, OTHER_SIZE, "models/adapters/mixed", "format@ner"),
        (SIZE, OTHER_SIZE, f"{ENCODER}/relevance", None),
        ("seed: 7}", "seed: 8}", f"{ENCODER}/ner", "format@ner of dvc.lock ran with datasets.demo_shop.seed 7, and"),
        ("bootstrap: 1000", "bootstrap: 200", SINGLE, None),
        ("bootstrap: 1000", "bootstrap: 200", "metrics", "ran with score.bootstrap 1000, and params.yaml has 200"),
    ],
)
def test_a_changed_parameter_concerns_what_was_made_with_it(
    repository: Path, old: str, new: str, out: str, told: str | None
) -> None:
    edit(repository, old, new)
    found = made_with_others(repository, out)
    assert found is None if told is None else told in str(found)


def test_an_adapter_of_a_stage_that_is_gone_is_told_and_one_left_behind_beside_it_is_not(repository: Path) -> None:
    values = yaml.safe_load((repository / "params.yaml").read_text())
    values["train"]["adapters"]["tags"] = values["train"]["adapters"].pop("ner")
    (repository / "params.yaml").write_text(yaml.safe_dump(values))
    told = f"stage train@ner of dvc.lock wrote {SINGLE}, and params.yaml has no such stage"
    assert made_with_others(repository, SINGLE) == told
    assert made_with_others(repository, MERGED) is None


def test_a_folder_of_many_stages_is_that_of_those_that_are_left(repository: Path) -> None:
    values = yaml.safe_load((repository / "params.yaml").read_text())
    del values["systems"]["floor"]
    (repository / "params.yaml").write_text(yaml.safe_dump(values))
    assert made_with_others(repository, "metrics") is None


def test_without_a_lock_nothing_is_known_and_a_broken_one_is_told(repository: Path) -> None:
    (repository / "dvc.lock").write_text("stages: {train@ner: [1]}\n")
    with pytest.raises(UserError, match=r"dvc.lock doesn't hold stages as dvc writes them; restore it: git checkout HEAD"):
        made_with_others(repository, SINGLE)
    (repository / "dvc.lock").unlink()
    assert made_with_others(repository, SINGLE) is None


def test_an_exported_adapter_of_other_parameters_is_noted(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    save_adapter(adapter_of(1), Path(SINGLE))
    noted = []
    for old, new in (("bootstrap: 1000", "bootstrap: 200"), ("rank: 8", "rank: 4")):
        edit(repository, old, new)
        done = CliRunner().invoke(app, ["export", "--system", "single", "--task", "ner", "--out", f"out {new}"])
        assert done.exit_code == 0 and f"out {new}" in done.stdout, done.output
        noted.append(done.stderr)
    rank = "stage train@ner of dvc.lock ran with train.shared.rank 8, and params.yaml has 4"
    assert noted == ["", f"note: {SINGLE} isn't that of params.yaml: {rank}\n"]


def test_one_adapter_of_all_tasks_is_exported_without_a_task_by_the_command_of_its_own_card(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    shutil.copytree(REPOSITORY / "metrics", "metrics")
    save_adapter(adapter_of(1), Path("models/adapters/mixed"))
    chosen = ["export", "--system", "mixed", "--out"]
    assert CliRunner().invoke(app, [*chosen, "first"]).exit_code == 0
    card = Path("first/README.md").read_text()
    assert "# mixed: relevance, ner, summarization, description" in card and "tags:\n- ecomtune\n- relevance\n- ner" in card
    scores = json.loads(Path("metrics/mixed.json").read_text())
    assert all(
        f"| {task}: {name} | {scores[task][name]:.4f} |" in card for task, name in (("ner", "f1"), ("relevance", "accuracy"))
    )
    (command,) = re.findall(r"`ecomtune (export .*)`", card)
    assert command == "export --system mixed --out FOLDER"
    assert CliRunner().invoke(app, command.split()).exit_code == 0 and Path("FOLDER/README.md").read_text() == card


def test_of_several_adapters_one_is_exported_by_its_task(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    done = CliRunner().invoke(app, ["export", "--system", "single", "--out", "out"])
    told = "system single has an adapter for each task; name one with --task: relevance, ner, summarization, description"
    assert (done.exit_code, done.stderr) == (1, f"error: {told}\n") and not Path("out").exists()
    save_adapter(adapter_of(1), Path(SINGLE))
    assert CliRunner().invoke(app, ["export", "--system", "single", "--task", "ner", "--out", "out"]).exit_code == 0
    (command,) = re.findall(r"`ecomtune (export .*)`", Path("out/README.md").read_text())
    assert command == "export --system single --task ner --out FOLDER"


@pytest.mark.parametrize(
    "scores",
    [
        [],
        3,
        {"f1": "x", "f1_ci": [0, 1]},
        {"f1": 0.5, "f1_ci": [0]},
        {"f1": 0.5, "f1_ci": None},
        {"f1": 10**400, "f1_ci": [0, 1]},
    ],
    ids=lambda scores: str(scores)[:24],
)
def test_nothing_is_exported_beside_metrics_of_another_shape(
    repository: Path, monkeypatch: pytest.MonkeyPatch, scores: object
) -> None:
    monkeypatch.chdir(repository)
    save_adapter(adapter_of(1), Path(SINGLE))
    write_text(Path("metrics/single.json"), dump_json({"ner": scores} if scores else scores))
    done = CliRunner().invoke(app, ["export", "--system", "single", "--task", "ner", "--out", "out"])
    told = (
        "metrics/single.json doesn't hold the scores of task ner as stage score@single writes them; run dvc repro score@single"
    )
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", f"error: {told}\n") and not Path("out").exists()


@pytest.mark.parametrize("hub", [True, False], ids=["of the hub", "of a package"])
@pytest.mark.parametrize("content", ["[]", "{", '{"lora_alpha": null}'])
def test_no_adapter_of_a_broken_config_is_exported(
    repository: Path, monkeypatch: pytest.MonkeyPatch, content: str, hub: bool
) -> None:
    monkeypatch.chdir(repository)
    save_adapter(adapter_of(1), Path(SINGLE))
    (Path(SINGLE) / "adapter_config.json").write_text(content)
    values = yaml.safe_load(Path("params.yaml").read_text())
    if hub:
        base = {"source": "hub", "name": "owner/model", "version": "0" * 40, "kind": "causal", "licence": "MIT"}
        values["models"][values["train"]["shared"]["model"]] = base
    Path("params.yaml").write_text(yaml.safe_dump(values))
    done = CliRunner().invoke(app, ["export", "--system", "single", "--task", "ner", "--out", "out"])
    *_, told = done.stderr.splitlines()  # before it the note of other parameters
    assert done.exit_code == 1 and told.startswith(f"error: {SINGLE}/adapter_config.json is missing or broken ("), done.output
    assert told.endswith("; remove it and run dvc repro train") and not Path("out").exists()


#: What may stand in place of dvc.yaml, and how it is told.
BROKEN_STAGES = {
    "<<<<<<< HEAD\nstages: {}\n=======\n": "is not valid YAML: ",
    "": "doesn't hold stages as dvc knows them",
    "stages: [format]\n": "doesn't hold stages as dvc knows them",
    "stages: {format: 3}\n": "doesn't hold stages as dvc knows them",
    "stages: {format: {foreach: '${task}'}}\n": "doesn't hold stages as dvc knows them",
    "stages: {format: {foreach: '${seed}'}}\n": "doesn't hold stages as dvc knows them",
}


@pytest.mark.parametrize(("text", "told"), BROKEN_STAGES.items(), ids=range(len(BROKEN_STAGES)))
def test_a_broken_dvc_yaml_is_told_by_its_own_name(
    repository: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    monkeypatch.chdir(repository)
    shutil.copytree(REPOSITORY / "metrics", "metrics")
    Path("dvc.yaml").write_text(text)
    for command in ("fresh", "table"):
        done = CliRunner().invoke(app, [command])
        assert done.exit_code == 1 and done.stdout == "" and done.stderr.startswith(f"error: dvc.yaml {told}"), done.output
        assert done.stderr.endswith("; restore it (git checkout HEAD -- dvc.yaml), then run dvc repro\n")


@pytest.mark.parametrize("items", ["[a, b]", "{a: 1, b: 2}"])
def test_a_stage_of_ones_own_may_name_its_items_itself(repository: Path, items: str) -> None:
    file = repository / "dvc.yaml"
    own = f"stages:\n  own:\n    foreach: {items}\n    do: {{cmd: echo}}\n"
    file.write_text(file.read_text().replace("stages:\n", own, 1))
    assert stage_names(repository)[:2] == ["own@a", "own@b"]


def test_without_a_dvc_yaml_it_is_asked_for(repository: Path) -> None:
    (repository / "dvc.yaml").unlink()
    with pytest.raises(UserError, match=r"dvc.yaml is missing; restore it: git checkout HEAD -- dvc.yaml$"):
        made_with_others(repository, SINGLE)

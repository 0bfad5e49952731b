"""The parameter in which an output differs from params.yaml is named, according to the dvc.lock of the committed demo run."""

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
from ecomtune.runs.stale_outputs import parameter_difference
from tests.support.report_data import adapter_of
from tests.support.scratch_clone import REPOSITORY
from tests.support.tasks import define_tasks

SINGLE, MERGED = "models/adapters/single/ner", "models/adapters/merged/tasks"
ENCODER = "models/baselines/encoder"
SIZE, OTHER_SIZE = (f"ner: {{dataset: demo_shop, train_size: {size}" for size in (200, 90))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The dvc.lock and parameters of the committed run, without its outputs."""
    for name in ("params.yaml", "dvc.yaml", "dvc.lock"):
        shutil.copy(REPOSITORY / name, tmp_path)
    define_tasks(tmp_path)
    return tmp_path


def edit(repository: Path, old: str, new: str) -> None:
    text = (repository / "params.yaml").read_text()
    assert old in text
    (repository / "params.yaml").write_text(text.replace(old, new))


@pytest.mark.parametrize("out", [SINGLE, MERGED, f"{ENCODER}/ner", "metrics", "elsewhere"])
def test_the_committed_run_has_the_committed_parameters(repository: Path, out: str) -> None:
    assert parameter_difference(repository, out) is None


def test_another_profile_is_noticed_at_the_adapter_itself(repository: Path) -> None:
    shutil.copy(REPOSITORY / "profiles/real.yaml", repository / "params.yaml")
    difference = parameter_difference(repository, SINGLE)
    assert difference == "stage train@ner of dvc.lock ran with train.adapters.ner.settings.epochs none, and params.yaml has 3"
    assert parameter_difference(repository, "metrics") is not None


@pytest.mark.parametrize(
    ("old", "new", "out", "difference"),
    [
        ("rank: 8", "rank: 4", SINGLE, "train@ner of dvc.lock ran with train.shared.rank 8, and params.yaml has 4"),
        ("rank: 8", "rank: 4", MERGED, "merge@tasks of dvc.lock ran with train.shared.rank 8, and"),
        ("rank: 8", "rank: 4", f"{ENCODER}/ner", None),
        ("rank: 8", "rank: 4", "models/adapters/merged/ner", None),  # merged/ner_shards doesn't lie in it
        (SIZE, OTHER_SIZE, SINGLE, "format@ner of dvc.lock"),
        (SIZE, OTHER_SIZE, "models/adapters/mixed", "format@ner"),
        (SIZE, OTHER_SIZE, f"{ENCODER}/relevance", None),
        ("seed: 7}", "seed: 8}", f"{ENCODER}/ner", "format@ner of dvc.lock ran with datasets.demo_shop.seed 7, and"),
        ("bootstrap: 1000", "bootstrap: 200", SINGLE, None),
        ("bootstrap: 1000", "bootstrap: 200", "metrics", "ran with score.bootstrap 1000, and params.yaml has 200"),
    ],
)
def test_a_changed_parameter_is_named_for_outputs_that_depend_on_it(
    repository: Path, old: str, new: str, out: str, difference: str | None
) -> None:
    edit(repository, old, new)
    found = parameter_difference(repository, out)
    assert found is None if difference is None else difference in str(found)


def test_an_adapter_of_a_removed_stage_is_reported_and_one_merged_from_others_is_not(repository: Path) -> None:
    values = yaml.safe_load((repository / "params.yaml").read_text())
    values["train"]["adapters"]["tags"] = values["train"]["adapters"].pop("ner")
    (repository / "params.yaml").write_text(yaml.safe_dump(values))
    difference = f"stage train@ner of dvc.lock wrote {SINGLE}, and params.yaml has no such stage"
    assert parameter_difference(repository, SINGLE) == difference
    assert parameter_difference(repository, MERGED) is None


def test_a_folder_of_many_stages_belongs_to_those_that_params_still_have(repository: Path) -> None:
    values = yaml.safe_load((repository / "params.yaml").read_text())
    del values["systems"]["floor"]
    (repository / "params.yaml").write_text(yaml.safe_dump(values))
    assert parameter_difference(repository, "metrics") is None


def test_without_a_lock_nothing_is_known_and_a_broken_one_is_reported(repository: Path) -> None:
    (repository / "dvc.lock").write_text("stages: {train@ner: [1]}\n")
    with pytest.raises(UserError, match=r"dvc.lock doesn't hold stages as DVC writes them; restore it: git checkout HEAD"):
        parameter_difference(repository, SINGLE)
    (repository / "dvc.lock").unlink()
    assert parameter_difference(repository, SINGLE) is None


def test_an_export_of_an_adapter_of_other_parameters_warns(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    save_adapter(adapter_of(1), Path(SINGLE))
    warnings = []
    for old, new in (("bootstrap: 1000", "bootstrap: 200"), ("rank: 8", "rank: 4")):
        edit(repository, old, new)
        done = CliRunner().invoke(app, ["export", "--system", "single", "--task", "ner", "--out", f"out {new}"])
        assert done.exit_code == 0 and f"out {new}" in done.stdout, done.output
        warnings.append(done.stderr)
    rank = "stage train@ner of dvc.lock ran with train.shared.rank 8, and params.yaml has 4"
    assert warnings == ["", f"warning: {SINGLE} was made with other parameters than params.yaml has: {rank}\n"]


def test_one_adapter_of_all_tasks_is_exported_without_a_task_by_the_command_in_its_card(
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


def test_one_of_several_adapters_is_exported_by_its_task(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    done = CliRunner().invoke(app, ["export", "--system", "single", "--out", "out"])
    message = "system single has an adapter for each task; name one with --task: relevance, ner, summarization, description"
    assert (done.exit_code, done.stderr) == (1, f"error: {message}\n") and not Path("out").exists()
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
def test_nothing_is_exported_if_its_metrics_are_malformed(
    repository: Path, monkeypatch: pytest.MonkeyPatch, scores: object
) -> None:
    monkeypatch.chdir(repository)
    save_adapter(adapter_of(1), Path(SINGLE))
    write_text(Path("metrics/single.json"), dump_json({"ner": scores} if scores else scores))
    done = CliRunner().invoke(app, ["export", "--system", "single", "--task", "ner", "--out", "out"])
    assert (done.exit_code, done.stdout) == (1, "") and not Path("out").exists()
    assert done.stderr.startswith("error: metrics/single.json ") and done.stderr.endswith("; run dvc repro score@single\n")


@pytest.mark.parametrize("hub", [True, False], ids=["from the hub", "from a package"])
@pytest.mark.parametrize("content", ["[]", "{", '{"lora_alpha": null}'])
def test_an_adapter_with_a_broken_config_is_not_exported(
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
    *_, message = done.stderr.splitlines()  # after the warning about other parameters
    assert done.exit_code == 1 and message.startswith(f"error: {SINGLE}/adapter_config.json "), done.output
    assert message.endswith("; remove it and run dvc repro train") and not Path("out").exists()


#: Broken contents of dvc.yaml, and what the error says.
BROKEN_PIPELINES = {
    "<<<<<<< HEAD\nstages: {}\n=======\n": "",
    "": "doesn't hold stages as DVC defines them",
    "stages: [format]\n": "doesn't hold stages as DVC defines them",
    "stages: {format: 3}\n": "doesn't hold stages as DVC defines them",
    "stages: {format: {foreach: '${task}'}}\n": "doesn't hold stages as DVC defines them",
    "stages: {format: {foreach: '${seed}'}}\n": "doesn't hold stages as DVC defines them",
}


@pytest.mark.parametrize(("text", "problem"), BROKEN_PIPELINES.items(), ids=range(len(BROKEN_PIPELINES)))
def test_a_broken_dvc_yaml_is_reported_by_its_name(
    repository: Path, monkeypatch: pytest.MonkeyPatch, text: str, problem: str
) -> None:
    monkeypatch.chdir(repository)
    shutil.copytree(REPOSITORY / "metrics", "metrics")
    Path("dvc.yaml").write_text(text)
    for command in ("fresh", "table"):
        done = CliRunner().invoke(app, [command])
        assert done.exit_code == 1 and done.stdout == "" and done.stderr.startswith(f"error: dvc.yaml {problem}"), done.output
        assert done.stderr.endswith("; restore it (git checkout HEAD -- dvc.yaml), then run dvc repro\n")


@pytest.mark.parametrize("items", ["[a, b]", "{a: 1, b: 2}"])
def test_a_stage_of_the_users_own_may_list_its_items_itself(repository: Path, items: str) -> None:
    file = repository / "dvc.yaml"
    own = f"stages:\n  own:\n    foreach: {items}\n    do: {{cmd: echo}}\n"
    file.write_text(file.read_text().replace("stages:\n", own, 1))
    assert stage_names(repository)[:2] == ["own@a", "own@b"]


def test_without_a_dvc_yaml_the_user_is_asked_to_restore_it(repository: Path) -> None:
    (repository / "dvc.yaml").unlink()
    with pytest.raises(UserError, match=r"dvc.yaml is missing; restore it: git checkout HEAD -- dvc.yaml$"):
        parameter_difference(repository, SINGLE)

"""The commands, and how stages end: one sentence and a non-zero status for a user's mistake."""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from ecomtune.cli.app import app
from ecomtune.core.files import sha256_file
from tests.support.tasks import define_tasks

ROOT = Path(__file__).parents[2]
PROFILES = "demo, demonstrations, one_task, paper, pico, queryner, real"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the profiles and the demo's parameters."""
    (tmp_path / "profiles").mkdir()
    for profile in (ROOT / "profiles").glob("*.yaml"):
        (tmp_path / "profiles" / profile.name).write_bytes(profile.read_bytes())
    (tmp_path / "params.yaml").write_bytes((ROOT / "profiles" / "demo.yaml").read_bytes())
    define_tasks(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ecomtune(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def refusal(*arguments: str) -> str:
    """The one sentence that a failing command prints."""
    done = ecomtune(*arguments)
    assert done.exit_code == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


#: Libraries that a command imports only if it uses them.
HEAVY = {
    "accelerate",
    "datasets",
    "dvc",
    "evaluate",
    "matplotlib",
    "numpy",
    "peft",
    "polars",
    "sklearn",
    "torch",
    "transformers",
}


def test_help_imports_no_heavy_library_and_takes_less_than_half_a_second() -> None:
    """Processor time, the least of three runs, does not depend on how busy the machine is."""
    code = "import sys; from ecomtune.cli.app import app; app(['--help'], standalone_mode=False); print(*sys.modules)"
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert "Commands" in done.stdout and not HEAVY & set(done.stdout.splitlines()[-1].split())
    assert min(seconds) < 0.5


def shell(command: str, **environment: str) -> str:
    """The output of bash with this Python's commands first on PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, **environment}
    return subprocess.run(["bash", "-c", command], env=env, capture_output=True, text=True, check=True).stdout


def test_bash_completes_commands_by_the_completion_script() -> None:
    script = shell("ecomtune --show-completion bash; true")
    assert "complete -o default -F _ecomtune_completion ecomtune" in script
    complete = f'{script}\nCOMP_WORDS=(ecomtune pu); COMP_CWORD=1; _ecomtune_completion ecomtune; echo "${{COMPREPLY[*]}}"'
    assert shell(complete) == "publish\n"


def test_check_accepts_the_demo(project: Path) -> None:
    assert ecomtune("check").stdout == "params.yaml is valid\n"


@pytest.mark.parametrize(
    ("found", "put", "named"),
    [
        ("seed: 7\n\ndata", "seed: 7\ncolour: 1\n\ndata", "params.yaml: colour: unknown key"),
        ("{dataset: demo_shop, train_size: 160", "{dataset: demo_shopp, train_size: 160", "'demo_shopp' is not in datasets"),
    ],
)
def test_check_names_mistakes_that_no_stage_would_see(project: Path, found: str, put: str, named: str) -> None:
    params = project / "params.yaml"
    text = params.read_text(encoding="utf-8")
    assert found in text
    params.write_text(text.replace(found, put), encoding="utf-8")
    assert named in refusal("check")


def add_own_file(project: Path, pinned: str) -> None:
    """Add the printed entry ``pinned`` to the data sets of params.yaml."""
    values = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    values["datasets"].update(yaml.safe_load(pinned))
    (project / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")


def test_pin_prints_an_entry_that_check_accepts_until_the_file_changes(project: Path) -> None:
    own = project / "my: shop.csv"
    own.write_text("query\nmug\n", encoding="utf-8")
    add_own_file(project, ecomtune("pin", "my: shop.csv", "--licence", "own, # secret").stdout)
    assert ecomtune("check").stdout == "params.yaml is valid\n"
    changed = "my: shop.csv differs from its pin in datasets.my_shop; pin it again with: ecomtune pin my: shop.csv"
    own.write_text("query\ncup\n", encoding="utf-8")
    assert refusal("check") == f"error: {changed}"
    own.unlink()
    gone = "datasets.my_shop: there is no file my: shop.csv; put it there, or correct its url"
    assert refusal("check") == f"error: {gone}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("query,name,label\nmug,Mug,E\n", "error: shop.csv has no column 'title'; its columns are 'query', 'name', 'label';"),
        ("query;title;label\nmug;Mug;E\n", "error: shop.csv has no column 'label'; its columns are 'query;title;label';"),
        ("query,title,label\n", "error: shop.csv holds no rows; add some,"),
    ],
)
def test_check_looks_for_the_columns_of_the_users_own_table(project: Path, text: str, message: str) -> None:
    own = project / "shop.csv"
    columns = {"query": "query", "title": "title", "reference": "label"}
    for content in ("query,title,label\nmug,Mug,E\n", text):
        own.write_text(content, encoding="utf-8")
        add_own_file(project, ecomtune("pin", "shop.csv", "--licence", "own").stdout)
        change(project, "datasets.shop.columns", columns)
        change(project, "tasks.relevance.dataset", "shop")
        if content != text:
            assert ecomtune("check").stdout == "params.yaml is valid\n"
    assert refusal("check").startswith(message)


def test_a_pin_without_a_licence_is_refused(project: Path) -> None:
    (project / "shop.csv").write_text("query\nmug\n", encoding="utf-8")
    message = "error: shop.csv: the licence is empty; name the licence, or who may use the file and how"
    assert refusal("pin", "shop.csv", "--licence", "") == message


def test_an_empty_file_is_not_pinned(project: Path) -> None:
    (project / "empty.csv").touch()
    assert refusal("pin", "empty.csv") == "error: empty.csv is empty; choose a file that holds data"


def test_a_profile_replaces_a_garbled_file(project: Path) -> None:
    (project / "params.yaml").write_bytes(b"seed: \xff\n")
    assert ecomtune("profile", "demo").exit_code == 0
    assert (project / "params.yaml").read_bytes() == (project / "profiles" / "demo.yaml").read_bytes()


@pytest.mark.parametrize(
    ("profile", "stages"),
    [("demo", 41), ("queryner", 17), ("demonstrations", 11), ("real", 45), ("one_task", 18), ("paper", 50)],
)
def test_a_plan_has_every_stage_and_needs_nothing(project: Path, profile: str, stages: int) -> None:
    done = ecomtune("plan", profile, "--teraflops", "0.2")
    assert done.exit_code == 0
    assert f"{stages} stages" in done.stdout and "unknown" not in done.stdout.partition("≤: an upper bound")[0]
    assert sorted(path.name for path in project.iterdir()) == ["params.yaml", "profiles", "tasks"]


def test_a_plan_for_a_slower_machine_takes_longer_and_an_unknown_profile_has_none(project: Path) -> None:
    slow, fast = (ecomtune("plan", "demo", "--teraflops", speed).stdout for speed in ("0.1", "10"))
    minutes = [float(text.partition("41 stages")[2].split("│")[4].strip(" ~")) for text in (slow, fast)]
    assert minutes[0] > 10 * minutes[1] > 0
    assert refusal("plan", "none").startswith(f"error: there is no profile 'none'; name one of: {PROFILES}")


def test_pin_names_a_file_that_does_not_exist(project: Path) -> None:
    assert refusal("pin", "none.csv").startswith("error: there is no file none.csv; pin a local file")
    assert refusal("pin", "https://example.org/a.csv").startswith("error: there is no file")
    assert refusal("pin", ".").startswith("error: there is no file")


def test_check_names_a_column_map_that_does_not_fit_the_task(project: Path) -> None:
    params = project / "params.yaml"
    values = yaml.safe_load(params.read_text(encoding="utf-8"))
    values["datasets"]["mine"] = {"reader": "table", "columns": {"query": "q", "title": "t"}}
    values["tasks"]["relevance"]["dataset"] = "mine"
    params.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert refusal("check").startswith("error: columns of reader table: the task needs a column for reference")
    values["datasets"]["mine"]["columns"]["reference"] = "label"
    params.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert refusal("check").startswith("error: tasks.relevance.dataset: reader table reads files, and mine names none")
    file = {"path": "mine.csv", "url": "https://example.org/mine.csv", "sha256": "0" * 64, "bytes": 9, "licence": "own"}
    values["datasets"]["mine"] = {**values["datasets"]["mine"], "files": [file]}
    values["datasets"]["mine"]["columns"]["colour"] = "c"  # would be ignored, like an optional input that no column gives
    params.write_text(yaml.safe_dump(values), encoding="utf-8")
    expected = "error: datasets.mine.columns: 'colour' is an input of no task that reads the data set; correct it to color, or"
    assert refusal("check").startswith(expected)


def change(project: Path, place: str, value: object) -> None:
    """Set a key of params.yaml."""
    file = project / "params.yaml"
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    *parents, key = place.split(".")
    section = values
    for name in parents:
        section = section[name]
    section[key] = value
    file.write_text(yaml.safe_dump(values), encoding="utf-8")


@pytest.mark.parametrize("name", PROFILES.split(", "))
def test_check_accepts_every_profile(project: Path, name: str) -> None:
    ecomtune("profile", name)
    assert ecomtune("check").stdout.startswith("params.yaml is valid\n")


RECORDED = {"kind": "recorded", "reads": "data/examples/relevance", "tasks": ["relevance"]}


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("baselines.floor_relevance.method", "lead", "baselines.floor_relevance: method lead has no model for task relevance;"),
        ("baselines.floor_summarization.method", "tfidf", "baselines.floor_summarization: method tfidf has no model for task"),
        (
            "baselines.floor_summarization.method",
            "title",
            "baselines.floor_summarization: method title copies",
        ),
        ("tasks.ner.labels", "sum", "tasks.ner.labels: sum has an effect only where a task has labels"),
        ("tasks.description.labels", "mean", "tasks.description.labels: mean has an effect only where a task has labels"),
        (
            "tasks.ner.temperature",
            0.5,
            "tasks.ner.temperature: nothing is sampled under constrained decoding;",
        ),
        (
            "tasks.relevance.temperature",
            1,
            "tasks.relevance.temperature: nothing is sampled under constrained decoding;",
        ),
        ("tasks.description.seed", 3, "tasks.description.seed: nothing is sampled at temperature 0; remove it, or set"),
        ("datasets.demo_shop.columns", {"query": "q"}, "datasets.demo_shop.columns: reader demo_shop has no use for columns;"),
        ("datasets.demo_shop.locales", ["us"], "datasets.demo_shop.locales: reader demo_shop has no use for locales; remove"),
        ("datasets.demo_shop.part", "pros", "datasets.demo_shop.part: reader demo_shop has no use for part; remove the key"),
        ("tasks.description.decoding", "free", "tasks.description.decoding: a task whose answers are texts has no use for"),
        ("tasks.summarization.decoding", "constrained", "tasks.summarization.decoding: a task whose answers are texts has"),
        ("train.shared.schedule", "constant", "train.shared.warmup: schedule constant has no use for warmup; remove the key"),
        (
            "train.adapters.ner.settings",
            {"schedule": "constant", "warmup": 0.2},
            "train.adapters.ner.settings.warmup: schedule constant has no use for warmup; remove the key, or set schedule to",
        ),
        ("train.adapters.ner_1.shard", [201, 201], "train.adapters.ner_1.shard: 201 parts of 200 training rows of ner leave"),
        ("train.adapters.ner_2.limit", {"ner": 1}, "train.adapters.ner_2.shard: 2 parts of 1 training rows of ner leave this"),
        ("systems.few_shot.shots", 81, "systems.few_shot.shots: summarization has 80 training rows; lower it, or raise its"),
        ("train.adapters.ner_1.settings", {"dora": True}, "merge.recipes.ner_shards: adapter ner_1 is trained with dora,"),
        ("train.shared.dora", True, "merge.recipes.ner_shards: adapter ner_1 is trained with dora, and can't be merged as B @"),
        ("systems.in_use", RECORDED, "systems.in_use: data set demo_shop has no answers of that name (there: none); rename or"),
    ],
)
def test_check_refuses_parameters_that_a_stage_would_refuse_or_ignore(
    project: Path, place: str, value: object, message: str
) -> None:
    change(project, place, value)
    assert refusal("check").startswith(f"error: {message}")


def test_check_refuses_a_linear_merge_of_unequal_ranks_in_shared_modules(project: Path) -> None:
    shards = {"reads": "models/adapters/shards/ner", "method": "linear", "weights": {"1": 0.5, "2": 0.5}}
    change(project, "merge.recipes.ner_shards", shards)
    assert ecomtune("check").stdout == "params.yaml is valid\n"
    change(project, "train.adapters.ner_1.settings", {"rank": 4})
    line = refusal("check")
    assert line.startswith("error: merge.recipes.ner_shards: method linear ") and line.endswith("[4, 8]; use cat or svd")
    change(project, "train.adapters.ner_1.settings", {"rank": 4, "target_modules": ["q_proj"]})
    assert refusal("check") == line
    change(project, "train.adapters.ner_2.settings", {"target_modules": ["v_proj", "q_proj"]})
    assert refusal("check") == line
    change(project, "train.adapters.ner_2.settings", {"target_modules": ["v_proj"]})
    assert ecomtune("check").stdout == "params.yaml is valid\n"


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"train.shared.patience": 1}, "train.shared.patience"),
        ({"train.adapters.ner.settings": {"patience": 1}}, "train.adapters.ner.settings.patience"),
        ({"baselines.encoder_ner.patience": 2}, "baselines.encoder_ner.patience"),
        ({"merge.recipes.tasks.search": {"tasks": ["relevance", "ner"]}}, "merge.recipes.tasks.search"),
    ],
)
def test_check_refuses_decisions_by_validation_rows_if_there_are_none(
    project: Path, changes: dict[str, object], place: str
) -> None:
    for where, value in changes.items():
        change(project, where, value)
    assert ecomtune("check").stdout == "params.yaml is valid\n"
    change(project, "tasks.ner.validation_size", 0)
    message = f"error: {place}: needs validation rows, and tasks.ner.validation_size is 0; raise that, or remove the key"
    assert refusal("check") == message


def test_check_accepts_a_shared_warmup_that_another_adapters_schedule_uses(project: Path) -> None:
    change(project, "train.adapters.ner.settings", {"schedule": "constant"})
    assert ecomtune("check").stdout == "params.yaml is valid\n"
    change(project, "train.shared.schedule", "constant")
    change(project, "train.shared.warmup", 0)
    assert ecomtune("check").stdout == "params.yaml is valid\n"


@pytest.mark.parametrize("key", ["max_position_embeddings", "n_positions"])
def test_check_knows_the_context_length_of_weights_on_disk(project: Path, key: str) -> None:
    full = {"family": "causal", "task": "ner", "out": "causal/ner", "model": "smollm2", "max_length": 10_000}
    change(project, "baselines.full", full)
    assert ecomtune("check").stdout == "params.yaml is valid\n"
    config = project / "models/pretrained/smollm2/config.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({key: 8192}), encoding="utf-8")
    message = "error: baselines.full.max_length: 10000 is beyond the context of smollm2, 8192 tokens; lower it"
    assert refusal("check") == message
    config.write_text(json.dumps({key: 256}), encoding="utf-8")
    assert refusal("check").startswith("error: train.shared.max_length: 512 is beyond the context of smollm2, 256 tokens")


@pytest.mark.parametrize(
    "task",
    [
        {"ner": {"decoding": "free", "temperature": 0.5, "seed": 3}},
        {"description": {"temperature": 0.5, "seed": 3}},
        {"relevance": {"labels": "calibrated"}},
    ],
)
def test_check_accepts_options_of_decoding_that_have_an_effect(project: Path, task: dict[str, dict[str, object]]) -> None:
    for name, settings in task.items():
        for key, value in settings.items():
            change(project, f"tasks.{name}.{key}", value)
    assert ecomtune("check").stdout == "params.yaml is valid\n"


def test_check_knows_the_annotators_of_a_data_set(project: Path) -> None:
    ecomtune("profile", "queryner")
    change(project, "systems.annotator_4", {"kind": "recorded", "reads": "data/examples/ner", "tasks": ["ner"]})
    message = (
        "systems.annotator_4: data set queryner has no answers of that name (there: annotator_1, annotator_2, annotator_3);"
    )
    assert refusal("check").startswith(f"error: {message}")


def test_check_refuses_a_seed_of_data_that_is_not_generated(project: Path) -> None:
    ecomtune("profile", "queryner")
    change(project, "datasets.queryner.seed", 7)
    assert refusal("check") == "error: datasets.queryner.seed: reader queryner has no use for seed; remove the key"


@pytest.mark.parametrize(
    "command",
    [
        "check",
        "plan",
        "table",
        "answers",
        "fresh",
        "experiments",
        "sweep -S seed=8",
        "pr-report",
        "profile demo",
        "export --system single --task ner --out x",
    ],
)
def test_outside_the_root_every_command_says_where_to_run_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    message = (
        "this folder is not the repository's root, which has params.yaml, dvc.yaml, profiles; change to it and run this again"
    )
    assert refusal(*command.split()) == f"error: {message}"


def test_a_file_is_pinned_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert refusal("pin", "x.csv").startswith("error: there is no file x.csv")
    (tmp_path / "x.csv").write_text("words\nmug\n")
    assert ecomtune("pin", "x.csv").exit_code == 0


def test_profile_without_a_name_lists_the_profiles(project: Path) -> None:
    assert refusal("profile") == f"error: no profile is named; name one of: {PROFILES}"


def test_a_format_without_its_download_says_what_to_run(project: Path) -> None:
    ecomtune("profile", "queryner")
    done = stage("ecomtune.stages.format", "ner")
    message = "format: error: data/raw/queryner/train.txt is missing; run dvc repro download@queryner"
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and line.startswith(message)


def test_the_users_own_parameters_are_kept_when_a_profile_replaces_them(project: Path) -> None:
    params = project / "params.yaml"
    own = params.read_text(encoding="utf-8").replace("seed: 7", "seed: 8", 1)
    params.write_text(own, encoding="utf-8")
    assert ecomtune("profile", "real").stdout.startswith(
        "the former params.yaml, which is not that of any profile, is kept as .scratch/"
    )
    (kept,) = (project / ".scratch").glob("params.*.yaml")
    assert kept.read_text(encoding="utf-8") == own
    assert "kept as" not in ecomtune("profile", "demo").stdout


def test_a_profile_is_written_and_shown(project: Path) -> None:
    shown = ecomtune("profile", "real").stdout
    assert "+  queryner:" in shown
    assert (project / "params.yaml").read_bytes() == (ROOT / "profiles" / "real.yaml").read_bytes()
    assert ecomtune("profile", "real").stdout == "params.yaml already is profile real\n"


def test_an_unknown_profile_is_refused_with_the_known_names(project: Path) -> None:
    assert refusal("profile", "reall") == f"error: there is no profile 'reall'; name one of: {PROFILES}"
    assert (project / "params.yaml").read_bytes() == (ROOT / "profiles" / "demo.yaml").read_bytes()


def test_a_broken_profile_does_not_change_params(project: Path) -> None:
    (project / "profiles" / "real.yaml").write_text("seed: x\n", encoding="utf-8")
    assert refusal("profile", "real").startswith("error: profiles/real.yaml: ")
    assert (project / "params.yaml").read_bytes() == (ROOT / "profiles" / "demo.yaml").read_bytes()


def stage(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a stage in the current folder."""
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_stage_logs_its_time_with_the_hash_of_its_parameters(project: Path) -> None:
    assert stage("ecomtune.stages.download", "demo_shop").returncode == 0
    (line,) = (project / ".scratch/times.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert entry["stage"] == "download@demo_shop" and entry["seconds"] >= 0 and 10 < entry["memory_mib"] < 10_000
    assert entry["params"] == sha256_file(project / "params.yaml")


def test_a_file_in_place_of_a_folder_is_reported_in_one_sentence(project: Path) -> None:
    (project / ".scratch").touch()
    done = stage("ecomtune.stages.download", "demo_shop")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert line.startswith("download: error: .scratch: File exists; ") and line.endswith(", and run this again")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full, which acts as a full disk, exists on Linux only")
def test_a_full_disk_is_reported_by_a_stage_in_one_sentence(project: Path) -> None:
    (project / ".scratch").mkdir()
    (project / ".scratch/times.jsonl").symlink_to("/dev/full")
    done = stage("ecomtune.stages.download", "demo_shop")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and line.startswith(f"download: error: {project}: No space left on device; ")


def test_a_command_reports_a_file_that_it_cannot_write_in_one_sentence(project: Path) -> None:
    (project / ".scratch").touch()
    assert refusal("profile", "real").startswith("error: .scratch: File exists; ")


GOOD = {"macro_f1": 0.5, "macro_f1_ci": [0.4, 0.6], "n": 12, "groups": 3, "invalid": 0}


@pytest.mark.parametrize(
    "scores",
    [
        [],
        3,
        {},
        *({"relevance": each} for each in (3, None, [GOOD])),
        *({"relevance": {**GOOD, "macro_f1": each}} for each in ("high", "0.5", None, [0.5], math.nan, True)),
        *({"relevance": {**GOOD, "macro_f1_ci": each}} for each in ([0.4], [0, None], [0, "1"], 0.4, "46", [0, math.inf])),
        *({"relevance": {**GOOD, "n": each}} for each in ("12", None, [12], 12.5, math.nan, -1)),
        *({"relevance": {**GOOD, "parameters": each}} for each in ("many", None, [5], math.nan, 10**400)),
    ],
    ids=repr,
)
def test_malformed_metrics_are_reported_in_one_sentence(project: Path, scores: object) -> None:
    (project / "params.yaml").write_bytes((ROOT / "profiles" / "pico.yaml").read_bytes())
    (project / "metrics").mkdir()
    (project / "metrics/merged_shards.json").write_text(json.dumps(scores), encoding="utf-8")
    problem = "metrics/merged_shards.json doesn't hold the scores of task relevance as stage score@merged_shards writes them"
    assert refusal("table") == f"error: {problem}; run dvc repro score@merged_shards"


def test_outputs_of_another_profile_are_named_with_the_command_that_removes_them(project: Path) -> None:
    for folder in ("data/examples/relevance", "data/examples/ner", "models/pretrained/pico"):
        (project / folder).mkdir(parents=True)
        (project / folder / "file.json").touch()
    (project / "data/examples/empty").mkdir()  # a failed dvc checkout leaves such a folder
    (project / "data/raw/my data").mkdir(parents=True)
    (project / "data/raw/my data/shop.csv").touch()
    line = "found outputs of an earlier configuration; remove them before dvc repro with: rm -r 'data/raw/my data' {}"
    assert ecomtune("check").stdout.splitlines()[-1] == line.format("models/pretrained/pico")
    expected = line.replace("'data/raw/my data' {}", "data/examples/relevance 'data/raw/my data' models/pretrained/pico")
    assert ecomtune("profile", "queryner").stdout.splitlines()[-1] == expected

"""The whole pipeline on pico models, by the real DVC, in a scratch clone."""

from __future__ import annotations

import json
import os
import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import torch
import yaml
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.support.pico import make_causal
from tests.support.scratch_clone import commit, make_clone, run

pytestmark = pytest.mark.pipeline
KINDS = {"download", "pretrained", "format", "train", "merge", "baseline", "predict", "score", "compare"}
FLOOR = "{kind: baseline, reads: models/baselines/floor, tasks: [relevance]}"
UP_TO_DATE = "Data and pipelines are up to date."
STALE = "dvc.lock is stale (stage"
RETRAINED = f"{STALE} train@relevance_1 would run"
#: Code that can stop a stage or print something, but can't change a byte of an output.
WITHOUT_EFFECT = ("messages", "checks", "runs", "plan", "cli", "stages/runner.py", "stages/timing.py")


#: Logs each file and folder below the working folder that a stage opens or lists, with its stage.
HOOK = """
import os, sys
command = sys.orig_argv
if "-m" in command and command[command.index("-m") + 1].startswith("ecomtune.stages."):
    module, *item = command[command.index("-m") + 1 :]
    stage = "@".join([module.rpartition(".")[2], *item])
    log = os.open(os.environ["READ_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def hook(event, arguments):
        if event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], (str, os.PathLike)):
            path = os.path.relpath(os.path.abspath(arguments[0]))
            if not path.startswith(".."):
                os.write(log, f"{stage} {path}\\n".encode())

    sys.addaudithook(hook)
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the pico profile has been run once and committed."""
    folder = make_clone(tmp_path_factory.mktemp("pipeline"), profile="pico")
    make_causal(folder / ".scratch/pico/causal")
    hook = folder.parent / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(HOOK)
    path = f"{folder / 'src'}{os.pathsep}{hook}"
    done = run(folder, "dvc", "repro", PYTHONHASHSEED="1", PYTHONPATH=path, READ_LOG=str(hook / "log"))
    assert done.returncode == 0, done.stdout + done.stderr
    commit(folder, "Run the pico profile")
    return folder


def edit(clone: Path, old: str, new: str) -> str:
    """Replace a text in the clone's params.yaml, and return the former content."""
    params = clone / "params.yaml"
    before = params.read_text()
    assert old in before
    params.write_text(before.replace(old, new))
    return before


def stages_to_run(output: str) -> set[str]:
    return set(re.findall(r"Running stage '([^']+)'", output))


def test_the_pico_profile_has_every_kind_of_stage_and_at_most_twelve(clone: Path) -> None:
    names = run(clone, "dvc", "stage", "list", "--name-only").stdout.split()
    assert {name.partition("@")[0] for name in names} == KINDS
    assert len(names) <= 12


def test_a_run_in_another_folder_with_another_hash_seed_gives_the_same_bytes(clone: Path, tmp_path: Path) -> None:
    """By dvc.lock, which holds the hash of each output."""
    again = make_clone(tmp_path / "elsewhere and deeper", profile="pico")
    shutil.copytree(clone / ".scratch/pico", again / ".scratch/pico")
    done = run(again, "dvc", "repro", PYTHONHASHSEED="2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(stages_to_run(done.stdout)) == 12
    assert (again / "dvc.lock").read_text() == run(clone, "git", "show", "HEAD:dvc.lock").stdout


#: Dependencies that an item of a stage doesn't read, but others do: floors have no weights, and fixed merges search none.
FOR_OTHERS = {
    "baseline": ["models/pretrained"],
    "predict": ["models/pretrained"],
    "merge": ["data/examples", "models/pretrained/pico"],
}


#: Folders of inputs and outputs; the code is another test's.
READ_FROM = ("data", "metrics", "models", "reports", "tasks")


def _overlap(path: Path, other: Path) -> bool:
    """Whether one is the other, or contains it."""
    return path.is_relative_to(other) or other.is_relative_to(path)


def test_a_stage_reads_all_data_and_models_that_it_depends_on_and_no_others(clone: Path) -> None:
    reads: dict[str, set[Path]] = {}
    for line in (clone.parent / "hook/log").read_text().splitlines():
        stage, _, path = line.partition(" ")
        reads.setdefault(stage, set()).add(Path(path))
    stages = yaml.safe_load((clone / "dvc.lock").read_text())["stages"]
    assert len(stages) == len(reads) == 12
    for name, stage in stages.items():
        deps = [Path(dep["path"]) for dep in stage.get("deps", []) if not dep["path"].startswith("src/")]
        known = [*deps, *(Path(out["path"]) for out in stage["outs"])]
        places = {path for path in reads[name] if path.parts and path.parts[0] in READ_FROM}
        foreign = [path for path in places if not any(_overlap(path, each) for each in known)]
        idle = [dep for dep in deps if not any(path.is_relative_to(dep) for path in places)]
        idle = [dep for dep in idle if str(dep) not in FOR_OTHERS.get(name.partition("@")[0], [])]
        assert (name, foreign, idle) == (name, [], [])


def test_no_output_says_when_or_where_it_was_made(clone: Path) -> None:
    lock = yaml.safe_load((clone / "dvc.lock").read_text())
    outs = [clone / out["path"] for stage in lock["stages"].values() for out in stage["outs"]]
    files = [file for out in outs for file in ([out] if out.is_file() else out.rglob("*")) if file.is_file()]
    made = [datetime.fromtimestamp((clone / "dvc.lock").stat().st_mtime) - timedelta(days=each) for each in (0, 1)]
    dates = {day.strftime(form).encode() for day in made for form in ("%Y-%m-%d", "%Y%m%d", "%d %b %Y", "%b %d", "%d/%m/%Y")}
    forbidden = {str(clone).encode(), *dates}
    seconds = re.compile(rb"(?<![\d.])%d\d{5}(?:\.\d+)?(?!\d)" % (made[0].timestamp() // 1e5))  # of this day or so
    assert len(files) > 30
    for file in files:
        content = file.read_bytes()
        assert (file, [each for each in forbidden if each in content], seconds.search(content)) == (file, [], None)


def test_every_output_in_dvc_lock_exists(clone: Path) -> None:
    lock = yaml.safe_load((clone / "dvc.lock").read_text())
    outs = [out["path"] for stage in lock["stages"].values() for out in stage["outs"]]
    assert len(outs) == 15
    assert all((clone / out).exists() for out in outs)


def test_a_second_run_reruns_nothing(clone: Path) -> None:
    done = run(clone, "dvc", "repro")
    assert UP_TO_DATE in done.stdout
    assert not stages_to_run(done.stdout)


def test_a_run_leaves_the_checkout_clean_but_for_lock_and_metrics(clone: Path) -> None:
    changed = run(clone, "git", "show", "--stat=200", "--format=", "HEAD").stdout
    files = {line.split("|")[0].strip() for line in changed.splitlines() if "|" in line}
    assert files == {"dvc.lock", "metrics/floor.json", "metrics/merged_shards.json"}
    assert run(clone, "git", "status", "--porcelain").stdout == ""


def test_metrics_are_readable_from_git_alone_and_have_counts_and_intervals(clone: Path) -> None:
    shown = json.loads(run(clone, "dvc", "metrics", "show", "--json").stdout)
    scores = shown[""]["data"]["metrics/floor.json"]["data"]["relevance"]
    assert scores["n"] == 12 and scores["groups"] >= 2 and scores["invalid"] == 0
    committed = json.loads(run(clone, "git", "show", "HEAD:metrics/floor.json").stdout)["relevance"]
    assert committed["parameters"] > 0 == committed["input_tokens"]  # those of a bag of words
    low, high = committed["macro_f1_ci"]  # dvc shows no lists
    assert low <= committed["macro_f1"] == scores["macro_f1"] <= high


def test_the_summary_compares_all_adapters_and_says_what_was_not_measured(clone: Path) -> None:
    summary = json.loads((clone / "reports/summary.json").read_text())
    names = ["shards/relevance/1", "shards/relevance/2", "merged/relevance_shards"]
    assert summary["similarity"]["adapters"] == names
    assert len(summary["similarity"]["pairs"]) == 3
    by_module = (clone / "reports/similarity.csv").read_text().splitlines()
    assert by_module[0] == "first,second,module,cosine,columns,rows" and len(by_module) == 1 + 3 * 14
    for pair in summary["similarity"]["pairs"]:
        assert -1 <= pair["cosine"] <= 1 and 0 < pair["columns"] <= 1 and 0 < pair["rows"] <= 1
    assert summary["transfer"] == {name: {"relevance": None} for name in names}  # no system is zero-shot
    pictures = ["costs.png", "losses.png", "merges.png", "similarity.png", "systems.png"]
    assert sorted(file.name for file in (clone / "plots/compare").glob("*.png")) == pictures


def test_a_study_without_adapters_is_compared_too(clone: Path, tmp_path: Path) -> None:
    params = yaml.safe_load((clone / "params.yaml").read_text())
    params["train"]["adapters"], params["merge"]["recipes"] = {}, {}
    params["systems"] = {"floor": params["systems"]["floor"]}
    params["score"]["adapters"] = "models/pretrained"
    (clone / "models/adapters").rename(tmp_path / "adapters")  # as in a clone that has never trained
    try:
        (clone / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        done = run(clone, "dvc", "repro")
        assert done.returncode == 0, done.stdout + done.stderr
        assert stages_to_run(done.stdout) == {"score@floor", "compare"}  # both track score.adapters
        assert json.loads((clone / "reports/summary.json").read_text())["similarity"]["pairs"] == []
    finally:
        shutil.rmtree(clone / "models/adapters", ignore_errors=True)
        (tmp_path / "adapters").rename(clone / "models/adapters")
        run(clone, "git", "checkout", "-q", ".")
        run(clone, "dvc", "checkout", "-q")


def test_an_experiment_trains_with_the_changed_parameter_and_shows_in_metrics_diff(clone: Path) -> None:
    done = run(clone, "dvc", "exp", "run", "-S", "train.shared.rank=2", "-S", "train.shared.learning_rate=0.1")
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        assert stages_to_run(done.stdout) == {
            "train@relevance_1",
            "train@relevance_2",
            "merge@relevance_shards",
            "predict@merged_shards",
            "score@merged_shards",
            "compare",
        }
        config = json.loads((clone / "models/adapters/shards/relevance/1/adapter_config.json").read_text())
        assert config["r"] == 2
        assert "train.shared.rank" in run(clone, "dvc", "params", "diff", "HEAD").stdout
        diff = json.loads(run(clone, "dvc", "metrics", "diff", "HEAD", "--json").stdout)
        assert list(diff) == ["metrics/merged_shards.json"]
        now = json.loads((clone / "metrics/merged_shards.json").read_text())["relevance"]["macro_f1"]
        shown = diff["metrics/merged_shards.json"]["relevance.macro_f1"]
        assert shown["new"] == now != shown["old"]
    finally:
        run(clone, "git", "checkout", "-q", ".")
        run(clone, "dvc", "checkout", "-q")


def test_a_changed_scoring_parameter_reruns_scoring_and_comparison_only(clone: Path) -> None:
    before = edit(clone, "bootstrap: 100", "bootstrap: 170")
    try:
        done = run(clone, "dvc", "repro")
        assert stages_to_run(done.stdout) == {"score@floor", "score@merged_shards", "compare"}
        old = json.loads(run(clone, "git", "show", "HEAD:metrics/floor.json").stdout)["relevance"]
        new = json.loads((clone / "metrics/floor.json").read_text())["relevance"]
        assert any(new[key] != old[key] for key in old if key.endswith("_ci"))
        assert {key for key in old if old[key] != new[key]} <= {key for key in old if key.endswith("_ci")}
    finally:
        (clone / "params.yaml").write_text(before)
        run(clone, "git", "checkout", "-q", ".")
        run(clone, "dvc", "checkout", "-q")


def test_a_mistyped_key_stops_every_stage_with_one_sentence(clone: Path) -> None:
    before = edit(clone, "threads", "thraeds")
    try:
        for stage, item in (("train", "relevance_1"), ("score", "floor"), ("compare", "")):
            done = run(clone, "python", "-m", f"ecomtune.stages.{stage}", item)
            assert done.returncode == 1
            assert "thraeds: unknown key" in done.stderr
            assert len(done.stderr.strip().splitlines()) == 1
    finally:
        (clone / "params.yaml").write_text(before)


def test_an_item_that_is_not_in_params_stops_with_one_sentence(clone: Path) -> None:
    done = run(clone, "python", "-m", "ecomtune.stages.format", "relevanse")
    assert done.returncode == 1
    assert done.stderr.strip() == "format: error: tasks: there is no 'relevanse'; name one of: relevance"


def test_missing_data_stops_with_one_sentence_and_leaves_no_output(clone: Path) -> None:
    (clone / "data/raw/demo_shop").rename(clone / "data/raw/elsewhere")
    before = sorted((clone / "data/examples").rglob("*"))
    try:
        done = run(clone, "python", "-m", "ecomtune.stages.format", "relevance")
        assert done.returncode == 1
        assert len(done.stderr.strip().splitlines()) == 1 and "data/raw/demo_shop" in done.stderr
        assert sorted((clone / "data/examples").rglob("*")) == before
    finally:
        (clone / "data/raw/elsewhere").rename(clone / "data/raw/demo_shop")


def test_the_committed_run_counts_as_fresh(clone: Path) -> None:
    done = run(clone, "ecomtune", "fresh")
    assert done.returncode == 0, done.stderr


def test_the_committed_run_is_published_with_every_stage_timed(clone: Path) -> None:
    try:
        assert run(clone, "ecomtune", "publish", "pico").stdout == "results/pico\n"
        page = (clone / "results/pico/README.md").read_text()
        assert "seconds in 12 stages on" in page and "not timed" not in page
        assert re.search(r"; torch with 1 thread and BLAS \w+\)\.", page)  # as params.yaml says
    finally:
        shutil.rmtree(clone / "results/pico", ignore_errors=True)


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("params.yaml", "rank: 4", "rank: 8", RETRAINED),
        ("metrics/floor.json", '"n": 12', '"n": 13', "metrics/floor.json differs from its hash in dvc.lock; run dvc repro"),
        (
            "params.yaml",
            f"  floor: {FLOOR}\n",
            "",
            "dvc.lock still holds stage predict@floor and 1 more, which params.yaml no longer has",
        ),
        ("params.yaml", "\nscore:", f"  again: {FLOOR}\n\nscore:", f"{STALE} predict@again would run"),
    ],
    ids=["changed parameter", "edited metrics", "removed system", "new system"],
)
def test_a_stale_checkout_is_noticed(clone: Path, file: str, old: str, new: str, problem: str) -> None:
    path = clone / file
    before = path.read_text()
    assert old in before
    try:
        path.write_text(before.replace(old, new))
        done = run(clone, "ecomtune", "fresh")
        assert done.returncode == 1 and f"error: {problem}" in done.stderr
    finally:
        path.write_text(before)


def append(text: str, *files: Path) -> None:
    for file in files:
        with file.open("a") as content:
            content.write(text)


def test_only_edits_that_can_change_an_output_make_its_stage_stale(clone: Path) -> None:
    """What depends on a stale stage runs after it, as an experiment with another rank shows above."""
    package = clone / "src/ecomtune"
    effectless = [file for name in WITHOUT_EFFECT for file in [*(package / name).rglob("*.py"), *package.glob(name)]]
    sentence = "change to it and run this again"
    commands = package / "cli/commands.py"
    assert sentence in commands.read_text() and len(effectless) > 40
    try:
        append("# Edited.\n", *(file for file in effectless if file.is_file()))
        commands.write_text(commands.read_text().replace(sentence, "go there"))
        append("\nEdited.\n", clone / "docs/README.md", clone / "README.md")
        assert run(clone, "dvc", "status").stdout.strip() == UP_TO_DATE
        append("# Edited.\n", package / "lora/mixing.py")
        changed = json.loads(run(clone, "dvc", "status", "--json").stdout)
        assert changed.keys() == {"train@relevance_1", "train@relevance_2", "merge@relevance_shards"}
        assert all(status == [{"changed deps": {"src/ecomtune/lora": "modified"}}] for status in changed.values())
        assert f"error: {RETRAINED}" in run(clone, "ecomtune", "fresh").stderr
    finally:
        run(clone, "git", "checkout", "-q", ".")


def test_a_fresh_clone_without_data_is_up_to_date(clone: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    assert run(clone, "git", "clone", "-q", str(clone), str(fresh)).returncode == 0
    done = run(fresh, "dvc", "repro", "--dry", "--allow-missing")
    assert done.returncode == 0 and UP_TO_DATE in done.stdout and not stages_to_run(done.stdout), done.stdout + done.stderr
    found = json.loads(run(fresh, "dvc", "status", "--json").stdout)
    states = {state for stage in found.values() for kind in stage for state in kind.popitem()[1].values()}
    assert len(found) == 12 and states <= {"deleted", "not in cache"}
    for command in (["metrics", "diff"], ["params", "diff", "main"]):
        shown = run(fresh, "dvc", *command)
        assert (shown.returncode, shown.stdout) == (0, ""), shown.stderr


def test_git_tracks_no_file_in_a_folder_that_dvc_keeps(clone: Path) -> None:
    """Otherwise the folder would exist in a fresh clone, and DVC would call it modified rather than missing."""
    stages = yaml.safe_load((clone / "dvc.lock").read_text())["stages"].values()
    paths = {each["path"] for stage in stages for each in [*stage.get("deps", []), *stage["outs"]]}
    kept = [Path(path) for path in paths if Path(path).parts[0] not in ("src", "tasks", "metrics")]
    tracked = [Path(name) for name in run(clone, "git", "ls-files").stdout.splitlines()]
    assert len(kept) > 15 and len(tracked) > 200
    assert [file for file in tracked if any(file.is_relative_to(path) for path in kept)] == []


def test_a_deleted_metrics_file_is_noticed(clone: Path) -> None:
    path = clone / "metrics/floor.json"
    before = path.read_text()
    try:
        path.unlink()
        assert "metrics/floor.json is missing" in run(clone, "ecomtune", "fresh").stderr
    finally:
        path.write_text(before)


def test_left_over_metrics_are_reported_and_not_compared(clone: Path) -> None:
    left_over = clone / "metrics/gone.json"
    try:
        left_over.write_text("{}\n")
        done = run(clone, "ecomtune", "table")
        assert "belong to no system in params.yaml; remove them with: rm metrics/gone.json\n" in done.stdout
    finally:
        left_over.unlink()


def test_a_csv_of_200_rows_goes_through_a_task_by_a_column_map_alone(clone: Path) -> None:
    labels = ["Exact", "substitute", "Complement", "IRRELEVANT"]
    lines = [f"mug {number // 4},Blue Mug {number} of {labels[number % 4]},{labels[number % 4]}" for number in range(200)]
    (clone / "shop.csv").write_text("\n".join(["search,product,judgement", *lines]) + "\n", encoding="utf-8")
    params = yaml.safe_load((clone / "params.yaml").read_text())
    pinned = yaml.safe_load(run(clone, "ecomtune", "pin", "shop.csv").stdout)
    pinned["shop"]["columns"] = {"query": "search", "title": "product", "reference": "judgement"}
    params["datasets"].update(pinned)
    params["tasks"]["relevance"]["dataset"] = "shop"
    try:
        (clone / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        assert run(clone, "ecomtune", "check").returncode == 0
        done = run(clone, "dvc", "repro", "score@floor")
        assert done.returncode == 0, done.stdout + done.stderr
        expected = {"download@shop", "format@relevance", "baseline@floor_relevance", "predict@floor", "score@floor"}
        assert stages_to_run(done.stdout) == expected
        report = json.loads((clone / "data/examples/relevance/report.json").read_text())
        assert sum(counts["available"] for counts in report["splits"].values()) == 200 and report["rejected"] == {}
        assert json.loads((clone / "metrics/floor.json").read_text())["relevance"]["n"] == 12
    finally:
        run(clone, "git", "checkout", "-q", ".")
        run(clone, "git", "clean", "-qfd")
        run(clone, "dvc", "checkout", "-q")


def test_a_clone_with_a_part_of_the_data_counts_as_fresh(clone: Path) -> None:
    moved = clone.parent / "moved"
    (clone / "models").rename(moved)
    try:
        assert run(clone, "ecomtune", "fresh").returncode == 0
    finally:
        moved.rename(clone / "models")


def test_an_exported_adapter_and_the_merged_model_load_in_plain_peft_and_transformers(clone: Path, tmp_path: Path) -> None:
    for folder, options in (("adapter", []), ("whole", ["--merged"])):
        chosen = ["--system", "merged_shards", "--task", "relevance", "--out", str(tmp_path / folder)]
        done = run(clone, "ecomtune", "export", *chosen, *options)
        assert (done.returncode, done.stdout) == (0, f"{tmp_path / folder}\n"), done.stderr
    base = AutoModelForCausalLM.from_pretrained(clone / "models/pretrained/pico", dtype=torch.float32)
    tuned = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    whole = AutoModelForCausalLM.from_pretrained(tmp_path / "whole", dtype=torch.float32).eval()
    ids = AutoTokenizer.from_pretrained(tmp_path / "whole")("Query: mug", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        assert (tuned(ids).logits - whole(ids).logits).abs().max() < 1e-4
        with tuned.disable_adapter():
            assert (tuned(ids).logits - whole(ids).logits).abs().max() > 1e-4
    scores = json.loads((clone / "metrics/merged_shards.json").read_text())["relevance"]
    for folder, library in (("adapter", "peft"), ("whole", "transformers")):
        card = (tmp_path / folder / "README.md").read_text()
        head = yaml.safe_load(card.split("---")[1])
        assert head == {"library_name": library, "license": "Apache-2.0", "tags": ["ecomtune", "relevance"]}
        assert f"| macro_f1 | {scores['macro_f1']:.4f} | 95%: " in card
        assert "merged by method cat from models/adapters/shards/relevance (weights: 1 0.5, 2 0.5)" in card
        assert "demo_shop (generated by this project)" in card
        assert f'base = "{"." if folder == "whole" else "REPOSITORY/models/pretrained/pico"}"' in card


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--system", "floor", "--task", "relevance"],
            "systems of params.yaml have no 'floor' with an adapter to export; name one of: merged_shards",
        ),
        (["--system", "none"], "systems of params.yaml have no 'none' with an adapter to export; name one of: merged_shards"),
        (
            ["--system", "merged_shards", "--task", "ner"],
            "system merged_shards doesn't answer 'ner'; name one of its tasks: relevance",
        ),
    ],
)
def test_a_system_or_task_without_an_adapter_is_not_exported(
    clone: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = run(clone, "ecomtune", "export", *arguments, "--out", str(tmp_path / "out"))
    assert done.returncode == 1 and done.stderr.startswith(f"error: {message}") and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("folder", "folder exists and isn't empty; name another folder with --out"),
        ("file", "file is a file; name a folder with --out that is empty or doesn't exist yet"),
        ("file/inside", "file is a file; name a folder with --out that is empty or doesn't exist yet"),
        ("new/../folder", "folder exists and isn't empty; name another folder with --out"),
    ],
)
def test_nothing_is_exported_over_an_existing_file(clone: Path, tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    done = run(clone, "ecomtune", "export", "--system", "merged_shards", "--task", "relevance", "--out", str(tmp_path / name))
    assert done.returncode == 1 and done.stderr == f"error: {tmp_path}/{message}\n"
    assert (tmp_path / "folder" / "mine").read_text() == (tmp_path / "file").read_text() == "mine"


def test_an_adapter_that_was_not_trained_here_is_not_exported(clone: Path, tmp_path: Path) -> None:
    adapter = clone / "models/adapters/merged/relevance_shards"
    adapter.rename(tmp_path / "away")
    try:
        done = run(
            clone, "ecomtune", "export", "--system", "merged_shards", "--task", "relevance", "--out", str(tmp_path / "out")
        )
    finally:
        (tmp_path / "away").rename(adapter)
    assert done.returncode == 1 and "models/adapters/merged/relevance_shards is missing; run dvc repro" in done.stderr


def test_nothing_is_exported_where_the_lock_is_broken(clone: Path, tmp_path: Path) -> None:
    lock = clone / "dvc.lock"
    whole = lock.read_text()
    lock.write_text("[]\n")
    try:
        done = run(
            clone, "ecomtune", "export", "--system", "merged_shards", "--task", "relevance", "--out", str(tmp_path / "out")
        )
    finally:
        lock.write_text(whole)
    assert done.returncode == 1 and "dvc.lock doesn't hold stages" in done.stderr and not (tmp_path / "out").exists()


def test_the_plots_of_two_commits_are_shown_side_by_side(clone: Path) -> None:
    shown = run(clone, "dvc", "plots", "show")
    assert shown.returncode == 0 and "failed" not in shown.stderr, shown.stderr  # though no curve is drawn yet
    drawn = (clone / "dvc_plots/index.html").read_text()
    tables = [f"plots/compare/confusion/relevance/{system}.csv" for system in ("floor", "merged_shards")]
    pictures = [f"plots/compare/{name}.png" for name in ("costs", "losses", "merges", "similarity", "systems")]
    assert all(name in drawn for name in [*tables, *pictures]) and drawn.count("vegaEmbed(") == len(tables)
    edit(clone, "bootstrap: 100", "bootstrap: 170")
    try:
        assert run(clone, "dvc", "repro").returncode == 0
        commit(clone, "Draw more resamples")
        done = run(clone, "dvc", "plots", "diff", "HEAD~1", "HEAD", "--json")
        found = json.loads(done.stdout)
        assert sorted(found) == ["data"], found
        revisions = {name: {each for plot in plots for each in plot["revisions"]} for name, plots in found["data"].items()}
        assert sorted(revisions) == [*tables, *pictures] and set(map(len, revisions.values())) == {2}
    finally:
        run(clone, "git", "reset", "-q", "--hard", "HEAD~1")
        run(clone, "dvc", "checkout", "-q")
        shutil.rmtree(clone / "dvc_plots", ignore_errors=True)
    assert run(clone, "git", "status", "--porcelain").stdout == ""


def test_the_page_of_a_run_has_every_system_and_test_row_and_is_held_by_dvc(clone: Path) -> None:
    page = (clone / "reports/index.html").read_text()
    (data,) = re.findall(r'type="application/json">(.*?)</script>', page, re.DOTALL)
    (task,) = json.loads(data)["tasks"]
    scores = json.loads((clone / "metrics/floor.json").read_text())["relevance"]
    assert task["cells"]["floor"]["value"] == scores["macro_f1"] and set(task["cells"]) == {"floor", "merged_shards"}
    examples = [json.loads(line) for line in (clone / "data/examples/relevance/test.jsonl").read_text().splitlines()]
    assert [row["fields"] for row in task["rows"]] == [example["fields"] for example in examples]
    outs = yaml.safe_load((clone / "dvc.lock").read_text())["stages"]["compare"]["outs"]
    assert "reports/index.html" in [out["path"] for out in outs]


@pytest.mark.parametrize("system", ["floor", "merged_shards"])
def test_a_trained_system_answers_own_inputs_as_it_answered_the_test_rows(clone: Path, tmp_path: Path, system: str) -> None:
    examples, predictions = (  # in another order, so that no answer is one that is remembered
        [json.loads(line) for line in (clone / f"data/{file}").read_text().splitlines()][::-1]
        for file in ("examples/relevance/test.jsonl", f"predictions/{system}/relevance.jsonl")
    )
    inputs = tmp_path / "inputs.jsonl"
    inputs.write_text("".join(f"{json.dumps(example['fields'])}\n" for example in examples))
    done = run(clone, "ecomtune", "predict", "--task", "relevance", "--system", system, "--file", str(inputs))
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {**example["fields"], **{name: prediction[name] for name in ("answer", "parsed", "valid")}}
        for example, prediction in zip(examples, predictions, strict=True)
    ]
    assert run(clone, "git", "status", "--porcelain").stdout == ""


def test_an_adapter_whose_weights_are_cut_is_not_exported(clone: Path, tmp_path: Path) -> None:
    weights = clone / "models/adapters/merged/relevance_shards/adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.unlink()  # it may be a link into DVC's cache
    weights.write_bytes(whole[:1000])
    try:
        done = run(
            clone, "ecomtune", "export", "--system", "merged_shards", "--task", "relevance", "--out", str(tmp_path / "out")
        )
    finally:
        weights.write_bytes(whole)
    assert done.returncode == 1 and "models/adapters/merged/relevance_shards is missing or broken" in done.stderr
    assert done.stderr.count("\n") == 1 and not (tmp_path / "out").exists()

"""A run is published only if params, code and results belong together; in a small repository with real git and DVC."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from ecomtune.cli.app import app
from ecomtune.core.files import sha256_file
from tests.support.scratch_clone import REPOSITORY
from tests.support.summaries import summary_json
from tests.support.toy_project import commit, copy_project, make_toy_project, run

#: The real first stage, and stages with the real names that copy metrics.
STAGES = """
stages:
  download:
    foreach: ${datasets}
    do:
      cmd: python -m ecomtune.stages.download ${key}
      params: ["datasets.${key}"]
      outs: ["data/raw/${key}"]
  score:
    foreach: ${systems}
    do:
      cmd: cp src/${key}.json metrics/${key}.json
      deps: ["src/${key}.json"]
      params: [score]
      metrics:
        - metrics/${key}.json: {cache: false}
  compare:
    cmd: mkdir -p reports && cp src/summary.json reports/summary.json
    deps: [metrics, src/summary.json]
    params: [systems]
    outs: [reports/summary.json]
"""
PAIR = {"first": "floor", "second": "single", "difference": 0.1, "ci": [0.05, 0.15], "p": 0.01, "p_holm": 0.02}
SCORES = {"relevance": {"macro_f1": 0.5, "macro_f1_ci": [0.4, 0.6], "n": 12, "groups": 3, "invalid": 1}}
MERGED = "  merged_shards: {kind: adapter, reads: models/adapters/merged/relevance_shards, tasks: [relevance]}\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a committed run of profile ``wide``; ``narrow`` has a system less, ``sure`` wider intervals."""
    wide = (REPOSITORY / "profiles/pico.yaml").read_text()
    assert MERGED in wide and "confidence: 0.95" in wide
    files = {
        "params.yaml": wide,
        "dvc.yaml": STAGES,
        "profiles/wide.yaml": wide,
        "profiles/narrow.yaml": wide.replace(MERGED, ""),
        "profiles/sure.yaml": wide.replace("confidence: 0.95", "confidence: 0.999"),
        "src/merged_shards.json": json.dumps(SCORES),
        "src/floor.json": json.dumps(SCORES),
        "src/summary.json": json.dumps(summary_json({"relevance": [PAIR]})),
    }
    return make_toy_project(tmp_path_factory.mktemp("made"), files)


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that repository as the current folder."""
    folder = copy_project(made, tmp_path / "project")
    monkeypatch.chdir(folder)
    return folder


def ecomtune(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def refusal(name: str) -> str:
    """The one sentence with which publishing is refused; no file is changed."""
    before = files()
    done = ecomtune("publish", name)
    assert done.exit_code == 1 and done.stdout == "" and files() == before
    (line,) = done.stderr.splitlines()
    return line


def files() -> dict[str, bytes]:
    """All files in the current folder but those of git, DVC and scratch."""
    own = {".git", ".dvc", ".scratch"}
    return {str(file): file.read_bytes() for file in Path().rglob("*") if file.is_file() and file.parts[0] not in own}


def switch(name: str) -> None:
    """Take a profile and run it."""
    assert ecomtune("profile", name).exit_code == 0
    run(Path(), "dvc repro -q")


def page(name: str) -> str:
    """The page of a profile, published now."""
    done = ecomtune("publish", name)
    assert done.stdout == f"results/{name}\n", done.output
    return Path(f"results/{name}/README.md").read_text()


def test_a_fresh_run_is_published_with_its_params_lock_metrics_and_commit(project: Path) -> None:
    text = page("wide")
    assert f"Code: commit {run(project, 'git rev-parse --short HEAD').strip()}. Command: `ecomtune profile wide " in text
    assert "| floor | 0.500 (0.400–0.600), n 12, invalid 1 |" in text
    assert "- relevance: floor is significantly better than single (+0.100, 0.050 to 0.150, p 0.0200)\n" in text
    assert "interval excludes 0 may therefore not be significant.\n" in text
    assert "**Made-up data:** a generator wrote the rows of relevance (demo_shop)" in text
    assert "Warning: relevance: too few groups (3, of at least 10) for its intervals and p-values to be reliable; " in text
    answers = (project / "results/wide/ANSWERS.md").read_text()
    assert "[ANSWERS.md](ANSWERS.md)" in text and answers.startswith(
        "# Answers to the study's six questions\n\n**Made-up data:**"
    )
    assert answers.count("\n## ") == 7 and "Within one task: not measured (" in answers
    assert (project / "results/wide/summary.json").read_bytes() == (project / "reports/summary.json").read_bytes()
    assert "](systems.png)\n" in text and (project / "results/wide/systems.png").read_bytes().startswith(b"\x89PNG")
    for name in ("params.yaml", "metrics/floor.json", "metrics/merged_shards.json"):
        assert (project / "results/wide" / name).read_bytes() == (project / name).read_bytes()
    published, lock = (yaml.safe_load((project / name).read_text()) for name in ("results/wide/dvc.lock", "dvc.lock"))
    assert published == lock


def test_a_run_is_published_again_over_its_committed_pages(project: Path) -> None:
    page("wide")
    commit(project, "Add the files")
    (project / "results/wide/README.md").write_text("edited\n")
    assert page("wide").startswith("# Run `wide`")


@pytest.mark.parametrize(("name", "profile"), [("", ".yaml"), ("../src", "../src.yaml"), ("a/b", "a/b.yaml"), (".", "..yaml")])
def test_a_name_that_leads_out_of_results_is_refused(project: Path, name: str, profile: str) -> None:
    file = project / "profiles" / profile
    file.parent.mkdir(exist_ok=True)
    shutil.copy("params.yaml", file)
    commit(project, "Add the files")
    problem = f"there is no profile {name!r}" if name else "no profile is named"
    assert f"{problem}; name one of: " in refusal(name)


def test_a_name_without_a_profile_is_refused(project: Path) -> None:
    assert refusal("wider") == "error: there is no profile 'wider'; name one of: narrow, sure, wide"


def test_a_profile_that_differs_from_params_is_refused(project: Path) -> None:
    expected = "error: params.yaml differs from profiles/narrow.yaml; run ecomtune profile narrow, then dvc repro"
    assert refusal("narrow") == expected


@pytest.mark.parametrize(("name", "stage"), [("narrow", "compare"), ("sure", "score@merged_shards")])
def test_a_profile_that_was_not_run_is_refused(project: Path, name: str, stage: str) -> None:
    assert ecomtune("profile", name).exit_code == 0
    line = refusal(name)
    assert line.startswith(f"error: there is no fresh run of profiles/{name}.yaml here, run dvc repro before publishing: ")
    assert f"stage {stage} would run" in line


def test_edited_metrics_are_refused(project: Path) -> None:
    (project / "metrics/floor.json").write_text(json.dumps(SCORES).replace("0.5", "0.9"))
    assert "metrics/floor.json differs from its hash in dvc.lock" in refusal("wide")


@pytest.mark.parametrize("file", [".gitignore", "src/new.py", "profiles/wide.yaml"], ids=["changed", "new code", "new profile"])
def test_code_or_a_profile_that_the_named_commit_lacks_is_refused(project: Path, file: str) -> None:
    if file == "profiles/wide.yaml":
        run(project, f"git rm -q --cached {file}", "git commit -qm Forget")
    else:
        with (project / file).open("a") as text:
            text.write("# more\n")
    line = refusal("wide")
    assert line.startswith(f"error: {file} differs from commit ") and line.endswith("; commit it before publishing")


def test_without_a_git_repository_publishing_is_refused(project: Path) -> None:
    shutil.rmtree(project / ".git")
    assert refusal("wide").startswith("error: publish records a commit, and this folder has none; run it in a clone")


def test_a_run_is_published_without_the_stages_of_another_profiles_run(project: Path) -> None:
    switch("narrow")
    assert "score@merged_shards" in yaml.safe_load((project / "dvc.lock").read_text())["stages"]
    assert "merged_shards" not in page("narrow")
    published = yaml.safe_load((project / "results/narrow/dvc.lock").read_text())
    assert set(published["stages"]) == {"download@demo_shop", "score@floor", "compare"}
    assert [file.name for file in (project / "results/narrow/metrics").iterdir()] == ["floor.json"]


def test_deleted_metrics_of_another_profile_do_not_matter(project: Path) -> None:
    (project / "metrics/merged_shards.json").unlink()
    switch("narrow")
    assert page("narrow").startswith("# Run `narrow`")


def log(project: Path, stage: str, seconds: float, **more: str) -> None:
    """Add a time of this params.yaml to the log."""
    entry = {"params": sha256_file(project / "params.yaml"), "seconds": seconds, "stage": stage, **more}
    with (project / ".scratch/times.jsonl").open("a") as times:
        times.write(json.dumps(entry) + "\n")


def test_the_time_is_the_sum_of_the_stages_last_runs_here(project: Path) -> None:
    for stage, seconds in (("score@floor", 999.0), ("score@floor", 61.0), ("compare", 120.0), ("score@gone", 999.0)):
        log(project, stage, seconds)
    text = page("wide")
    assert re.search(r"Time: 18\d seconds in 3 stages on ", text) and "| score@floor | 61 | – |\n" in text
    assert "score@gone" not in text


def test_the_page_says_what_the_last_digits_depend_on(project: Path) -> None:
    assert re.search(r" cores \(\w+, \w+; torch's threads and BLAS were not logged\)\.", page("wide"))
    log(project, "score@floor", 1.0, arithmetic="3 threads and BLAS mkl")
    assert re.search(r" cores \(\w+, \w+; torch with 3 threads and BLAS mkl\)\.", page("wide"))
    log(project, "compare", 1.0, arithmetic="1 thread and BLAS open")
    assert re.search(r"; torch with 1 thread and BLAS open, 3 threads and BLAS mkl\)\.", page("wide"))


def test_a_stage_without_a_time_is_not_timed_and_left_out_of_the_sum(project: Path) -> None:
    text = page("wide")
    assert re.search(r"^\| download@demo_shop \| \d+ \| [\d,]+ \|$", text, re.MULTILINE)  # a real stage wrote it
    assert "| score@floor | not timed | – |\n" in text
    assert re.search(r"Time: \d seconds in 1 stages on ", text) and " Not included: 3 stages " in text


def test_times_of_another_profiles_run_do_not_count(project: Path) -> None:
    switch("narrow")
    text = page("narrow")
    assert "| download@demo_shop | not timed | – |\n" in text and "Time: 0 seconds in 0 stages on " in text


def test_a_truncated_log_of_times_is_refused_in_one_sentence(project: Path) -> None:
    (project / ".scratch/times.jsonl").write_text('{"params": "1", "sec\n')
    assert "line 1 of .scratch/times.jsonl is not a stage's time; remove it" in refusal("wide")
    (project / ".scratch/times.jsonl").write_bytes(b"\xff\n")
    assert "line 1 of .scratch/times.jsonl is not a stage's time; remove it" in refusal("wide")


def test_page_and_table_name_the_intervals_by_the_confidence_of_params(project: Path) -> None:
    assert "Values with their 95% interval " in page("wide")
    switch("sure")
    assert "Values with their 99.9% interval " in page("sure")
    assert "Main metric and 99.9% interval" in " ".join(ecomtune("table").stdout.split())


BROKEN_LOCKS = {
    "conflict": "<<<<<<< HEAD\nschema: '2.0'\n=======\nschema: '2.0'\n>>>>>>> other\nstages: {}\n",
    "no stages": "schema: '2.0'\n",
    "empty": "",
    "stages of another shape": "stages: {compare: [1]}\n",
    "an out without hash": "stages: {score@floor: {outs: [{path: metrics/floor.json}]}}\n",
}


@pytest.mark.parametrize("text", BROKEN_LOCKS.values(), ids=BROKEN_LOCKS.keys())
def test_a_broken_lock_is_refused_in_one_sentence_by_fresh_and_publish(project: Path, text: str) -> None:
    (project / "dvc.lock").write_text(text)
    fresh = ecomtune("fresh")
    (line,) = fresh.stderr.splitlines()
    assert fresh.exit_code == 1 and line.startswith("error: dvc.lock ")
    assert line.endswith("; restore it (git checkout HEAD -- dvc.lock), then run dvc repro")
    assert line.removeprefix("error: ") in refusal("wide")


def test_the_table_says_that_another_profiles_numbers_are_stale(project: Path) -> None:
    before = ecomtune("table").stdout
    assert "stale" not in before and "floating-point operations" in before
    assert before.count("relevance: too few groups (3, of at least 10) for its intervals") == 1
    assert ecomtune("profile", "sure").exit_code == 0
    done = ecomtune("table")
    assert done.exit_code == 0
    first, second, *_ = done.stdout.splitlines()
    assert first.startswith("these numbers are stale: dvc.lock is stale (stage score@")
    cause = "of dvc.lock ran with score.confidence 0.95, and params.yaml has 0.999"
    assert second.startswith("these numbers are stale: stage score@") and second.endswith(cause)


def test_the_table_is_not_stale_for_what_another_profile_left_behind(project: Path) -> None:
    switch("narrow")
    shown = ecomtune("table").stdout
    line = "ignored metrics files that belong to no system in params.yaml; remove them with: rm metrics/merged_shards.json"
    assert shown.splitlines()[-1] == line
    assert "dvc.lock still holds stage score@merged_shards" in ecomtune("fresh").stderr
    with Path("dvc.lock").open("a") as lock:
        lock.write("  1:\n    cmd: x\n")  # to YAML a number
    assert "dvc.lock still holds stage 1 and " in ecomtune("fresh").stderr


@pytest.mark.parametrize("content", [b'{"pairs": {}}', None])
def test_a_summary_of_another_run_is_not_published(project: Path, content: bytes | None) -> None:
    summary = project / "reports/summary.json"
    summary.unlink()
    if content is not None:
        summary.write_bytes(content)
    done = ecomtune("publish", "wide")
    assert done.exit_code == 1 and not (project / "results").exists()
    problem = "is missing" if content is None else "is not that of the run in dvc.lock"
    assert done.stderr == f"error: reports/summary.json {problem}; run dvc checkout compare, or dvc repro\n"

"""Answers to the study's questions: the role of each system, what is significant, what isn't, and what wasn't measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from ecomtune.checks.parameters import load_params
from ecomtune.cli.app import app
from ecomtune.core.config import Baseline, Endpoint, System
from ecomtune.core.config.params import Params
from ecomtune.metrics.paired import Pair
from ecomtune.report.summary import AdapterSimilarity, Similarity
from ecomtune.runs import questions
from ecomtune.runs.curve import Curve
from ecomtune.runs.questions import Finding
from ecomtune.runs.roles import adapters_of, role_of
from ecomtune.runs.study import Study
from ecomtune.runs.winners import winners
from tests.support.scratch_clone import REPOSITORY
from tests.support.summaries import cell, scores, summary, summary_json
from tests.support.toy_project import make_toy_project, run

#: New names for the demo's systems, which say nothing about their roles.
NAMES = {
    "zero_shot": "ada",
    "few_shot": "bob",
    "single": "cyd",
    "mixed": "dot",
    "merged_tasks": "eve",
    "merged_shards": "fay",
    "encoder": "gus",
    "seq2seq": "hal",
    "floor": "ivy",
}
#: Of a pair of systems: the difference, its interval, and p corrected by Holm.
Difference = tuple[float, float, float, float]
BETTER: Difference = (0.1, 0.05, 0.15, 0.01)
LEVEL: Difference = (0.02, -0.01, 0.05, 0.3)


def renamed(profile: str = "demo", names: Mapping[str, str] = NAMES) -> Params:
    """A profile with its systems renamed."""
    params = load_params(REPOSITORY / "profiles" / f"{profile}.yaml")
    return params.model_copy(update={"systems": {names.get(name, name): each for name, each in params.systems.items()}})


def study(
    pairs: Mapping[tuple[str, str, str], Difference] | None = None,
    params: Params | None = None,
    curves: dict[str, dict[str, Curve]] | None = None,
    **more: Any,
) -> Study:
    """A run in which all systems were scored; ``pairs`` by task, better and worse system."""
    params = params or renamed()
    found: dict[str, list[Pair]] = {task: [] for task in params.tasks}
    for (task, first, second), (difference, low, high, p) in (pairs or {}).items():
        found[task].append(Pair(first, second, difference, (low, high), p / 2, p))
    systems = {name: dict.fromkeys(system.tasks, cell()) for name, system in params.systems.items()}
    own = scores(systems, tuple(params.tasks), more.pop("confidence", 0.95))
    return Study(params, summary(own, pairs=found, **more), curves or {})


def without(params: Params, *systems: str) -> Params:
    return params.model_copy(update={"systems": {n: each for n, each in params.systems.items() if n not in systems}})


@pytest.mark.parametrize(
    ("system", "task", "role"),
    [
        ("ada", "ner", "prompt"),
        ("bob", "ner", "prompt"),
        ("cyd", "relevance", "single"),
        ("dot", "relevance", "mixed"),
        ("eve", "description", "merged_between"),
        ("fay", "ner", "merged_within"),
        ("gus", "ner", "conventional"),
        ("hal", "description", "conventional"),
        ("ivy", "summarization", "floor"),
    ],
)
def test_the_role_of_a_system_follows_from_its_kind_and_what_it_reads(system: str, task: str, role: str) -> None:
    assert role_of(renamed(), system, task) == role


@pytest.mark.parametrize(
    ("kind", "reads", "task", "role"),
    [
        ("adapter", "models/adapters/shards/ner/1", "ner", "shard"),
        ("adapter", "models/adapters/single/ner", "ner", "single"),
        ("adapter", "models/adapters/single/ner", "relevance", "transfer"),
        ("adapter", "models/adapters/merged/ner_shards", "relevance", "transfer"),
        ("endpoint", "data/examples", "ner", "endpoint"),
        ("recorded", "data/examples/ner", "ner", "recorded"),
    ],
)
def test_further_roles(kind: str, reads: str, task: str, role: str) -> None:
    params = renamed()
    system = params.systems["cyd"].model_copy(update={"kind": kind, "reads": reads, "tasks": (task,)})
    assert role_of(params.model_copy(update={"systems": {"x": system}}), "x", task) == role


def test_an_adapter_with_weight_0_does_not_count_as_merged() -> None:
    params = renamed()
    weights = {"relevance": 0.0, "ner": 1.0, "summarization": 0.0, "description": 0.0}
    recipe = params.merge.recipes["tasks"].model_copy(update={"weights": weights})
    merge = params.merge.model_copy(update={"recipes": {**params.merge.recipes, "tasks": recipe}})
    changed = params.model_copy(update={"merge": merge})
    assert adapters_of(params, "eve", "ner") == ["relevance", "ner", "summarization", "description"]
    assert adapters_of(changed, "eve", "ner") == ["ner"] and role_of(changed, "eve", "ner") == "single"


def points(**values: float) -> Curve:
    """A learning curve: by training rows, a value with an interval of 0.02 on either side."""
    return {int(at[1:]): {"value": value, "ci": [value - 0.02, value + 0.02], "n": 48} for at, value in values.items()}


def test_question_1_names_the_best_size_and_the_smallest_whose_interval_reaches_it() -> None:
    curves = {
        "ner": {"cyd": points(_50=0.3, _100=0.49, _200=0.5), "gus": points(_50=0.1, _200=0.9)},
        "relevance": {"cyd": points(_50=0.3, _160=0.6, _400=0.4)},
    }
    answer = questions.samples(study(curves=curves))
    assert answer.reading == (
        "relevance: trained on 50, 160, 400 rows, cyd scores highest with 160. "
        "ner: trained on 50, 100, 200 rows, cyd scores highest with 200, the largest size that was run, so more rows may help; "
        "its interval with 100 already reaches that value. "
        "The sizes are not tested against each other. "
        "Not measured on summarization, description (only one size was run; run another with: dvc exp run -S "
        "tasks.summarization.train_size=100)."
    )
    assert ("ner", "cyd", "100", "0.490 (0.470–0.510)", "48") in answer.rows and len(answer.rows) == 6


def test_question_1_is_not_measured_if_one_size_was_run_or_nothing_was_tuned() -> None:
    answer = questions.samples(study())
    assert answer.reading.startswith("Not measured on relevance, ner, summarization, description (only one size was run; ")
    assert answer.rows == [] and "tested" not in answer.reading
    none = questions.samples(study(params=without(renamed(), "cyd", "dot")))
    assert none.reading == "Not measured (no system is an LLM tuned on a task)."


def row_of(answer: Finding, task: str) -> tuple[str, ...]:
    (row,) = [row for row in answer.rows if row[0].startswith(f"{task}:")]
    return row


def test_question_2_distinguishes_better_worse_and_neither() -> None:
    answer = questions.conventional(
        study({("relevance", "cyd", "gus"): BETTER, ("ner", "gus", "cyd"): BETTER, ("description", "hal", "cyd"): LEVEL})
    )
    assert answer.reading == (
        "cyd is significantly better than gus on relevance; cyd is significantly worse than gus on ner; "
        "cyd is not significantly different from hal on description. Only quality is compared here, not cost."
    )
    value = "0.500 (0.400–0.600)"
    assert row_of(answer, "relevance") == (
        "relevance: f1",
        "48 (11)",
        f"cyd {value}",
        f"gus {value}",
        "+0.100 (+0.050 to +0.150)",
        "0.0100",
    )
    assert row_of(answer, "ner")[4:] == ("-0.100 (-0.150 to -0.050)", "0.0100")
    assert row_of(answer, "description")[4:] == ("-0.020 (-0.050 to +0.010)", "0.3000")


@pytest.mark.parametrize(("p", "verdict"), [(0.0499, "significantly better than"), (0.05, "not significantly different from")])
def test_what_is_significant_follows_from_the_corrected_p(p: float, verdict: str) -> None:
    answer = questions.conventional(study({("ner", "cyd", "gus"): (0.1, 0.05, 0.15, p)}))
    assert answer.reading.startswith(f"cyd is {verdict} gus on ner.")


def test_the_level_follows_from_the_confidence() -> None:
    answer = questions.conventional(study({("ner", "cyd", "gus"): BETTER}, confidence=0.995))
    assert answer.reading.startswith("cyd is not significantly different from gus on ner.")


def test_question_2_takes_the_mixed_adapter_if_there_is_no_single_one() -> None:
    pairs = {("ner", "dot", "gus"): BETTER, ("ner", "cyd", "gus"): LEVEL}
    assert "dot" not in questions.conventional(study(pairs)).reading
    answer = questions.conventional(study(pairs, without(renamed(), "cyd")))
    assert answer.reading.startswith("dot is significantly better than gus on ner.")


def with_causal_baselines() -> Params:
    """The demo with two other baselines: all weights of its LLM (jay) and of another causal model (kim) are trained."""
    params = without(renamed(), "gus", "hal", "ivy")
    trained = {"family": "causal", "task": "ner"}
    baselines = {
        model: Baseline.model_validate({**trained, "out": f"causal_{model}/ner", "model": model})
        for model in ("smollm2", "gpt2")
    }
    systems = {
        name: System.model_validate({"kind": "baseline", "reads": f"models/baselines/causal_{model}", "tasks": ["ner"]})
        for name, model in (("jay", "smollm2"), ("kim", "gpt2"))
    }
    return params.model_copy(update={"baselines": baselines, "systems": {**params.systems, **systems}})


def test_question_2_counts_causal_baselines_as_conventional_and_names_the_llm_itself() -> None:
    params = with_causal_baselines()
    assert [role_of(params, name, "ner") for name in ("jay", "kim")] == ["conventional", "conventional"]
    answer = questions.conventional(study({("ner", "jay", "cyd"): LEVEL, ("ner", "cyd", "kim"): BETTER}, params))
    assert answer.reading == (
        "cyd is not significantly different from jay on ner; cyd is significantly better than kim on ner. "
        "In jay all weights of the same LLM are trained. Only quality is compared here, not cost."
    )


def test_question_3_counts_a_causal_baseline_among_the_fine_tuned_models() -> None:
    params = without(with_causal_baselines(), "cyd", "dot")
    answer = questions.prompting(study({("ner", "kim", "bob"): BETTER}, params))
    assert "bob is significantly worse than kim on ner" in answer.reading


def test_question_2_is_not_measured_without_a_baseline() -> None:
    answer = questions.conventional(study(params=without(renamed(), "gus", "hal", "ivy")))
    assert answer.reading == "not measured (no task has both a tuned LLM and a baseline)." and answer.rows == []


def test_question_3_is_not_measured_by_prompting_a_local_model() -> None:
    answer = questions.prompting(study({("ner", "cyd", "bob"): BETTER, ("ner", "gus", "bob"): LEVEL}))
    assert answer.reading == (
        "A very large LLM: not measured (no system prompts one behind an endpoint on a task with a fine-tuned model). "
        "Models run locally (bob: smollm2, 3 shots, fixed): bob is significantly worse than cyd on ner; "
        "bob is not significantly different from gus on ner."
    )
    assert len(answer.rows) == 2


def test_question_3_compares_an_endpoint_with_fine_tuned_models() -> None:
    params = renamed()
    behind = {"kind": "endpoint", "reads": "data/examples", "endpoint": Endpoint(model="large-1")}
    asked = params.systems["bob"].model_copy(update=behind)
    params = without(params.model_copy(update={"systems": {**params.systems, "jay": asked}}), "ada", "bob")
    answer = questions.prompting(study({("ner", "jay", "cyd"): LEVEL, ("ner", "jay", "gus"): BETTER}, params))
    assert answer.reading == (
        "Models behind an endpoint (jay: large-1, 3 shots, fixed; only their names hint at their size): "
        "jay is not significantly different from cyd on ner; jay is significantly better than gus on ner."
    )


def test_question_4_says_how_else_the_training_differs() -> None:
    answer = questions.mixing(study({("relevance", "cyd", "dot"): BETTER, ("description", "dot", "cyd"): LEVEL}))
    assert answer.reading == (
        "dot is significantly worse than cyd on relevance; dot is not significantly different from cyd on description. "
        "Their training differs not only in the mix: dot and cyd on relevance (rows 120 against 160, epochs 1 against 2); "
        "dot and cyd on description (rows 40 against 80)."
    )
    assert row_of(answer, "relevance")[4] == "-0.100 (-0.150 to -0.050)"


def test_question_4_is_not_measured_without_a_mixed_adapter() -> None:
    answer = questions.mixing(study(params=without(renamed(), "dot")))
    assert answer.reading == "not measured (no task has both a single-task and a mixed-task system)."


def test_question_5_separates_merges_within_a_task_and_between_tasks() -> None:
    answer = questions.merging(
        study({("ner", "cyd", "fay"): LEVEL, ("ner", "cyd", "eve"): BETTER, ("ner", "dot", "eve"): BETTER})
    )
    assert answer.reading == (
        "Within one task: fay is not significantly different from cyd on ner. "
        "Between tasks: eve is significantly worse than cyd on ner; eve is significantly worse than dot on ner."
    )


def test_question_5_is_not_measured_without_merges() -> None:
    answer = questions.merging(study(params=without(renamed(), "eve", "fay")))
    assert answer.reading == (
        "Within one task: not measured (no task has both a merge of adapters of its own and one such adapter). "
        "Between tasks: not measured (no task has both a merge across tasks and a single-task or mixed-task system)."
    )


def similar(**cosines: float) -> Similarity:
    """The summary's similarity of single-task adapters, and some more, by the first letters of their tasks."""
    names = {task[0]: f"single/{task}" for task in ("relevance", "ner", "summarization", "description")}
    pairs = [
        AdapterSimilarity(names[first], names[second], cosine, columns=0.2, rows=0.3)
        for (first, second), cosine in cosines.items()
    ]
    others = [
        AdapterSimilarity("single/ner", "mixed", 0.99, 0.9, 0.9),
        AdapterSimilarity("single/ner", "shards/ner/1", 0.99, 0.9, 0.9),
        AdapterSimilarity("shards/ner/1", "shards/ner/2", 0.99, 0.9, 0.9),
    ]
    return Similarity(adapters=[], pairs=[*pairs, *others])


def test_question_6_compares_single_task_adapters_even_if_transfer_is_not_measured() -> None:
    answer = questions.similarity(
        study(similarity=similar(rn=0.1, rs=0.3, ns=-0.2), transfer={"single/ner": {"relevance": 0.1}})
    )
    assert answer.reading == (
        "Cosine of ΔW, the most similar tasks first: relevance and summarization (+0.300), relevance and ner (+0.100), "
        "ner and summarization (-0.200). "
        "Whether tasks with similar adapters help each other: not measured (this needs 3 pairs of tasks whose adapters answer "
        "each other's task, and zero-shot on these tasks; 0 pairs have that)."
    )
    assert answer.rows[0] == ("relevance and ner", "0.100", "0.200", "0.300", "not measured", "+0.100")


@pytest.mark.parametrize(("gains", "correlation"), [((0.3, 0.2, 0.1), "-1.00"), ((0.1, 0.3, 0.2), "+0.50")])
def test_question_6_correlates_similarity_and_transfer(gains: tuple[float, float, float], correlation: str) -> None:
    by_pair = dict(zip((("relevance", "ner"), ("relevance", "summarization"), ("ner", "summarization")), gains, strict=True))
    transfer: dict[str, dict[str, float | None]] = {}
    for (first, second), gain in by_pair.items():
        transfer.setdefault(f"single/{first}", {})[second] = gain
        transfer.setdefault(f"single/{second}", {})[first] = 0.0
    answer = questions.similarity(study(similarity=similar(rn=0.1, rs=0.2, ns=0.3), transfer=transfer))
    assert answer.reading.endswith(
        f"Whether tasks with similar adapters help each other: the rank correlation is {correlation} over 3 pairs; it can't be "
        "tested, because the pairs share tasks."
    )


def test_question_6_is_not_measured_without_adapters_of_two_tasks() -> None:
    for more in ({}, {"similarity": similar()}):
        answer = questions.similarity(study(**more))
        assert answer.reading == "Not measured (the summary has no adapters of two different tasks to compare)."
        assert answer.rows == []


def best(values: Mapping[str, float], pairs: Mapping[tuple[str, str, str], Difference] | None = None) -> dict[str, str]:
    """The line about each task's best system, by task, if systems have these values of ner."""
    found = study(pairs)
    for name, cells in found.summary.systems.items():
        if "ner" in cells:
            cells["ner"] = cell(value=values.get(name, 0.1))
    return dict(line.split(": ", 1) for line in winners(found))


def test_the_best_system_is_named_with_those_that_it_is_not_significantly_better_than() -> None:
    pairs = {("ner", "gus", name): BETTER for name in study().summary.systems if name != "gus"}
    assert best({"gus": 0.9}, pairs)["ner"] == "gus, f1 0.900 (0.400–0.600); significantly better than every other system"
    level = best({"gus": 0.9}, {**pairs, ("ner", "gus", "cyd"): LEVEL, ("ner", "gus", "dot"): LEVEL})["ner"]
    assert level.endswith("; not significantly different from cyd, dot; significantly better than the others")
    del pairs["ner", "gus", "cyd"]
    assert "; not compared with cyd; significantly better than the others" in best({"gus": 0.9}, pairs)["ner"]
    assert best({})["ner"].startswith("ada, ")  # of equal ones the first
    assert list(best({})) == ["relevance", "ner", "summarization", "description"]


def test_recorded_answers_are_never_the_best_system_but_compared_with_it() -> None:
    params = without(renamed("queryner"), "gus")
    worse = (-0.1, -0.15, -0.05, 0.01)
    pairs = {("ner", "cyd", "annotator_1"): worse, ("ner", "cyd", "annotator_2"): LEVEL, ("ner", "cyd", "annotator_3"): BETTER}
    (line,) = winners(study(pairs, params=params))
    verdicts = "significantly worse than annotator_1; not significantly different from annotator_2"
    assert line == f"ner: cyd, f1 0.500 (0.400–0.600); {verdicts}; significantly better than the others"
    alone = without(params, "annotator_1", "annotator_2", "annotator_3")
    assert winners(study(params=alone)) == ["ner: cyd, f1 0.500 (0.400–0.600); no other system answers it"]
    assert winners(study(params=without(params, "cyd"))) == []  # only recorded answers


def test_the_page_has_six_questions_and_says_that_the_demo_is_made_up() -> None:
    page = questions.page(study({("ner", "cyd", "gus"): LEVEL}))
    assert [line[3] for line in page.splitlines() if line.startswith("## ")] == [*"123456", "T"]
    warning = "**Made-up data:** a generator wrote the rows of relevance (demo_shop), ner (demo_shop), "
    assert page.splitlines()[2].startswith(warning) and page.splitlines()[2].endswith("they say nothing about real shops.")
    assert "p is below 0.05" in page and "with 95% intervals" in page and "with seed 7;" in page
    assert (
        "| ner: f1 | 48 (11) | cyd 0.500 (0.400–0.600) | gus 0.500 (0.400–0.600) | +0.020 (-0.010 to +0.050) | 0.3000 |" in page
    )


def test_a_page_of_published_data_does_not_mention_made_up_rows() -> None:
    page = questions.page(study(params=renamed("real")))
    assert "made-up" not in page.lower() and page.splitlines()[2].startswith("All values are those of the test rows")
    assert "corrected by Holm for all pairs" in page
    assert "The intervals, those of differences included, are not corrected for their number." in page


#: Stages with the real names: the scores of single grow with the training size, the others' are constant.
STAGES = """
stages:
  score:
    foreach: ${systems}
    do:
      cmd: python score.py ${key}
      params: [tasks.relevance.train_size]
      metrics:
        - metrics/${key}.json: {cache: false}
  compare:
    cmd: mkdir -p reports && cp pairs.json reports/summary.json
    deps: [metrics, pairs.json]
    outs: [reports/summary.json]
"""
SCORE = """
import json, sys, yaml
size = yaml.safe_load(open("params.yaml"))["tasks"]["relevance"]["train_size"]
value = size / 1000 if sys.argv[1] == "single" else 0.1
scores = {"macro_f1": value, "macro_f1_ci": [value - 0.02, value + 0.02], "n": 12, "groups": 3, "invalid": 0}
json.dump({"relevance": scores}, open(f"metrics/{sys.argv[1]}.json", "w"))
"""
PAIR = {"first": "single", "second": "encoder", "difference": 0.06, "ci": [0.01, 0.11], "p": 0.01, "p_holm": 0.03}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed run of profile one_task with 160 training rows, and an experiment with 80."""
    values = yaml.safe_load((REPOSITORY / "profiles/one_task.yaml").read_text())
    pairs = json.dumps(summary_json({"relevance": [PAIR]}))
    files = {"params.yaml": yaml.safe_dump(values), "dvc.yaml": STAGES, "score.py": SCORE, "pairs.json": pairs}
    folder = make_toy_project(tmp_path_factory.mktemp("swept"), files)
    run(folder, "dvc exp run -q -S tasks.relevance.train_size=80", "git restore .", "dvc checkout -q")
    return folder


@pytest.fixture
def project(swept: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(swept)
    return swept


def ecomtune(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["answers", *arguments])


def test_the_command_reads_metrics_pairs_and_experiments_of_the_run(project: Path) -> None:
    page = ecomtune("--markdown").stdout
    assert page.startswith("# Answers to the study's six questions\n")
    assert "relevance: trained on 80, 160 rows, single scores highest with 160, the largest size that was run, " in page
    assert "| relevance | single | 80 | 0.080 (0.060–0.100) | 12 |" in page
    assert "single is significantly better than encoder on relevance." in page
    difference = "single 0.160 (0.140–0.180) | encoder 0.100 (0.080–0.120) | +0.060 (+0.010 to +0.110) | 0.0300 |"
    assert f"| relevance: macro_f1 | 12 (3) | {difference}" in page
    assert page == ecomtune("--markdown").stdout
    shown = " ".join(ecomtune().stdout.split())
    assert "2. Is an instruction-tuned LLM a good choice against conventional models?" in shown and "|---" not in shown
    assert "**Few groups:** relevance: too few groups (3, of at least 10) for its intervals" in page


def test_in_a_pipe_a_row_of_figures_is_one_line(project: Path) -> None:
    lines = ecomtune().stdout.splitlines()
    row = ("single 0.160 (0.140–0.180)", "encoder 0.100 (0.080–0.120)", "+0.060 (+0.010 to +0.110)", "0.0300")
    assert any(all(cell in line for cell in row) for line in lines)


def test_answers_of_changed_parameters_are_called_stale(project: Path) -> None:
    params = (project / "params.yaml").read_text()
    try:
        (project / "params.yaml").write_text(params.replace("train_size: 160", "train_size: 170"))
        assert ecomtune("--markdown").stdout.startswith("**These answers are stale:** dvc.lock is stale (stage score@")
    finally:
        (project / "params.yaml").write_text(params)


@pytest.mark.parametrize("content", [b'{"pairs": {}}', None])
def test_a_summary_of_another_run_is_refused(project: Path, content: bytes | None) -> None:
    file = project / "reports/summary.json"
    before = file.read_bytes()
    try:
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        done = ecomtune()
        problem = "is missing" if content is None else "is not that of the run in dvc.lock"
        error = f"error: reports/summary.json {problem}; run dvc checkout compare, or dvc repro\n"
        assert (done.exit_code, done.stdout, done.stderr) == (1, "", error)
    finally:
        file.unlink(missing_ok=True)
        file.write_bytes(before)


def test_without_a_run_nothing_is_answered(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_bytes((project / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    done = ecomtune()
    assert done.exit_code == 1 and done.stderr.startswith("error: reports/summary.json is missing; ")

"""A run for readers: results/NAME with the table, the hashes of the data, the command and the time it took."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from dvc.utils.serialize import dumps_yaml

from ecomtune.checks.parameters import load_params
from ecomtune.core.config.params import Params
from ecomtune.core.files import output_folder, read_yaml, sha256_file, write_text
from ecomtune.core.paths import LOCK_FILE, METRICS, PARAMS_FILE, PLOTS, REPORTS, RESULTS, SUMMARY, metrics_file
from ecomtune.messages.errors import UserError
from ecomtune.report import provenance
from ecomtune.report.pairs import interval_caveat, sentences
from ecomtune.report.plots import plot_systems
from ecomtune.report.quality_cost import HEADER, cost_remarks, cost_rows
from ecomtune.report.summary import Cell, Summary
from ecomtune.report.systems_table import few_groups_warnings
from ecomtune.runs import questions
from ecomtune.runs.comparisons import value_text
from ecomtune.runs.revisions import git
from ecomtune.runs.study import read_study
from ecomtune.stages.timing import StageTime, read_times

PICTURE = "systems.png"
#: The logged run of each stage; None if there is none.
Times = Mapping[str, StageTime | None]
#: What a run and its publication write, and what may therefore differ from the commit that the page names.
WRITTEN = (PARAMS_FILE, LOCK_FILE, METRICS, PLOTS, REPORTS, RESULTS)


def publish_run(profile: Path, stages: list[str], problems: list[str]) -> Path:
    """Write results/PROFILE: params, lock, summary and metrics of the current run, its table, its picture, and its answers to
    the study's questions.

    ``stages`` are the names of the run's stages. Raises UserError if params.yaml differs from the profile, if the code differs
    from the commit, or if the results have ``problems``.
    """
    params = load_params()
    if read_yaml(PARAMS_FILE) != read_yaml(profile):  # not by their texts: dvc reformats a file that it changes
        raise UserError(f"{PARAMS_FILE} differs from {profile}; run ecomtune profile {profile.stem}, then dvc repro")
    commit = _commit(profile)
    if problems:
        raise UserError(f"there is no fresh run of {profile} here, run dvc repro before publishing: {problems[0]}")
    lock, study = read_yaml(LOCK_FILE), read_study(params)
    lock["stages"] = {name: stage for name, stage in lock["stages"].items() if name in stages}  # without other profiles'
    target = RESULTS / profile.stem
    with output_folder(target) as folder:
        shutil.copy(PARAMS_FILE, folder)
        write_text(folder / LOCK_FILE, dumps_yaml(lock))  # as DVC writes it: strings that look like numbers stay strings
        shutil.copy(SUMMARY, folder)
        (folder / "metrics").mkdir()
        for system in params.systems:
            shutil.copy(metrics_file(system), folder / "metrics")
        plot_systems(study.summary, folder / PICTURE)
        write_text(folder / "README.md", page(profile.stem, commit, params, study.summary, _times(stages)))
        write_text(folder / "ANSWERS.md", questions.page(study))
    return target


def _commit(profile: Path) -> str:
    """HEAD, which the page names. Raises UserError if the code or the profile differs from HEAD."""
    head = git("rev-parse", "--short", "HEAD").strip()
    if not head:
        raise UserError("publish records a commit, and this folder has none; run it in a clone of the project's git repository")
    differ = [
        *git("diff", "--name-only", "HEAD", "--", ".", *(f":!{path}" for path in WRITTEN)).splitlines(),
        *git("ls-files", "--others", "--exclude-standard", "--", "src", str(profile)).splitlines(),
    ]
    if differ:
        raise UserError(f"{differ[0]} differs from commit {head}, which the page would name; commit it before publishing")
    return head


def page(name: str, commit: str, params: Params, summary: Summary, times: Times) -> str:
    """The Markdown page of a run."""
    hashes = [
        f"| {dataset} | {file.path} | {file.bytes:,} | {file.sha256} |"
        for dataset, spec in params.datasets.items()
        for file in spec.files
    ]
    sizes = [
        f"| {task} | {settings.dataset_names} | {settings.train_size} | {settings.validation_size} | {settings.test_size} |"
        for task, settings in params.tasks.items()
    ]
    return "\n".join(
        [
            f"# Run `{name}`",
            "",
            *([f"**Made-up data:** {made_up}", ""] if (made_up := provenance.made_up(params)) else []),
            f"Code: commit {commit}. Command: `ecomtune profile {name} && dvc repro`. {_total(times)}",
            "",
            *systems_markdown(summary),
            "",
            f"Values with their {summary.interval} (bootstrap over groups); all metrics are in metrics/.",
            "",
            *(f"Warning: {warning}.\n" for warning in few_groups_warnings(summary)),
            f"![Every system's main metric by task, with its interval]({PICTURE})",
            "",
            *_differences(summary),
            *_costs(summary),
            "The study's six questions, answered by this run: [ANSWERS.md](ANSWERS.md).",
            "",
            "| task | data set | train | validation | test (at most) |",
            "|---|---|---|---|---|",
            *sizes,
            "",
            "| data set | file | bytes | sha256 |",
            "|---|---|---|---|",
            *hashes,
            "",
            "| stage | seconds | peak memory, MiB |",
            "|---|---|---|",
            *(_row(stage, run) for stage, run in times.items()),
            "",
        ]
    )


def _row(stage: str, run: StageTime | None) -> str:
    seconds = "not timed" if run is None else f"{run.seconds:,.0f}"
    memory = "–" if run is None or run.memory_mib is None else f"{run.memory_mib:,}"
    return f"| {stage} | {seconds} | {memory} |"


def _differences(summary: Summary) -> list[str]:
    """The paired tests of each task's best system."""
    lines = sentences(summary.pairs, summary.confidence)
    if not lines:
        return []
    explanation = (
        "Differences on the same test rows, with their intervals, and p of a permutation test over groups (all pairs are in "
        f"summary.json). {interval_caveat(summary.confidence)}."
    )
    return [explanation, "", *(f"- {line}" for line in lines), ""]


def _costs(summary: Summary) -> list[str]:
    """What an answer of each system takes, and which systems are unbeaten."""
    header, *rows = ["| " + " | ".join(row) + " |" for row in (HEADER, *cost_rows(summary))]
    return [
        "What an answer takes: floating-point operations (two for each weight and token), and tokens read and written:",
        "",
        header,
        "|---" * len(HEADER) + "|",
        *rows,
        "",
        *(f"- {remark}" for remark in cost_remarks(summary)),
        "",
    ]


def systems_markdown(summary: Summary) -> list[str]:
    """The main metrics as a Markdown table with a row for each system."""
    tasks = summary.main_metric
    lines = [
        "| system | " + " | ".join(f"{task}: {metric}" for task, metric in tasks.items()) + " |",
        "|---" * (len(tasks) + 1) + "|",
    ]
    for system, cells in summary.systems.items():
        lines.append("| " + " | ".join([system, *(_cell(cells.get(task)) for task in tasks)]) + " |")
    return lines


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    return f"{value_text(cell.value, cell.ci)}, n {cell.n}, invalid {cell.invalid}"


def _times(stages: list[str]) -> Times:
    """Each stage's last run with this params.yaml, from the log of stage runs in scratch."""
    times: dict[str, StageTime | None] = dict.fromkeys(stages)
    current = sha256_file(PARAMS_FILE)
    for each in read_times():
        if each.stage in times and each.params == current:
            times[each.stage] = each
    return times


def _total(times: Times) -> str:
    timed = [each for each in times.values() if each is not None]
    text = f"Time: {sum(each.seconds for each in timed):.0f} seconds in {len(timed)} stages on {_machine(timed)}."
    if missing := len(times) - len(timed):
        text += f" Not included: {missing} stages that were not run here with these parameters."
    return text


def _machine(timed: Iterable[StageTime]) -> str:
    """What time and the last digits of sums depend on: the processor and, from the log, torch's threads and BLAS."""
    computing = sorted({each.arithmetic for each in timed if each.arithmetic})
    torch = f"torch with {', '.join(computing)}" if computing else "torch's threads and BLAS were not logged"
    return f"{os.cpu_count()} cores ({platform.machine()}, {platform.system()}; {torch})"

"""A run as others read it: results/NAME with the table, the data's hashes, the command and the time it took."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dvc.utils.serialize import dumps_yaml

from ecomtune.checks.parameters import load_params
from ecomtune.core.config.params import Params
from ecomtune.core.files import output_folder, read_yaml, sha256_file, write_text
from ecomtune.core.paths import LOCK_FILE, PARAMS_FILE, RESULTS, SUMMARY, metrics_file
from ecomtune.messages.errors import UserError
from ecomtune.report import provenance
from ecomtune.report import quality_cost as costs
from ecomtune.report.pairs import Pairs, explained, sentences
from ecomtune.report.plots import plot_systems
from ecomtune.report.summary import interval, warnings
from ecomtune.runs import questions
from ecomtune.runs.study import read_study
from ecomtune.stages.timing import StageTime, read_times

PICTURE = "systems.png"
#: What each stage's run noted, None where it noted nothing.
Times = Mapping[str, StageTime | None]
#: What a run and its publication write, so that it may differ from the commit that the page names.
WRITTEN = ("params.yaml", "dvc.lock", "metrics", "plots", "reports", "results")


def publish(profile: Path, stages: list[str], problems: list[str], results: Path = RESULTS) -> Path:
    """Copy params, lock and metrics of the current run, whose stages these are, beside its table, its picture and its answers
    to the study's questions, into results/PROFILE.

    Raises UserError where params.yaml isn't the profile, the code isn't the commit's, or the results have problems.
    """
    params = load_params()
    if read_yaml(PARAMS_FILE) != read_yaml(profile):  # dvc lays a file that it changes out anew
        raise UserError(f"params.yaml isn't {profile}; run ecomtune profile {profile.stem}, then dvc repro")
    commit = _commit(profile)
    if problems:
        raise UserError(f"there is no fresh run of {profile} here, run dvc repro before publishing: {problems[0]}")
    lock, study = read_yaml(LOCK_FILE), read_study(params)
    summary, pairs = study.summary, study.summary["pairs"]
    lock["stages"] = {name: stage for name, stage in lock["stages"].items() if name in stages}  # other profiles' stay behind
    target = results / profile.stem
    with output_folder(target) as folder:
        shutil.copy(PARAMS_FILE, folder / "params.yaml")
        write_text(folder / "dvc.lock", dumps_yaml(lock))  # as DVC writes it: texts that are numbers to it stay texts
        shutil.copy(SUMMARY, folder / "summary.json")
        (folder / "metrics").mkdir()
        for system in params.systems:
            shutil.copy(metrics_file(system), folder / "metrics")
        plot_systems(summary, folder / PICTURE)
        write_text(folder / "README.md", page(profile.stem, commit, params, summary, pairs, _times(stages)))
        write_text(folder / "ANSWERS.md", questions.page(study))
    return target


def _commit(profile: Path) -> str:
    """HEAD, which the page names. Raises UserError where the code or the profile isn't HEAD's."""
    head = _git("rev-parse", "--short", "HEAD")
    if not head:
        raise UserError("publish names a commit, and this folder has none; run it in a clone of the project's git repository")
    differ = [
        *_git("diff", "--name-only", "HEAD", "--", ".", *(f":!{path}" for path in WRITTEN)),
        *_git("ls-files", "--others", "--exclude-standard", "--", "src", str(profile)),
    ]
    if differ:
        raise UserError(f"{differ[0]} isn't as in commit {head[0]}, which the page would name; commit it before publishing")
    return head[0]


def _git(*arguments: str) -> list[str]:
    """Lines that git prints; none where it fails."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def page(name: str, commit: str, params: Params, summary: dict[str, Any], pairs: Pairs, times: Times) -> str:
    """The Markdown page of a run."""
    hashes = [
        f"| {dataset} | {file.path} | {file.bytes:,} | {file.sha256} |"
        for dataset, spec in params.datasets.items()
        for file in spec.files
    ]
    sizes = [
        f"| {task} | {settings.dataset} | {settings.train_size} | {settings.validation_size} | {settings.test_size} |"
        for task, settings in params.tasks.items()
    ]
    total = _total(times)
    return "\n".join(
        [
            f"# Run `{name}`",
            "",
            *([f"**Made-up data:** {made_up}", ""] if (made_up := provenance.made_up(params)) else []),
            f"Code: commit {commit}. Command: `ecomtune profile {name} && dvc repro`. {total}",
            "",
            *markdown(summary),
            "",
            f"Values with their {interval(summary)} (bootstrap over groups); the whole of them stands in metrics/.",
            "",
            *(f"Beware: {told}.\n" for told in warnings(summary)),
            f"![Every system's main metric by task, with its interval]({PICTURE})",
            "",
            *_paired(sentences(pairs, summary["confidence"]), summary["confidence"]),
            *_costs(summary),
            "What the run says of the study's six questions: [ANSWERS.md](ANSWERS.md).",
            "",
            "| task | data set | train | validation | test (at most) |",
            "|---|---|---|---|---|",
            *sizes,
            "",
            "| data set | file | bytes | sha256 |",
            "|---|---|---|---|",
            *hashes,
            "",
            "| stage | seconds | memory at the most, MiB |",
            "|---|---|---|",
            *(_row(stage, run) for stage, run in times.items()),
            "",
        ]
    )


def _row(stage: str, run: StageTime | None) -> str:
    seconds = "not timed" if run is None else f"{run.seconds:,.0f}"
    memory = "–" if run is None or run.memory_mib is None else f"{run.memory_mib:,}"
    return f"| {stage} | {seconds} | {memory} |"


def _paired(lines: list[str], confidence: float) -> list[str]:
    if not lines:
        return []
    told = (
        "Paired on the same test rows: the difference, its interval, and p by exchanging the answers of random groups (all "
        f"pairs stand in summary.json). {explained(confidence)}."
    )
    return [told, "", *(f"- {line}" for line in lines), ""]


def _costs(summary: dict[str, Any]) -> list[str]:
    """What an answer of each system takes, and who is unbeaten."""
    rows = ["| " + " | ".join(row) + " |" for row in (costs.HEADER, *costs.rows(summary))]
    return [
        "What an answer takes: floating-point operations (two for each weight and token), and tokens read and written:",
        "",
        rows[0],
        "|---" * len(costs.HEADER) + "|",
        *rows[1:],
        "",
        *(f"- {told}" for told in costs.remarks(summary)),
        "",
    ]


def markdown(summary: dict[str, Any]) -> list[str]:
    """The comparison as a Markdown table, one row a system."""
    tasks = list(summary["main_metric"])
    lines = [
        "| system | " + " | ".join(f"{task}: {summary['main_metric'][task]}" for task in tasks) + " |",
        "|---" * (len(tasks) + 1) + "|",
    ]
    for system, cells in summary["systems"].items():
        lines.append("| " + " | ".join([system, *(_cell(cells.get(task)) for task in tasks)]) + " |")
    return lines


def _cell(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return "–"
    return f"{cell['value']:.3f} ({cell['ci'][0]:.3f}–{cell['ci'][1]:.3f}), n {cell['n']}, invalid {cell['invalid']}"


def _times(stages: list[str]) -> Times:
    """Each stage's last run under this params.yaml, from the log that the stages keep in scratch."""
    times: dict[str, StageTime | None] = dict.fromkeys(stages)
    current = sha256_file(PARAMS_FILE)
    for each in read_times():
        if each.stage in times and each.params == current:
            times[each.stage] = each
    return times


def _total(times: Times) -> str:
    timed = [each for each in times.values() if each is not None]
    text = f"Time: {sum(each.seconds for each in timed):.0f} seconds inside {len(timed)} stages on {_machine(timed)}."
    if missing := len(times) - len(timed):
        text += f" Left out: {missing} stages that are not timed, since they did not run here with these parameters."
    return text


def _machine(timed: Iterable[StageTime]) -> str:
    """What decides time and the last digits of sums: processor, and as the stages noted it how torch computed."""
    computing = sorted({each.arithmetic for each in timed if each.arithmetic})
    torch = f"torch with {', '.join(computing)}" if computing else "how torch computed isn't noted"
    return f"{os.cpu_count()} cores ({platform.machine()}, {platform.system()}; {torch})"

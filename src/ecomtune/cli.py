"""The command line: what a user does beside dvc."""

from __future__ import annotations

import difflib
import json
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from ecomtune.command_errors import OUTSIDE, Commands, is_outside
from ecomtune.errors import UserError

app = typer.Typer(cls=Commands, help="Choose, on evidence, how to solve an e-commerce language task.", no_args_is_help=True)
PROFILES = Path("profiles")


@app.callback()
def commands() -> None:
    """Commands beside dvc: run them in the repository's root."""


@app.command()
def profile(name: Annotated[str, typer.Argument(help="a file of profiles/, without .yaml")] = "") -> None:
    """Write params.yaml from profiles/NAME.yaml and show what changes."""
    from ecomtune.files import SCRATCH, sha256_file, write_text
    from ecomtune.params import PARAMS_FILE, load

    source = _profile_file(name)
    load(source)
    new = source.read_text(encoding="utf-8")
    old = PARAMS_FILE.read_text(encoding="utf-8", errors="replace") if PARAMS_FILE.is_file() else ""
    changes = list(difflib.unified_diff(old.splitlines(), new.splitlines(), "params.yaml", str(source), lineterm="", n=0))
    if old and PARAMS_FILE.read_bytes() not in {file.read_bytes() for file in PROFILES.glob("*.yaml")}:
        kept = SCRATCH / f"params.{sha256_file(PARAMS_FILE)[:8]}.yaml"
        write_text(kept, old)
        print(f"the former params.yaml, of no profile, is kept as {kept}")
    write_text(PARAMS_FILE, new)
    print("\n".join(changes) if changes else f"params.yaml is profile {name} already")
    _report_left_overs(load())


@app.command()
def check() -> None:
    """Say whether params.yaml is valid and names files as they are, before any stage runs."""
    from ecomtune import checks
    from ecomtune.params import load

    params = load()
    checks.check(params)
    print("params.yaml is valid")
    _report_left_overs(params)


@app.command()
def pin(
    file: Annotated[Path, typer.Argument(help="a file of your own")],
    licence: Annotated[str, typer.Option(help="who may use it, and how")] = "own",
) -> None:
    """Print the entry of FILE for a data set in params.yaml."""
    from ecomtune.datasets import fetch

    entry = fetch.pin(file, licence)
    print(f"  {_key(file)}:  # goes under datasets; the name is yours")
    print("    reader: table\n    columns: {}  # field: column\n    files:")
    for number, (key, value) in enumerate(entry.model_dump().items()):
        print(f"      {'  ' if number else '- '}{key}: {json.dumps(value, ensure_ascii=False)}")


@app.command()
def plan(
    name: Annotated[str, typer.Argument(help="a file of profiles/, without .yaml; default: params.yaml")] = "",
    teraflops: Annotated[float, typer.Option(min=0, help="peak of the machine that it is planned for; 0: this one's")] = 0,
) -> None:
    """Print what a run would download and cost, stage by stage, without running anything."""
    from ecomtune import plan as planning
    from ecomtune.params import PARAMS_FILE, load

    planning.show(load(_profile_file(name) if name else PARAMS_FILE), Path(), teraflops)


@app.command()
def table() -> None:
    """Print every system by task, and what its answers cost, from metrics/."""
    from ecomtune.console import show
    from ecomtune.other_parameters import stale_numbers
    from ecomtune.params import load
    from ecomtune.report import costs, summary

    found = summary.summarize(load())
    for problem in stale_numbers(Path()):
        print(f"these numbers are stale: {problem}")
    show(costs.costs_table(found))
    print("\n".join(costs.remarks(found)))
    show(summary.table(found))
    for line in [*summary.warnings(found), *summary.left_out(found)]:
        print(line)


@app.command()
def answers(
    markdown: Annotated[bool, typer.Option(help="as Markdown text, for a file or a comment")] = False,
) -> None:
    """Print what the current run answers to the study's six questions, with figures, intervals and paired tests."""
    from rich.markdown import Markdown

    from ecomtune.console import show
    from ecomtune.other_parameters import stale_numbers
    from ecomtune.params import load
    from ecomtune.report import questions
    from ecomtune.report.study import read_study

    page = questions.page(read_study(load()))
    for problem in reversed(stale_numbers(Path())):
        page = f"**These answers are stale:** {problem}\n\n{page}"
    if markdown:
        print(page, end="")
    else:
        show(Markdown(page))


@app.command()
def curve(
    parameter: Annotated[str, typer.Argument(help="a number of params.yaml, as in tasks.ner.train_size")],
    task: Annotated[str, typer.Argument(help="the task whose main metric is drawn")],
    out: Annotated[Path, typer.Option(help="a folder for curve.json and curve.png")] = Path("plots/curve"),
) -> None:
    """Print and draw how a parameter moves a task, from this commit's run and dvc's experiments."""
    from ecomtune import tasks
    from ecomtune.console import show
    from ecomtune.files import dump_json, write_text
    from ecomtune.report import curve as report
    from ecomtune.report.revisions import WORKSPACE, run_at

    metric = tasks.load(task).main_metric
    curves = report.learning_curves(list(report.runs().ended.values()), run_at(WORKSPACE).params, parameter, task)
    drawn = {"metric": metric, "parameter": parameter, "systems": curves, "task": task}
    write_text(out / "curve.json", dump_json(drawn))
    report.plot(curves, parameter, f"{task}: {metric}", out / "curve.png")
    show(report.table(curves, parameter, f"{task}: {metric}"))


@app.command()
def experiments() -> None:
    """Print this commit's dvc experiments side by side: the parameters and main metrics in which they differ."""
    from ecomtune.console import show
    from ecomtune.report import curve as report
    from ecomtune.report.experiments import table as side_by_side

    found = report.runs()
    if found.others:
        print(f"left out, since they have failed, are running or are queued: {len(found.others)} ({', '.join(found.others)})")
    show(side_by_side(found.ended))


@app.command()
def sweep(
    values: Annotated[list[str], typer.Option("--set-param", "-S", help="a parameter's values, as in train.shared.rank=4,8")],
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, help="experiments at a time; of several GPUs each has its own")
    ] = 1,
) -> None:
    """Queue a dvc experiment for each combination of values, and run them all."""
    from ecomtune import sweep as sweeping

    sweeping.sweep(values, jobs, print)


@app.command()
def pr_report(
    base: Annotated[str, typer.Option(help="the branch or commit that this one is to be merged into")] = "main",
) -> None:
    """Print, as Markdown, which parameters and metrics this branch changes, for its pull request."""
    from ecomtune.report import pull_request

    found = _problems()
    print(pull_request.report(base))
    for problem in found:
        print(f"- **Stale:** {problem}")


@app.command()
def predict(
    task: Annotated[str, typer.Option(help="a task that the system answers")],
    system: Annotated[str, typer.Option(help="a system of params.yaml that has been trained")],
    texts: Annotated[list[str] | None, typer.Argument(help="inputs of a task with one field, as the queries of ner")] = None,
    field: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, a field of one input; several times for several")] = None,
    file: Annotated[Path | None, typer.Option(help="JSON lines of fields, or plain lines where the task has one field")] = None,
) -> None:
    """Answer inputs of your own with a trained system: JSON lines on standard output; without any, standard input is read."""
    from ecomtune import predict as predicting
    from ecomtune.other_parameters import note_model
    from ecomtune.params import load, model_of
    from ecomtune.runtime import is_main_process

    params = load()
    asked = predicting.task_of(params, system, task)
    note_model(Path(), model_of(params.systems[system], task, params))
    inputs = predicting.as_inputs(asked, texts or [], field or [], file)
    for told in predicting.predict(params, system, asked, inputs):
        if is_main_process():
            print(json.dumps(told, ensure_ascii=False))


@app.command()
def export(
    system: Annotated[str, typer.Option(help="a system of kind adapter in params.yaml")],
    out: Annotated[Path, typer.Option(help="a folder that is empty, or not there yet")],
    task: Annotated[str | None, typer.Option(help="a task that it answers, where it has an adapter for each")] = None,
    merged: Annotated[bool, typer.Option(help="the whole model, its adapter merged in, in place of the adapter alone")] = False,
) -> None:
    """Write a trained adapter, or the model with it, as plain peft and transformers load it, with a model card."""
    from ecomtune import export as exporting
    from ecomtune.other_parameters import note_model
    from ecomtune.params import load, model_of

    params = load()
    first, *_ = exporting.tasks_of(params, system, task)
    note_model(Path(), model_of(params.systems[system], first, params))
    exporting.export(params, system, task, out, merged)
    print(out)


@app.command()
def fresh() -> None:
    """Say whether dvc.lock and metrics/ belong to this code and these parameters."""
    found = _problems()
    for problem in found:
        print(f"error: {problem}", file=sys.stderr)
    if found:
        raise typer.Exit(1)
    print("dvc.lock and metrics/ are fresh")


@app.command()
def publish(name: Annotated[str, typer.Argument(help="the run's profile")]) -> None:
    """Write results/NAME: the current run's table with its params, lock, metrics, data hashes and times."""
    from ecomtune.freshness import problems, stage_names
    from ecomtune.report import publish as report

    source = _profile_file(name)
    print(report.publish(source, stage_names(Path()), problems(Path(), left_over=False)))


def _problems() -> list[str]:
    """Why the results don't belong to this checkout. Raises UserError in a folder that is none."""
    from ecomtune.freshness import problems

    found = problems(Path())
    if found and is_outside():
        raise UserError(OUTSIDE)
    return found


def _key(file: Path) -> str:
    """A file's name as the key of a data set: one that YAML reads as text."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", file.stem)
    return name if isinstance(yaml.safe_load(name), str) and name[0].isalpha() else f"data_{name}"


def _report_left_overs(params: Any) -> None:
    """Name outputs of other profiles: stages that read whole folders would read them, and dvc.lock would hold them."""
    from ecomtune.leftovers import left_overs

    found = left_overs(params, Path())
    if found:
        print(f"left over from other parameters; before dvc repro, remove with: {shlex.join(['rm', '-r', *map(str, found)])}")


def _profile_file(name: str) -> Path:
    """profiles/NAME.yaml. Raises UserError where there is none, so that no NAME leads out of profiles/ or results/."""
    source = PROFILES / f"{name}.yaml"
    if not re.fullmatch(r"\w[\w-]*", name) or not source.is_file():
        have = ", ".join(sorted(file.stem for file in PROFILES.glob("*.yaml"))) or "none"
        raise UserError(f"{f'there is no profile {name!r}' if name else 'no profile is named'}; name one of: {have}")
    return source


if __name__ == "__main__":
    app()

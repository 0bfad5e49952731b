"""The command line: what a user does beside dvc."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from ecomtune.errors import UserError

app = typer.Typer(help="Choose, on evidence, how to solve an e-commerce language task.", no_args_is_help=True)
PROFILES = Path("profiles")


@app.callback()
def commands() -> None:
    """Commands beside dvc: run them in the repository's root."""


@app.command()
def profile(name: Annotated[str, typer.Argument(help="a file of profiles/, without .yaml")]) -> None:
    """Write params.yaml from profiles/NAME.yaml and show what changes."""
    from ecomtune.files import write_text
    from ecomtune.params import PARAMS_FILE, load

    source = PROFILES / f"{name}.yaml"
    if not source.is_file():
        have = ", ".join(sorted(file.stem for file in PROFILES.glob("*.yaml"))) or "none: run in the repository's root"
        _fail(f"there is no profile {name!r}; name one of: {have}")
    try:
        load(source)
    except UserError as error:
        _fail(str(error))
    new = source.read_text(encoding="utf-8")
    old = PARAMS_FILE.read_text(encoding="utf-8") if PARAMS_FILE.is_file() else ""
    changes = list(difflib.unified_diff(old.splitlines(), new.splitlines(), "params.yaml", str(source), lineterm="", n=0))
    write_text(PARAMS_FILE, new)
    print("\n".join(changes) if changes else f"params.yaml is profile {name} already")


@app.command()
def check() -> None:
    """Say whether params.yaml is valid, before any stage runs."""
    from ecomtune.params import load

    try:
        load()
    except UserError as error:
        _fail(str(error))
    print("params.yaml is valid")


@app.command()
def table() -> None:
    """Print every system by task, from metrics/."""
    from rich.console import Console

    from ecomtune.params import load
    from ecomtune.report import summary

    try:
        found: dict[str, Any] = summary.summarize(load())
    except UserError as error:
        _fail(str(error))
    console = Console()
    console.print(summary.table(found))
    for file in found["left_over"]:
        console.print(f"metrics/{file} belongs to no system of params.yaml and is left out")


@app.command()
def fresh() -> None:
    """Say whether dvc.lock and metrics/ belong to this code and these parameters."""
    from ecomtune.freshness import problems

    found = problems(Path())
    for problem in found:
        print(f"error: {problem}", file=sys.stderr)
    if found:
        raise typer.Exit(1)
    print("dvc.lock and metrics/ are fresh")


@app.command()
def publish(name: Annotated[str, typer.Argument(help="the run's profile")]) -> None:
    """Write results/NAME: the current run's table with its params, lock, metrics, data hashes and times."""
    import subprocess

    from ecomtune.report import publish as report

    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    try:
        print(report.publish(name, commit or "unknown"))
    except UserError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()

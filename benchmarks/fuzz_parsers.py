"""Fuzz the parsers of answers, guided by coverage (atheris): ``python -m benchmarks.fuzz_parsers``, ten minutes a task.

Each task has a process of its own, since libFuzzer ends the one that it runs in. What it has found interesting stays in
.scratch/fuzz, and the next run goes on from there.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.tasks import load_task
from ecomtune.tasks.base import Task

CORPUS = Path(".scratch/fuzz")
#: The most bytes of an input, and the most seconds that one may take.
LONGEST, SLOWEST = 4096, 1
TAGS = {"O", *(f"{prefix}-{kind}" for prefix in "BI" for kind in load_task("ner").definition.types)}
NAMES = ("relevance", "ner", "summarization", "description")


def fault(task: Task, fields: Mapping[str, str | list[str]], answer: str) -> str | None:
    """What the task's parser does wrong with an answer, or None; what it raises goes through."""
    parsed = task.parse(answer, fields)
    if parsed is None:
        return None
    if task.decoder == "label":
        return None if parsed in task.labels else f"{parsed!r} is no label of the task"
    if task.decoder == "text":
        return None if parsed == [answer.strip()] != [""] else f"{parsed!r} isn't the answer's text"
    if not isinstance(parsed, list) or len(parsed) != len(fields["words"]):
        return f"{parsed!r} isn't one tag a word"
    unknown = set(parsed) - TAGS
    broken = [
        tag for before, tag in zip(["O", *parsed], parsed, strict=False) if tag[0] == "I" and before[1:] != tag[1:]
    ]  # I- goes on with what stands before it
    return f"{unknown or broken} is no valid tag" if unknown or broken else None


def inputs(data: bytes) -> tuple[list[str], str]:
    """The words of a query, from the first line of ``data``, and an answer in which a tab stands for the next of them."""
    first, _, rest = data.decode("utf-8", errors="surrogateescape").partition("\n")
    words = first.split() or ["mug"]
    pieces = rest.split("\t")
    told = [piece + words[place % len(words)] for place, piece in enumerate(pieces[:-1])]
    return words, "".join([*told, pieces[-1]])


def seeds(task: Task) -> list[bytes]:
    """Inputs to start from: valid answers and some that are nearly valid."""
    answers = {"label": [*task.labels, "exact."], "text": ["A mug.", ""]}.get(task.decoder)
    answers = answers or ["\t brand\n\t color\n\t +", "\t none\n\t none\n\t none", "\t +\n\t\n\t name"]
    return [f"acme red mug\n{answer}".encode() for answer in answers]


def fuzz(name: str, seconds: int) -> None:
    """Fuzz one parser in this process, which libFuzzer ends: with status 0 where nothing was found."""
    import atheris

    with atheris.instrument_imports(include=["ecomtune.tasks"]):
        kind = type(load_task(name))
        kind = getattr(importlib.reload(sys.modules[kind.__module__]), kind.__name__)
    task = kind(name, load_task(name).definition)
    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(task)):
        (corpus / f"seed-{number}").write_bytes(seed)

    def one(data: bytes) -> None:
        words, answer = inputs(data)
        if found := fault(task, {"words": words}, answer):
            raise AssertionError(found)

    limits = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-timeout={SLOWEST}", f"-artifact_prefix={CORPUS}/{name}-"]
    atheris.Setup([sys.argv[0], str(corpus), *limits, "-print_final_stats=1"], one)
    atheris.Fuzz()


def run(names: Sequence[str], seconds: int) -> int:
    """Fuzz each parser in a process of its own and tell what came of it; gives how many have failed."""
    failed = 0
    for name in names:
        command: list[Any] = [
            sys.executable,
            "-m",
            "benchmarks.fuzz_parsers",
            "--only",
            name,
            "--seconds",
            str(seconds),
            "--here",
        ]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        tried = re.search(r"number_of_executed_units: +(\d+)", done.stderr)
        if done.returncode or not tried:
            failed += 1
            print(f"{name}: failed, with status {done.returncode}; the input lies in {CORPUS}\n{done.stderr[-2000:]}")
        else:
            print(f"{name}: {int(tried[1]):,} answers in {seconds} seconds, and no fault")
    return failed


def main(
    only: Annotated[list[str] | None, typer.Option(help="a task (may be given several times); default: all")] = None,
    seconds: Annotated[int, typer.Option(min=1, help="how long each parser is fuzzed")] = 600,
    here: Annotated[bool, typer.Option("--here", hidden=True)] = False,
) -> None:
    """Look for an answer that a parser fails on, or reads as something outside of its task's set."""
    if importlib.util.find_spec("atheris") is None:
        print("error: atheris isn't installed; make fuzz installs it", file=sys.stderr)
        raise typer.Exit(1)
    names = only or NAMES
    if unknown := sorted(set(names) - set(NAMES)):
        print(f"error: no task {unknown[0]!r}; name one of: {', '.join(NAMES)}", file=sys.stderr)
        raise typer.Exit(1)
    if here:
        fuzz(names[0], seconds)
    elif run(names, seconds):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)

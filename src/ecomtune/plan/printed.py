"""A plan for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from rich.table import Table

from ecomtune.core.config.params import Params
from ecomtune.messages import console
from ecomtune.plan.machine import Peak, measured_peak
from ecomtune.plan.steps import LIGHT_START, Step, steps
from ecomtune.plan.tokens import MARKS, Basis, weakest
from ecomtune.stages.timing import read_times

#: What the marks before numbers mean, by how tokens are known.
MEANINGS: dict[Basis, str] = {
    "typical": "~: by the typical row of its data set, whose examples don't lie in data/: dvc repro format makes them for a "
    "better estimate.",
    "most": "≤: the most that max_length allows, since examples of its data set don't lie in data/: dvc repro format makes "
    "them for a better estimate.",
}
#: What the columns count.
TOKENS = (
    "tokens: the beginning that prompts share is counted once, for a batch in training and for all rows in answering; "
    "input_tokens of metrics/S.json count it in full for each row."
)
MEMORY = "GiB: at the most, with what Python, torch and transformers take themselves; blank where no model is loaded."
TOOK = (
    "took: minutes of each stage's newest run in this folder, whatever params.yaml said then (.scratch/times.jsonl); "
    "less where it resumed, or found its answers in scratch."
)
UNKNOWN = "unknown: a model's size is neither in models/ nor in params.yaml."


def show(params: Params, root: Path, teraflops: float) -> None:
    """Print what a run in ``root`` would cost on a machine of that peak; 0 for this one, which is measured."""
    peak = Peak(teraflops * 1e12) if teraflops else measured_peak()
    found = steps(params, root, peak.operations)
    took = {each.stage: each.seconds for each in read_times(root)}  # of several runs the newest
    console.show(table(found, took))
    print(notes(found, peak))
    if any(step.stage in took for step in found):
        print(TOOK)


def table(found: Sequence[Step], took: Mapping[str, float] | None = None) -> Table:
    """The steps and what they come to in all; quick stages of a family that cost nothing else stand in one row.

    With a column of the seconds that stages ``took``, where some of them have run.
    """
    took = {step.stage: took[step.stage] for step in found if took and step.stage in took}
    grid = Table(title="What a run would cost, estimated")
    for name in ("stage", "rows", "tokens", "GiB", "minutes", *(["took"] if took else [])):
        grid.add_column(name, justify="left" if name == "stage" else "right", no_wrap=True)
    for name, part in _rows(found):
        rows = [step.rows for step in part if step.rows is not None]
        tokens = [step.tokens for step in part if step.tokens is not None]
        _add(grid, name, part, sum(rows) if rows else None, sum(tokens) if tokens else None, took)
    grid.add_section()
    _add(grid, f"{len(found)} stages", found, None, sum(step.tokens or 0 for step in found), took)
    return grid


def _rows(found: Sequence[Step]) -> Iterator[tuple[str, Sequence[Step]]]:
    """Steps that share a row, under its name."""
    for family, part in groupby(found, key=lambda step: step.stage.partition("@")[0]):
        own = list(part)
        quick = [step for step in own if step.seconds == LIGHT_START and step.tokens is None]
        yield from ((step.stage, [step]) for step in own if step not in quick or len(quick) == 1)
        if len(quick) > 1:
            yield f"{family}: {len(quick)} quick ones", quick


def _add(grid: Table, name: str, part: Sequence[Step], rows: int | None, tokens: int | None, took: Mapping[str, float]) -> None:
    mark = MARKS[weakest(step.basis for step in part)]
    memory = max((step.memory for step in part if step.memory), default=None)
    minutes = mark + _minutes([step.seconds for step in part])
    known = [took[step.stage] for step in part if step.stage in took]
    taken = [_minutes([*known, *[None] * (len(part) - len(known))]) if known else ""] if took else []
    grid.add_row(name, _number(rows), mark + _number(tokens), _gib(memory), minutes, *taken)


def notes(found: Sequence[Step], peak: Peak) -> str:
    """What stages bring or ask elsewhere, what the table's signs mean, of those that stand in it, and the peak it goes by."""
    brought = [f"{step.stage}: {step.downloads}" for step in found if step.downloads]
    told = [meaning for basis, meaning in MEANINGS.items() if any(step.basis == basis for step in found)]
    unknown = [UNKNOWN] if any(step.seconds is None for step in found) else []
    columns = [TOKENS] if any(step.tokens for step in found) else []
    columns += [MEMORY] if any(step.memory for step in found) else []
    return "\n".join([*brought, *columns, *told, *unknown, str(peak)])


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _gib(value: float | None) -> str:
    return "" if value is None else f"{value / 2**30:.1f}"


def _minutes(values: list[float | None]) -> str:
    """The sum in minutes; a sum that lacks a part is told as a lower bound."""
    known = sum(value for value in values if value is not None) / 60
    return f"{known:,.1f}" if None not in values else ("unknown" if not known else f"> {known:,.1f}")

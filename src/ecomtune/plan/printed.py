"""A plan for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from rich.table import Table

from ecomtune.core.config.params import Params
from ecomtune.messages import console
from ecomtune.plan.machine import Peak, measured_peak
from ecomtune.plan.steps import LIGHT_START, Step, plan_steps
from ecomtune.plan.tokens import MARKS, Basis, least_reliable
from ecomtune.stages.timing import read_times

#: What the signs before numbers mean, by the basis of the number of tokens.
SIGNS: dict[Basis, str] = {
    "typical": "~: estimated from a typical row of the data set, which has no examples in data/ yet; for a better estimate, "
    "run dvc repro format.",
    "most": "≤: an upper bound, set by max_length, since the data set has no examples in data/ yet; for a better estimate, "
    "run dvc repro format.",
}
#: What the columns count.
TOKENS = (
    "tokens: the prefix that prompts share is counted once per batch in training and once for all rows in answering; "
    "input_tokens of metrics/S.json count it in every row."
)
MEMORY = "GiB: peak memory, including Python, torch and transformers themselves; blank if no model is loaded."
TOOK = (
    "took: minutes of each stage's most recent run in this folder, whatever params.yaml was then (.scratch/times.jsonl); "
    "less if it resumed, or found answers in its cache."
)
UNKNOWN = "unknown: the model's size is neither in models/ nor in params.yaml."


def show(params: Params, root: Path, teraflops: float) -> None:
    """Print what a run in ``root`` would cost on a machine with that peak; 0 measures the peak of this machine."""
    peak = Peak(teraflops * 1e12) if teraflops else measured_peak()
    steps = plan_steps(params, root, peak.operations)
    took = {run.stage: run.seconds for run in read_times(root)}  # the most recent run of each stage wins
    console.show(table(steps, took))
    print(legend(steps, peak))
    if any(step.stage in took for step in steps):
        print(TOOK)


def table(steps: Sequence[Step], took: Mapping[str, float] | None = None) -> Table:
    """The steps and their totals; quick stages of one kind that cost nothing else share a row.

    ``took`` adds a column: the seconds that each stage took, if any of these stages has run.
    """
    took = {step.stage: took[step.stage] for step in steps if took and step.stage in took}
    grid = Table(title="What a run would cost, estimated")
    for name in ("stage", "rows", "tokens", "GiB", "minutes", *(["took"] if took else [])):
        grid.add_column(name, justify="left" if name == "stage" else "right", no_wrap=True)
    for name, part in _rows(steps):
        rows = [step.rows for step in part if step.rows is not None]
        tokens = [step.tokens for step in part if step.tokens is not None]
        row = _Row(name, part, sum(rows) if rows else None, sum(tokens) if tokens else None)
        grid.add_row(*row.cells(took))
    grid.add_section()
    total = _Row(f"{len(steps)} stages", steps, None, sum(step.tokens or 0 for step in steps))
    grid.add_row(*total.cells(took))
    return grid


def _rows(steps: Sequence[Step]) -> Iterator[tuple[str, Sequence[Step]]]:
    """The title of each row and the steps in it."""
    for kind, part in groupby(steps, key=lambda step: step.stage.partition("@")[0]):
        of_kind = list(part)
        quick = [step for step in of_kind if step.seconds == LIGHT_START and step.tokens is None]
        yield from ((step.stage, [step]) for step in of_kind if step not in quick or len(quick) == 1)
        if len(quick) > 1:
            yield f"{kind}: {len(quick)} quick ones", quick


@dataclass(frozen=True)
class _Row:
    """A row of the table: its title, its steps, and their sums; None leaves a cell blank."""

    title: str
    steps: Sequence[Step]
    rows: int | None
    tokens: int | None

    def cells(self, took: Mapping[str, float]) -> list[str]:
        """The cells, with one more if any stage of the table ``took`` some seconds."""
        mark = MARKS[least_reliable(step.basis for step in self.steps)]
        memory = max((step.memory for step in self.steps if step.memory), default=None)
        minutes = mark + _minutes([step.seconds for step in self.steps])
        cells = [self.title, _number(self.rows), mark + _number(self.tokens), _gib(memory), minutes]
        if not took:
            return cells
        timed = [took[step.stage] for step in self.steps if step.stage in took]
        untimed = [None] * (len(self.steps) - len(timed))
        return [*cells, _minutes([*timed, *untimed]) if timed else ""]


def legend(steps: Sequence[Step], peak: Peak) -> str:
    """What stages download or request, what the columns and signs of this table mean, and the peak that was assumed."""
    lines = [f"{step.stage}: {step.downloads}" for step in steps if step.downloads]
    lines += [TOKENS] if any(step.tokens for step in steps) else []
    lines += [MEMORY] if any(step.memory for step in steps) else []
    lines += [meaning for basis, meaning in SIGNS.items() if any(step.basis == basis for step in steps)]
    lines += [UNKNOWN] if any(step.seconds is None for step in steps) else []
    return "\n".join([*lines, str(peak)])


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _gib(value: float | None) -> str:
    return "" if value is None else f"{value / 2**30:.1f}"


def _minutes(values: list[float | None]) -> str:
    """The sum in minutes; a lower bound if some of the values are unknown."""
    known = sum(value for value in values if value is not None) / 60
    return f"{known:,.1f}" if None not in values else ("unknown" if not known else f"> {known:,.1f}")

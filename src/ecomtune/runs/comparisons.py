"""Systems compared with systems, task by task: figures, and words that claim no more than the paired tests show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ecomtune.runs.study import Study

HEADER = ("task", "rows (groups)", "system", "against", "difference", "p")
#: Names the systems on one side of the comparison in a task.
Side = Callable[[str], Sequence[str]]


@dataclass(frozen=True)
class Comparison:
    """How far system ``ours`` is ahead of ``theirs`` in a task, with the paired interval, and p corrected by Holm."""

    task: str
    ours: str
    theirs: str
    difference: float
    ci: tuple[float, float]
    p: float
    significant: bool

    @property
    def verdict(self) -> str:
        if not self.significant:
            return "not significantly different from"
        return "significantly better than" if self.difference > 0 else "significantly worse than"


def compare(study: Study, ours: Side, theirs: Side) -> list[Comparison]:
    """Each of our systems with each of theirs, on all tasks in which both were scored on the same rows."""
    found = []
    for task in study.params.tasks:
        for first, second in ((first, second) for first in ours(task) for second in theirs(task)):
            for pair in study.summary.pairs.get(task, []):
                if (pair.first, pair.second) in ((first, second), (second, first)):
                    sign = 1 if pair.first == first else -1
                    low, high = sorted(sign * bound + 0.0 for bound in pair.ci)  # + 0.0: no -0.0
                    difference, significant = sign * pair.difference + 0.0, pair.is_significant(study.summary.confidence)
                    found.append(Comparison(task, first, second, difference, (low, high), pair.p_holm, significant))
    return found


def in_words(found: Sequence[Comparison], missing: str) -> str:
    """Which systems are better or worse than which, and on which tasks; or, if nothing is compared, what is missing."""
    if not found:
        return f"not measured ({missing})"
    parts: dict[tuple[str, str, str], list[str]] = {}
    for each in found:
        parts.setdefault((each.ours, each.verdict, each.theirs), []).append(each.task)
    return "; ".join(f"{ours} is {verdict} {theirs} on {', '.join(tasks)}" for (ours, verdict, theirs), tasks in parts.items())


def figures(study: Study, found: Sequence[Comparison]) -> list[tuple[str, ...]]:
    """A row of HEADER for each comparison."""
    rows: list[tuple[str, ...]] = []
    for each in found:
        ours, theirs = (study.summary.systems[name][each.task] for name in (each.ours, each.theirs))
        rows.append(
            (
                f"{each.task}: {ours.metric}",
                f"{ours.n} ({ours.groups})",
                f"{each.ours} {value_text(ours.value, ours.ci)}",
                f"{each.theirs} {value_text(theirs.value, theirs.ci)}",
                f"{each.difference:+.3f} ({each.ci[0]:+.3f} to {each.ci[1]:+.3f})",
                f"{each.p:.4f}",
            )
        )
    return rows


def value_text(value: float, ci: Sequence[float]) -> str:
    """A value with its interval."""
    return f"{value:.3f} ({ci[0]:.3f}–{ci[1]:.3f})"

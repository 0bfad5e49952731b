"""The best system of each task, and which others the test rows don't show to be worse."""

from __future__ import annotations

from collections.abc import Sequence

from ecomtune.runs.comparisons import Comparison, compare, value_text
from ecomtune.runs.study import Study


def winners(study: Study) -> list[str]:
    """A line for each scored task.

    Recorded answers, an annotator's for example, are never the best system, but compared with it.
    """
    return [line for task in study.params.tasks if (line := _winner(study, task))]


def _winner(study: Study, task: str) -> str | None:
    cells = study.summary.cells(task)
    candidates = [name for name in cells if study.params.systems[name].kind != "recorded"]
    if not candidates:
        return None
    best = max(candidates, key=lambda name: cells[name].value)  # of equal ones the first in params.yaml
    others = [name for name in cells if name != best]
    found = compare(study, lambda each: [best] if each == task else [], lambda _: others)
    cell = cells[best]
    return f"{task}: {best}, {cell.metric} {value_text(cell.value, cell.ci)}; {_lead(found, others)}"


def _lead(found: Sequence[Comparison], others: Sequence[str]) -> str:
    """How the best system compares with the others."""
    worse = [each.theirs for each in found if each.significant and each.difference > 0]
    better = [each.theirs for each in found if each.significant and each.difference < 0]
    level = [each.theirs for each in found if not each.significant]
    uncompared = [name for name in others if name not in worse + better + level]
    if not others:
        return "no other system answers it"
    if len(worse) == len(others):
        return "significantly better than every other system"
    parts = [f"significantly worse than {', '.join(better)}"] if better else []
    parts += [f"not significantly different from {', '.join(level)}"] if level else []
    parts += [f"not compared with {', '.join(uncompared)}"] if uncompared else []
    parts += ["significantly better than the others"] if worse else []
    return "; ".join(parts)

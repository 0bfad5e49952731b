"""The best system of each task, and which others these test rows can't tell from it."""

from __future__ import annotations

from collections.abc import Sequence

from ecomtune.runs.comparisons import Comparison, compare, value_of
from ecomtune.runs.study import Study


def winners(study: Study) -> list[str]:
    """A line for each task that has been scored.

    Answers that were given elsewhere, an annotator's, say, are never the best, but compared with it.
    """
    return [line for task in study.params.tasks if (line := _winner(study, task))]


def _winner(study: Study, task: str) -> str | None:
    cells = {name: cells[task] for name, cells in study.summary["systems"].items() if task in cells}
    own = [name for name in cells if study.params.systems[name].kind != "recorded"]
    if not own:
        return None
    best = max(own, key=lambda name: float(cells[name]["value"]))  # of equal ones the first in params.yaml
    others = [name for name in cells if name != best]
    found = compare(study, lambda each: [best] if each == task else [], lambda _: others)
    return f"{task}: {best}, {cells[best]['metric']} {value_of(cells[best])}; {_told(found, others)}"


def _told(found: Sequence[Comparison], others: Sequence[str]) -> str:
    worse = [each.theirs for each in found if each.significant and each.difference > 0]
    better = [each.theirs for each in found if each.significant and each.difference < 0]
    level = [each.theirs for each in found if not each.significant]
    untold = [name for name in others if name not in worse + better + level]
    if not others:
        return "no other system answers it"
    if len(worse) == len(others):
        return "significantly better than every other system"
    parts = [f"significantly worse than {', '.join(better)}"] if better else []
    parts += [f"not significantly different from {', '.join(level)}"] if level else []
    parts += [f"not compared with {', '.join(untold)}"] if untold else []
    parts += ["significantly better than the others"] if worse else []
    return "; ".join(parts)

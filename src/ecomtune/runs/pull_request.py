"""What a branch changes, for its pull request: its parameters and metrics compared with the base, as Markdown."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ecomtune.core.config import Score
from ecomtune.core.paths import metrics_file, predictions_file
from ecomtune.core.records import Prediction
from ecomtune.messages.advice import describe
from ecomtune.messages.errors import UserError
from ecomtune.metrics.bootstrap import PLACES
from ecomtune.metrics.paired import Pair
from ecomtune.report.pairs import compare_answers
from ecomtune.runs.revisions import WORKSPACE, Run, definition_at, git, leaves, main_metric, run_at
from ecomtune.tasks.registry import task_from

#: The first line, by which a workflow recognizes its own comment.
MARK = "<!-- ecomtune pr-report -->"
#: The name of each side, and what to do if its metrics are malformed.
BASE = ("the base", "run dvc repro there and commit it, or name another base with --base")
HERE = ("this branch", "run dvc repro and commit it")
#: Characters of the picture's axis from 0 to 1.
WIDTH = 48


@dataclass(frozen=True)
class Value:
    """A metric's value and its confidence interval, which counts and costs don't have."""

    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Change:
    """One metric of one system and task on both sides; None if a side doesn't have it."""

    system: str
    task: str
    metric: str
    base: Value | None
    here: Value | None
    verdict: str


def merge_base(name: str) -> str:
    """The commit at which this branch left ``name``.

    Raises UserError if there is no such branch or commit, or if the clone's history doesn't reach back to it.
    """
    if not git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"):
        raise UserError(f"there is no commit {name!r} to compare with; fetch it, or name another with --base")
    found = git("merge-base", name, "HEAD").strip()
    if not found:
        shallow = git("rev-parse", "--is-shallow-repository").strip() == "true"
        advice = "this clone is shallow: git fetch --unshallow" if shallow else "name a branch of this project with --base"
        raise UserError(f"{name} and HEAD have no common commit here; {advice}")
    return found


def report(name: str) -> str:
    """The Markdown page that compares the working tree with the commit at which it left ``name``."""
    commit = merge_base(name)
    base, here = run_at(commit), run_at(WORKSPACE)
    score = _score(here.params)
    moved = list(_changes(base, here, paired_tests(commit, base, here, score), round(1 - score.confidence, 12)))
    main = [change for change in moved if change.metric == _main_metric(here, change.task)]
    others = [change for change in moved if change not in main]
    return "\n".join(
        [
            MARK,
            f"## Against {name} ({commit[:7]})",
            "",
            *_parameters(base.params, here.params),
            "",
            *(_table(main) if moved else ["No metric moved."]),
            *(
                ["", "<details><summary>Other metrics that moved</summary>", "", *_table(others), "", "</details>"]
                if others
                else []
            ),
            *(["", *_picture(main)] if main else []),
            "",
        ]
    )


def _main_metric(here: Run, task: str) -> str | None:
    """The main metric of a task; None if this branch no longer has the task."""
    try:
        return main_metric(here.params, task)
    except UserError:
        return None


def _score(params: Mapping[str, Any]) -> Score:
    try:
        return Score.model_validate(params.get("score", {}))
    except ValidationError as error:
        raise UserError(f"params.yaml: score: {describe(error, Score)}") from error


def _parameters(base: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    before, after = _as_json(base), _as_json(here)
    changed = [key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]
    if not changed:
        return ["No parameter changed."]
    rows = [f"| `{key}` | {_code(before.get(key))} | {_code(after.get(key))} |" for key in changed]
    return ["| parameter | base | here |", "|---|---|---|", *rows]


def _as_json(params: Mapping[str, Any]) -> dict[str, str]:
    return {path: json.dumps(value, ensure_ascii=False, default=str) for path, value in leaves(params)}


def _code(text: str | None) -> str:
    return "–" if text is None else "`" + text.replace("|", "\\|").replace("`", "'") + "`"


def paired_tests(commit: str, base: Run, here: Run, score: Score) -> dict[tuple[str, str], Pair]:
    """By system and task, the paired test of both sides' answers, if both sides have predictions of the same rows.

    Predictions in the working tree may belong to another commit; those whose difference isn't that of the metrics are left out.
    """
    from dvc.api import DVCFileSystem

    pairs: dict[tuple[str, str], Pair] = {}
    files = DVCFileSystem(rev=commit)
    for system in base.metrics.keys() & here.metrics.keys():
        for task in base.metrics[system].keys() & here.metrics[system].keys():
            path = str(predictions_file(system, task))
            if base.metrics[system][task] == here.metrics[system][task] or not Path(path).is_file():
                continue
            try:
                before = files.read_text(path, encoding="utf-8")
            except Exception:  # whatever keeps DVC from reading them: no cache, no remote, another layout
                continue
            # left out: other test rows than those of the base, and malformed rows or metrics
            with suppress(UserError, OSError, OverflowError, ValueError, KeyError, TypeError):
                sides = {"base": _predictions(before), "here": _predictions(Path(path).read_text(encoding="utf-8"))}
                asked = task_from(task, definition_at(here.params, task))
                (pair,) = compare_answers(asked, sides, score, here.params.get("seed", 0))
                scores = {"base": base.metrics[system][task], "here": here.metrics[system][task]}
                ahead = scores[pair.first][asked.main_metric] - scores[pair.second][asked.main_metric]
                if abs(pair.difference - ahead) < 1.51 * 10**-PLACES:  # three rounded numbers
                    pairs[system, task] = pair
    return pairs


def _predictions(text: str) -> list[Prediction]:
    return [Prediction.model_validate_json(line) for line in text.split("\n") if line]  # answers may hold other line separators


def _changes(base: Run, here: Run, pairs: Mapping[tuple[str, str], Pair], level: float) -> Iterator[Change]:
    """Every metric that moved, is new or is gone; those with a paired test are judged at significance ``level``.

    Raises UserError for malformed metrics.
    """
    for system in sorted(base.metrics.keys() | here.metrics.keys()):
        before, after = base.metrics.get(system, {}), here.metrics.get(system, {})
        for task in sorted(before.keys() | after.keys()):
            main = _main_metric(here, task)
            old = _values(before.get(task), main, (system, task), BASE)
            new = _values(after.get(task), main, (system, task), HERE)
            for metric in sorted(old.keys() | new.keys()):
                if old.get(metric) != new.get(metric):
                    pair = pairs.get((system, task)) if metric == main else None
                    verdict = _verdict(old.get(metric), new.get(metric), pair, level)
                    yield Change(system, task, metric, old.get(metric), new.get(metric), verdict)


def _values(scores: Any, main: str | None, place: tuple[str, str], side: tuple[str, str]) -> dict[str, Value]:
    """Each metric's value and interval, ``main`` first, then counts and costs; empty if the task has no scores.

    ``place`` is the system and the task. Left out are the values of single labels, since those of hundreds would not fit into
    a comment, and texts (the name of a tokenizer).
    """
    if scores is None:
        return {}
    try:
        scores = {name: value for name, value in scores.items() if not isinstance(value, Mapping | str)}
        names = [*([main] if main else []), *(name.removesuffix("_ci") for name in scores if name.endswith("_ci"))]
        metrics = {name: _value(scores[name], *scores[f"{name}_ci"]) for name in names}
        counts = {name: _value(scores[name]) for name in scores if name not in metrics and not name.endswith("_ci")}
        return {**metrics, **counts}
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        (system, task), (name, advice) = place, side
        problem = f"{metrics_file(system)} of {name} doesn't hold the scores of {task} as stage score@{system} writes them"
        raise UserError(f"{problem}; {advice}") from error


def _value(value: Any, *bounds: Any) -> Value:
    """Raises ValueError if a number isn't finite, TypeError or ValueError unless there are no bounds or two."""
    numbers = [float(each) for each in (value, *bounds)]
    if not all(map(math.isfinite, numbers)):
        raise ValueError("not a finite number")
    if not bounds:
        return Value(numbers[0], None)
    low, high = numbers[1:]
    return Value(numbers[0], (low, high))


def _verdict(old: Value | None, new: Value | None, pair: Pair | None, level: float) -> str:
    if old is None or new is None:
        return "new" if old is None else "gone"
    if old.interval is None or new.interval is None:
        return ""
    better = "better" if new.value > old.value else "worse"
    if pair is not None:
        return f"{better if pair.p < level else 'no significant difference'} (paired p {pair.p:.3f})"
    low, high = old.interval
    return "within its interval" if low <= new.value <= high else better


def _table(moved: list[Change]) -> list[str]:
    rows = [
        f"| {change.system} | {change.task}: {change.metric} | {_number(change.base)} | {_number(change.here)} | "
        f"{_difference(change)} | {change.verdict} |"
        for change in moved
    ]
    return ["| system | metric | base | here | change | |", "|---|---|---:|---:|---:|---|", *rows]


def _number(side: Value | None) -> str:
    return "–" if side is None else _written(side.value, side)


def _written(number: float, side: Value, sign: str = "") -> str:
    """A metric with four decimal places, a count as it is."""
    return f"{number:{sign}.4f}" if side.interval else f"{number:{sign},.10g}"


def _difference(change: Change) -> str:
    if change.base is None or change.here is None:
        return ""
    return _written(change.here.value - change.base.value, change.here, "+")


def _picture(moved: list[Change]) -> list[str]:
    """Both sides' values and intervals from 0 to 1, drawn with characters, since a comment can't show image files."""
    lines = []
    for change in moved:
        title = f"{change.system}, {change.task}"
        for name, side in (("base", change.base), ("here", change.here)):
            if side is not None:
                lines.append(f"{title:<28} {name} {_line(side)}")
                title = ""
    return ["```text", f"{'':<33} 0{'1':>{WIDTH}}", *lines, "```"]


def _line(side: Value) -> str:
    low, high = side.interval or (side.value, side.value)
    low, value, high = (min(WIDTH - 1, max(0, int(each * WIDTH))) for each in (low, side.value, high))
    line = [" "] * WIDTH
    line[low : high + 1] = "─" * (high + 1 - low)
    line[value] = "●"
    return f"│{''.join(line)}│"

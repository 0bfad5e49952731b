"""What a branch changes, for its pull request: parameters and metrics against the base, as Markdown."""

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
from ecomtune.runs.revisions import WORKSPACE, Run, git, leaves, run_at
from ecomtune.tasks.registry import load_task

#: By this line a workflow finds its own comment again.
MARK = "<!-- ecomtune pr-report -->"
WIDTH = 48


@dataclass(frozen=True)
class Value:
    """A metric's value and its interval; a count or cost has none."""

    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Change:
    """One metric of one system and task on both sides; None where a side doesn't have it."""

    system: str
    task: str
    metric: str
    base: Value | None
    here: Value | None
    verdict: str


def base_of(name: str) -> str:
    """The commit at which this branch left ``name``.

    Raises UserError where there is no such branch or commit, or the clone doesn't reach back to it.
    """
    if not git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"):
        raise UserError(f"there is no commit {name!r} to compare with; fetch it, or name another with --base")
    found = git("merge-base", name, "HEAD").strip()
    if not found:
        shallow = git("rev-parse", "--is-shallow-repository").strip() == "true"
        mend = "this clone is shallow: git fetch --unshallow" if shallow else "name a branch of this project with --base"
        raise UserError(f"{name} and HEAD have no common commit here; {mend}")
    return found


def report(name: str) -> str:
    """The Markdown page of the working tree against the commit at which it left ``name``."""
    commit = base_of(name)
    base, here = run_at(commit), run_at(WORKSPACE)
    score = _score(here.params)
    moved = list(changes(base, here, paired(commit, base, here, score), round(1 - score.confidence, 12)))
    main = [change for change in moved if change.metric == _main(change.task)]
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


def _main(task: str) -> str | None:
    """The main metric of a task; None for one that this branch no longer has."""
    try:
        return load_task(task).main_metric
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


def paired(commit: str, base: Run, here: Run, score: Score) -> dict[tuple[str, str], Pair]:
    """By system and task, both sides' answers compared, where both sides' predictions are at hand and of the same rows.

    Predictions in the working tree may be another commit's; those that don't differ as the metrics do are left out.
    """
    from dvc.api import DVCFileSystem

    found: dict[tuple[str, str], Pair] = {}
    files = DVCFileSystem(rev=commit)
    for system in base.metrics.keys() & here.metrics.keys():
        for task in base.metrics[system].keys() & here.metrics[system].keys():
            path = str(predictions_file(system, task))
            if base.metrics[system][task] == here.metrics[system][task] or not Path(path).is_file():
                continue
            try:
                before = files.read_text(path, encoding="utf-8")
            except Exception:  # whatever keeps DVC from having them: no cache, no remote, another layout
                continue
            # left out: other test rows than the base's, and rows or metrics of another shape
            with suppress(UserError, OSError, OverflowError, ValueError, KeyError, TypeError):
                sides = {"base": _answers(before), "here": _answers(Path(path).read_text(encoding="utf-8"))}
                (pair,) = compare_answers(task, sides, score, here.params.get("seed", 0))
                scores = {"base": base.metrics[system][task], "here": here.metrics[system][task]}
                ahead = scores[pair.first][_main(task)] - scores[pair.second][_main(task)]
                if abs(pair.difference - ahead) < 1.51 * 10**-PLACES:  # three rounded figures
                    found[system, task] = pair
    return found


def _answers(text: str) -> list[Prediction]:
    return [Prediction.model_validate_json(line) for line in text.split("\n") if line]  # an answer may hold other separators


def changes(base: Run, here: Run, pairs: Mapping[tuple[str, str], Pair], level: float) -> Iterator[Change]:
    """Every metric that moved, came or went, judged at ``level`` where paired.

    Raises UserError for metrics of another shape.
    """
    for system in sorted(base.metrics.keys() | here.metrics.keys()):
        before, after = base.metrics.get(system, {}), here.metrics.get(system, {})
        for task in sorted(before.keys() | after.keys()):
            old = _values(
                before, task, system, "the base", "run dvc repro there and commit it, or name another base with --base"
            )
            new = _values(after, task, system, "this branch", "run dvc repro and commit it")
            for metric in sorted(old.keys() | new.keys()):
                if old.get(metric) != new.get(metric):
                    pair = pairs.get((system, task)) if metric == _main(task) else None
                    verdict = _verdict(old.get(metric), new.get(metric), pair, level)
                    yield Change(system, task, metric, old.get(metric), new.get(metric), verdict)


def _values(scores: Mapping[str, Any], task: str, system: str, side: str, mend: str) -> dict[str, Value]:
    """Each metric's value and interval, counts and costs after them."""
    cell = scores.get(task)
    if cell is None:
        return {}
    try:
        main = _main(task)
        names = [*([main] if main else []), *(name.removesuffix("_ci") for name in cell if name.endswith("_ci"))]
        scored = {name: _value(cell[name], *cell[f"{name}_ci"]) for name in names}
        counts = {name: _value(cell[name]) for name in cell if name not in scored and not name.endswith("_ci")}
        return {**scored, **counts}
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        told = f"{metrics_file(system)} of {side} doesn't hold the scores of {task} as stage score@{system} writes them"
        raise UserError(f"{told}; {mend}") from error


def _value(value: Any, *bounds: Any) -> Value:
    """Raises ValueError where a number isn't finite, TypeError or ValueError where there are not two bounds or none."""
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
        return f"{better if pair.p < level else 'not told apart'} (paired p {pair.p:.3f})"
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
    """A metric to four places, a count as it is."""
    return f"{number:{sign}.4f}" if side.interval else f"{number:{sign},.10g}"


def _difference(change: Change) -> str:
    if change.base is None or change.here is None:
        return ""
    return _written(change.here.value - change.base.value, change.here, "+")


def _picture(moved: list[Change]) -> list[str]:
    """Values with their intervals from 0 to 1, both sides one under the other, in characters: a comment shows no files."""
    lines = []
    for change in moved:
        title = f"{change.system}, {change.task}"
        for name, side in (("base", change.base), ("here", change.here)):
            if side is not None:
                lines.append(f"{title:<28} {name} {_strip(side)}")
                title = ""
    return ["```text", f"{'':<33} 0{'1':>{WIDTH}}", *lines, "```"]


def _strip(side: Value) -> str:
    low, high = side.interval or (side.value, side.value)
    low, value, high = (min(WIDTH - 1, max(0, int(each * WIDTH))) for each in (low, side.value, high))
    line = [" "] * WIDTH
    line[low : high + 1] = "─" * (high + 1 - low)
    line[value] = "●"
    return f"│{''.join(line)}│"

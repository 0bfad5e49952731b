"""Every two systems of a task against each other, from their predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ecomtune.core.config import Score
from ecomtune.core.config.params import Params
from ecomtune.core.paths import PREDICTIONS, predictions_file
from ecomtune.core.records import Prediction, read_task
from ecomtune.messages.errors import UserError
from ecomtune.metrics.paired import Pair, compare_pairs
from ecomtune.metrics.registry import load_metric
from ecomtune.tasks.registry import load_task

Pairs = dict[str, list[dict[str, Any]]]


def compare(params: Params, predictions: Path = PREDICTIONS) -> Pairs:
    """For each task all pairs of systems that answer it, by its main metric (see :func:`compare_pairs`).

    Raises UserError where two systems have not answered the same test rows.
    """
    found: Pairs = {}
    for key in params.tasks:
        systems = [name for name, system in params.systems.items() if key in system.tasks]
        if len(systems) < 2:
            found[key] = []
            continue
        answered = {name: read_task(predictions / name / f"{key}.jsonl", Prediction, key) for name in systems}
        found[key] = [asdict(pair) for pair in compare_answers(key, answered, params.score, params.seed)]
    return found


def compare_answers(key: str, answered: Mapping[str, Sequence[Prediction]], score: Score, seed: int) -> list[Pair]:
    """Every two of several systems' answers to one task. Raises UserError where they are to other test rows."""
    rows, task = _same_rows(key, answered), load_task(key)
    return compare_pairs(
        load_metric(task.metric),
        task.main_metric,
        {name: [each.parsed for each in given] for name, given in answered.items()},
        [row.reference for row in rows],
        [row.group for row in rows],
        resamples=score.bootstrap,
        confidence=score.confidence,
        seed=seed,
    )


def _same_rows(task: str, answered: Mapping[str, Sequence[Prediction]]) -> Sequence[Prediction]:
    """The rows that all systems have answered in the same order."""
    first, *others = answered
    rows = answered[first]
    for name in others:
        if [(row.id, row.reference, row.group) for row in answered[name]] != [
            (row.id, row.reference, row.group) for row in rows
        ]:
            raise UserError(
                f"{predictions_file(name, task)} answers other rows than {first} does, so the two can't be compared; "
                "run dvc repro"
            )
    return rows


def sentences(pairs: Pairs, confidence: float) -> list[str]:
    """For each task than which systems its best one is significantly better, and than which not, in words."""
    lines = []
    for task, found in pairs.items():
        if not found:
            continue
        best = found[0]["first"]
        against = [pair for pair in found if pair["first"] == best]
        beaten = [_told(pair) for pair in against if is_significant(pair, confidence)]
        level = [_told(pair) for pair in against if not is_significant(pair, confidence)]
        lines += [f"{task}: {best} is significantly better than {', '.join(beaten)}"] if beaten else []
        lines += [f"{task}: {best} is not significantly better than {', '.join(level)}"] if level else []
    return lines


def explained(confidence: float) -> str:
    """Why a difference may not be significant whose interval leaves out 0, in one line."""
    level = f"{100 * confidence:g}% intervals hold each by itself, p is corrected by Holm for all pairs of its task"
    return f"{level}: so a difference may not be significant though its interval leaves out 0"


def is_significant(pair: Mapping[str, Any], confidence: float) -> bool:
    """Whether a pair's corrected p is below 1 - ``confidence`` (rounded: 1 - 0.95 is a hair above 0.05 in floating point)."""
    p: float = pair["p_holm"]
    return p < round(1 - confidence, 12)


def _told(pair: dict[str, Any]) -> str:
    low, high = pair["ci"]
    return f"{pair['second']} (+{pair['difference']:.3f}, {low:.3f} to {high:.3f}, p {pair['p_holm']:.4f})"

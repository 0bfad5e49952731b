"""Every two systems of a task compared by their predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ecomtune.core.config import Score
from ecomtune.core.config.params import Params
from ecomtune.core.paths import predictions_file
from ecomtune.core.records import Prediction
from ecomtune.messages.errors import UserError
from ecomtune.metrics.bootstrap import Resampling
from ecomtune.metrics.graded import graded
from ecomtune.metrics.paired import AnsweredRows, Pair, compare_pairs
from ecomtune.metrics.registry import metric_of
from ecomtune.report.outcomes import Answers
from ecomtune.report.summary import Pairs
from ecomtune.tasks.base import Task
from ecomtune.tasks.registry import load_task


def compare_systems(params: Params, answers: Answers) -> Pairs:
    """For each task all pairs of systems that answer it, by its main metric (see :func:`compare_pairs`).

    Raises UserError if two systems answered different test rows.
    """
    return {
        task: compare_answers(load_task(params, task), by_system, params.score, params.seed) if len(by_system) > 1 else []
        for task, by_system in answers.items()
    }


def compare_answers(task: Task, answers: Mapping[str, Sequence[Prediction]], score: Score, seed: int) -> list[Pair]:
    """Compare every two systems that answer a task. Raises UserError if they answered different test rows."""
    rows = _common_rows(task.name, answers)
    answered = AnsweredRows(
        {name: [graded(each)[0] for each in own] for name, own in answers.items()},
        [graded(row)[1] for row in rows],
        [row.group for row in rows],
    )
    return compare_pairs(metric_of(task), task.main_metric, answered, Resampling(score.bootstrap, score.confidence, seed))


def _common_rows(task: str, answers: Mapping[str, Sequence[Prediction]]) -> Sequence[Prediction]:
    """The first system's predictions, whose rows all systems answered in the same order."""
    first, *others = answers
    rows = [(row.id, graded(row)[1], row.group) for row in answers[first]]
    for name in others:
        if [(row.id, graded(row)[1], row.group) for row in answers[name]] != rows:
            raise UserError(
                f"{predictions_file(name, task)} answers other rows than {first} does, so the two can't be compared; "
                "run dvc repro"
            )
    return answers[first]


def sentences(pairs: Pairs, confidence: float) -> list[str]:
    """For each task, which systems its best one is significantly better than, and which not."""
    lines = []
    for task, found in pairs.items():
        if not found:
            continue
        best = found[0].first
        against = [pair for pair in found if pair.first == best]
        beaten = [_second(pair) for pair in against if pair.is_significant(confidence)]
        level = [_second(pair) for pair in against if not pair.is_significant(confidence)]
        lines += [f"{task}: {best} is significantly better than {', '.join(beaten)}"] if beaten else []
        lines += [f"{task}: {best} is not significantly better than {', '.join(level)}"] if level else []
    return lines


def _second(pair: Pair) -> str:
    low, high = pair.ci
    return f"{pair.second} (+{pair.difference:.3f}, {low:.3f} to {high:.3f}, p {pair.p_holm:.4f})"


def interval_caveat(confidence: float) -> str:
    """Why a difference whose interval excludes 0 may not be significant, in one line."""
    return (
        f"p is corrected by Holm for all pairs of a task, the {100 * confidence:g}% intervals are not: a difference whose "
        "interval excludes 0 may therefore not be significant"
    )

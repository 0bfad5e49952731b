"""What every system answered to each test row, and how good each answer is by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ecomtune.core.config.params import Params
from ecomtune.core.paths import predictions_file
from ecomtune.core.records import Prediction, read_task
from ecomtune.metrics.graded import graded
from ecomtune.metrics.registry import metric_of
from ecomtune.tasks.base import Task

#: By task and system, the system's predictions in the order of the test rows.
Answers = dict[str, dict[str, list[Prediction]]]
Outcome = Literal["right", "wrong", "malformed"]


def read_answers(params: Params) -> Answers:
    """The predictions of every system that params name. Raises UserError if any are missing or broken."""
    return {
        key: {
            name: read_task(predictions_file(name, key), Prediction, key)
            for name, system in params.systems.items()
            if key in system.tasks
        }
        for key in params.tasks
    }


def outcome(task: Task, prediction: Prediction) -> Outcome:
    """An answer is right if it equals gold: the label, all tags, or one of the texts word by word."""
    if prediction.parsed is None:
        return "malformed"
    if task.decoder != "text":
        return "right" if prediction.parsed == prediction.reference else "wrong"
    texts = [prediction.reference] if isinstance(prediction.reference, str) else prediction.reference
    return "right" if " ".join(prediction.parsed) in [text.strip() for text in texts] else "wrong"


def answer_scores(task: Task, predictions: Sequence[Prediction]) -> list[float]:
    """The task's main metric of each answer by itself; 1 for a right one, even if neither it nor gold has an entity."""
    given, gold = zip(*map(graded, predictions), strict=True)
    values = metric_of(task).row_values(given, gold)
    pairs = zip(predictions, values[task.main_metric], strict=True)
    return [1.0 if outcome(task, each) == "right" else round(float(value), 3) for each, value in pairs]

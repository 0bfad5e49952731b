"""What the page shows, as JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from ecomtune.core.config.params import Params
from ecomtune.core.paths import EXAMPLES, examples_file, predictions_file
from ecomtune.core.records import Example, Prediction, Reference, read_task
from ecomtune.messages.errors import UserError
from ecomtune.report import provenance
from ecomtune.report.confusion import confusion_matrix, label_pairs
from ecomtune.report.merge_weights import merge_weights
from ecomtune.report.outcomes import Answers, answer_scores, outcome
from ecomtune.report.pairs import interval_caveat
from ecomtune.report.quality_cost import HEADER, cost_remarks, cost_rows, unbeaten
from ecomtune.report.summary import Summary
from ecomtune.report.systems_table import few_groups_warnings
from ecomtune.tasks.base import Task
from ecomtune.tasks.registry import load_task

#: Test rows of each task that are in the page, the first ones, so that it opens on a phone; all of them are compared.
ROWS: Final = 500
#: Longer texts, and lists of more items, are cut in the page; their rows say so.
CHARACTERS: Final = 1000
ITEMS: Final = 40


def content(params: Params, summary: Summary, answers: Answers) -> dict[str, Any]:
    """Everything that the page shows but its pictures.

    Raises UserError if a system answered other rows than data/examples holds.
    """
    return {
        "alpha": round(1 - params.score.confidence, 6),
        "caveat": interval_caveat(params.score.confidence),
        "costs": {
            "header": HEADER,
            "remarks": cost_remarks(summary),
            "rows": [[row[1] in unbeaten(summary, row[0]), *row] for row in cost_rows(summary)],
        },
        "interval": summary.interval,
        "made_up": provenance.made_up(params),
        "merges": merge_weights(params.merge.recipes),
        "sources": provenance.sources(params, EXAMPLES),
        "systems": list(summary.systems),
        "tasks": [_task(load_task(params, key), summary, by_system) for key, by_system in answers.items() if by_system],
        "warnings": few_groups_warnings(summary),
    }


def _task(task: Task, summary: Summary, answers: Mapping[str, list[Prediction]]) -> dict[str, Any]:
    """A task's cells, confusion matrices and pairs, and its first rows with every system's answer."""
    key = task.name
    return {
        "cells": {name: asdict(cell) for name, cell in summary.cells(key).items()},
        "confusion": {name: confusion_matrix(task, label_pairs(task, own)) for name, own in answers.items()},
        "decoder": task.decoder,
        "metric": summary.main_metric[key],
        "name": key,
        "pairs": [asdict(pair) for pair in summary.pairs[key]],
        **_examples(task, answers, examples_file(key, "test")),
    }


def _examples(task: Task, answers: Mapping[str, list[Prediction]], file: Path) -> dict[str, Any]:
    """The number of test rows, and the first of them with every system's answer."""
    examples = read_task(file, Example, task.name)
    for name, predictions in answers.items():
        if [each.id for each in predictions] != [each.id for each in examples]:
            raise UserError(f"{predictions_file(name, task.name)} answers other rows than {file} holds; run dvc repro")
    shown = {name: predictions[:ROWS] for name, predictions in answers.items()}
    scores = {name: answer_scores(task, predictions) for name, predictions in shown.items()}
    rows = [
        _row(task, example, {name: (shown[name][place], scores[name][place]) for name in answers})
        for place, example in enumerate(examples[:ROWS])
    ]
    return {"rows": rows, "total": len(examples)}


def _row(task: Task, example: Example, answers: Mapping[str, tuple[Prediction, float]]) -> dict[str, Any]:
    """A row: its inputs and gold, and for each system the outcome, the score and the answer as parsed, or raw if it is a text
    or malformed."""
    texts = {
        name: each.answer if each.parsed is None or task.decoder == "text" else each.parsed
        for name, (each, _) in answers.items()
    }
    values = [*example.fields.values(), example.reference, *texts.values()]
    return {
        "answers": {name: [outcome(task, each), score, cut(texts[name])] for name, (each, score) in answers.items()},
        "cut": any(cut(value) != value for value in values),
        "fields": {name: cut(value) for name, value in example.fields.items()},
        "gold": cut(example.reference),
        "id": example.id,
    }


def cut(value: Reference) -> Reference:
    """The first CHARACTERS of a text, or of each of the first ITEMS of a list."""
    if isinstance(value, list):
        return [_cut_text(item) for item in value[:ITEMS]]
    return _cut_text(value)


def _cut_text(text: str) -> str:
    return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}…"

"""What the page shows, as JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ecomtune.core.config.params import Params
from ecomtune.core.paths import EXAMPLES, predictions_file
from ecomtune.core.records import Example, Prediction, Reference, read_task
from ecomtune.messages.errors import UserError
from ecomtune.report import provenance
from ecomtune.report import quality_cost as costs
from ecomtune.report.confusion import confused, matrix
from ecomtune.report.merge_weights import merge_weights
from ecomtune.report.outcomes import Answers, outcome, scores
from ecomtune.report.pairs import Pairs, explained
from ecomtune.report.summary import interval, warnings
from ecomtune.tasks.base import Task
from ecomtune.tasks.registry import load_task

#: The first test rows of each task that are in the page, so that it opens on a phone; all of them are compared.
ROWS: Final = 500
#: Longer texts, and lists of more items, are cut in the page; a row of which something is cut says so.
CHARACTERS: Final = 1000
ITEMS: Final = 40


def content(
    params: Params,
    summary: dict[str, Any],
    pairs: Pairs,
    answered: Answers,
    examples: Path = EXAMPLES,
) -> dict[str, Any]:
    """Everything that the page shows, of :func:`summarize`, :func:`compare` and :func:`read_answers`.

    Raises UserError where a system answered other rows than ``examples`` holds.
    """
    return {
        "alpha": round(1 - params.score.confidence, 6),
        "costs": {
            "header": costs.HEADER,
            "remarks": costs.remarks(summary),
            "rows": [[row[1] in costs.unbeaten(summary, row[0]), *row] for row in costs.rows(summary)],
        },
        "explained": explained(params.score.confidence),
        "interval": interval(summary),
        "made_up": provenance.made_up(params),
        "merges": merge_weights(params.merge.recipes),
        "sources": provenance.sources(params, examples),
        "systems": list(summary["systems"]),
        "tasks": [
            {
                "cells": {name: cells[key] for name, cells in summary["systems"].items() if key in cells},
                "confusion": {name: matrix(load_task(key), confused(load_task(key), own)) for name, own in given.items()},
                "decoder": load_task(key).decoder,
                "metric": summary["main_metric"][key],
                "name": key,
                "pairs": pairs[key],
                **_examples(load_task(key), given, examples / key / "test.jsonl"),
            }
            for key, given in answered.items()
            if given
        ],
        "warnings": warnings(summary),
    }


def _examples(task: Task, given: Mapping[str, list[Prediction]], file: Path) -> dict[str, Any]:
    """The number of test rows, and the first of them with every system's answer."""
    examples = read_task(file, Example, task.name)
    for name, predictions in given.items():
        if [each.id for each in predictions] != [each.id for each in examples]:
            raise UserError(f"{predictions_file(name, task.name)} answers other rows than {file} holds; run dvc repro")
    shown = {name: predictions[:ROWS] for name, predictions in given.items()}
    alone = {name: scores(task, predictions) for name, predictions in shown.items()}
    rows = [
        _row(task, example, {name: (shown[name][place], alone[name][place]) for name in given})
        for place, example in enumerate(examples[:ROWS])
    ]
    return {"rows": rows, "total": len(examples)}


def _row(task: Task, example: Example, answers: Mapping[str, tuple[Prediction, float]]) -> dict[str, Any]:
    """A row: its fields and gold, and by system the outcome, the score and what is shown: the meaning, else the raw answer."""
    meanings = {
        name: each.answer if each.parsed is None or task.decoder == "text" else each.parsed
        for name, (each, _) in answers.items()
    }
    whole = [*example.fields.values(), example.reference, *meanings.values()]
    return {
        "answers": {name: [outcome(task, each), score, cut(meanings[name])] for name, (each, score) in answers.items()},
        "cut": any(cut(value) != value for value in whole),
        "fields": {name: cut(value) for name, value in example.fields.items()},
        "gold": cut(example.reference),
        "id": example.id,
    }


def cut(value: Reference) -> Reference:
    """A text of at most CHARACTERS, or a list of at most ITEMS of them."""
    if isinstance(value, list):
        return [_short(item) for item in value[:ITEMS]]
    return _short(value)


def _short(text: str) -> str:
    return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}…"

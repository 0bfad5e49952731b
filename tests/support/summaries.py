"""Summaries of made-up runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecomtune.report.summary import Cell, Scores, Similarity, Summary

#: A cell's parts that a test doesn't care about.
CELL = {"metric": "f1", "value": 0.5, "ci": (0.4, 0.6), "n": 48, "groups": 11, "invalid": 0, "costs": {}, "model": "m"}


def cell(**values: Any) -> Cell:
    """A cell with these values."""
    return Cell(**{**CELL, **values})


def scores(systems: Mapping[str, Mapping[str, Cell]], tasks: tuple[str, ...] = ("ner",), confidence: float = 0.95) -> Scores:
    """The scores of these cells by system and task, all in F1."""
    return Scores(
        confidence=confidence,
        left_over=[],
        main_metric=dict.fromkeys(tasks, "f1"),
        systems={name: dict(cells) for name, cells in systems.items()},
    )


def summary(scores: Scores, **found: Any) -> Summary:
    """A summary of scores; what isn't given is empty."""
    empty: dict[str, Any] = {"costs": {}, "pairs": {}, "similarity": Similarity(adapters=[], pairs=[]), "transfer": {}}
    return Summary.of(scores, **{**empty, **found})


def summary_json(pairs: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """A summary as in reports/summary.json, with these pairs and no systems."""
    return {
        "confidence": 0.95,
        "costs": {},
        "left_over": [],
        "main_metric": {},
        "pairs": dict(pairs),
        "similarity": {"adapters": [], "pairs": []},
        "systems": {},
        "transfer": {},
    }

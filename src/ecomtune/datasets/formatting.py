"""From a data set's rows to a task's examples, with every rejected row kept and named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from ecomtune.datasets.splits import check_leakage, sample, split_rows
from ecomtune.errors import UserError
from ecomtune.records import Example, Rejected, Row
from ecomtune.sections import TaskSettings
from ecomtune.tasks.base import Task, text_of


def format_rows(
    task: Task, rows: Iterable[Row | Rejected], settings: TaskSettings, seed: int
) -> tuple[dict[str, list[Example]], list[Rejected], dict[str, Any]]:
    """Examples by split, rejected rows with their reason, and a report of counts.

    Raises UserError where no row is left in a split, too many are rejected, or a test input stands in train.
    """
    kept, rejected = _sort_out(task, rows)
    total = len(kept) + len(rejected)
    if total and len(rejected) / total > settings.max_rejected:
        first = rejected[0]
        raise UserError(
            f"tasks.{task.name}: {len(rejected)} of {total} rows are rejected, more than max_rejected "
            f"{settings.max_rejected} allows, the first ({first.source}) as {first.reason}; mend the data or raise it"
        )
    available = split_rows(kept, seed)
    sizes = {"train": settings.train_size, "validation": settings.validation_size, "test": settings.test_size}
    chosen = {split: sample(available[split], size, seed) for split, size in sizes.items()}
    for split, size in sizes.items():
        if size and not chosen[split]:
            raise UserError(f"tasks.{task.name}: data set {settings.dataset} has no {split} rows; name another data set")
    check_leakage(task.name, chosen, lambda row: task.input_key(row.fields))
    examples = {
        split: [_example(task, row, settings, f"{task.name}-{split}-{place:06d}") for place, row in enumerate(rows)]
        for split, rows in chosen.items()
    }
    return examples, rejected, _report(task, settings, available, chosen, rejected)


def _sort_out(task: Task, rows: Iterable[Row | Rejected]) -> tuple[list[Row], list[Rejected]]:
    kept: list[Row] = []
    rejected: list[Rejected] = []
    for row in rows:
        if isinstance(row, Rejected):
            rejected.append(row)
        elif reason := fault(task, row):
            rejected.append(Rejected(source=row.source, reason=reason))
        else:
            kept.append(row)
    return kept, rejected


def fault(task: Task, row: Row) -> str | None:
    """Why a row can't become an example, or None. A target that doesn't parse back to its reference is a fault too."""
    for name in task.required_fields:
        if not text_of(row.fields, name).strip():
            return f"field {name} is missing or empty"
    try:
        target = task.target(row.fields, row.reference)
    except ValueError as error:
        return str(error)
    expected = [target] if task.decoder == "text" else row.reference
    return None if task.parse(target, row.fields) == expected else "its target doesn't parse back to its reference"


def _example(task: Task, row: Row, settings: TaskSettings, identity: str) -> Example:
    return Example(
        id=identity,
        task=task.name,
        prompt=task.prompt(row.fields, settings.prompt),
        target=task.target(row.fields, row.reference),
        reference=row.reference,
        fields=row.fields,
        group=row.group,
        source=row.source,
    )


def _report(
    task: Task,
    settings: TaskSettings,
    available: dict[str, list[Row]],
    chosen: dict[str, list[Row]],
    rejected: list[Rejected],
) -> dict[str, Any]:
    return {
        "dataset": settings.dataset,
        "task": task.name,
        "task_version": task.version,
        "rejected": dict(sorted(Counter(row.reason for row in rejected).items())),
        "shared_between_splits": {"groups": 0, "inputs": 0},  # check_leakage has stopped on any other number
        "splits": {
            split: {
                "available": len(available[split]),
                "rows": len(rows),
                "groups": len({row.group for row in rows}),
            }
            for split, rows in chosen.items()
        },
    }

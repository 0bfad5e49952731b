"""Warnings about a task's rows: stages print them, and no output contains them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def unlearnable(report: Mapping[str, Any]) -> list[str]:
    """One line for each label of a format report that occurs in test rows and in no training row."""
    train, test = (report["splits"][split].get("labels", {}) for split in ("train", "test"))
    return [
        f"{report['task']}: no training row has the label {label}, which {number} test rows have, so no model can learn "
        f"it; raise tasks.{report['task']}.train_size, or add such rows to the data set if it has none for training"
        for label, number in test.items()
        if number and not train[label]
    ]


def few_groups(task: str, groups: int, enough: int) -> str | None:
    """A one-line warning that a task's test rows belong to too few groups, or None where there are ``enough``."""
    if groups >= enough:
        return None
    more = f"raise tasks.{task}.test_size, or use more data if its test split has no more groups"
    return f"{task}: too few groups ({groups}, of at least {enough}) for its intervals and p-values to be reliable; {more}"

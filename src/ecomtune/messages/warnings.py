"""Warnings about a task's rows, which stages print and no output holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def unlearnable(report: Mapping[str, Any]) -> list[str]:
    """A line for each label that test rows of a format report have, and no training row."""
    train, test = (report["splits"][split].get("labels", {}) for split in ("train", "test"))
    return [
        f"{report['task']}: no training row has the label {label}, which {number} test rows have, so that nothing trained can "
        f"learn it; raise tasks.{report['task']}.train_size, or add such rows to the data set where it has none for training"
        for label, number in test.items()
        if number and not train[label]
    ]


def few_groups(task: str, groups: int, enough: int) -> str | None:
    """A warning that a task's test rows belong to too few groups, in one line; None where there are ``enough``."""
    if groups >= enough:
        return None
    more = f"take more rows with tasks.{task}.test_size, or more data where its test split has no more groups"
    return f"{task}: too few groups ({groups}, of at least {enough}) for its intervals and p-values to be reliable; {more}"

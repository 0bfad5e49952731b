"""Warnings about a task's rows: stages print them, and no output contains them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def other_script(task: str, references: Sequence[str | Sequence[str]]) -> str | None:
    """A one-line warning that most gold texts are not in Latin letters, or None where they are.

    Each reference is a text or several. A text without any letter isn't in another script.
    """
    texts = [each if isinstance(each, str) else " ".join(each) for each in references]
    others = sum(map(_is_mostly_other, texts))
    if 2 * others <= len(texts):
        return None
    return (
        f"{task}: {others} of {len(texts)} gold texts are not in Latin letters, the only ones that ROUGE's tokenizer latin "
        "reads, so even right answers score near 0; set tokenizer: unicode in the task's definition"
    )


def _is_mostly_other(text: str) -> bool:
    letters = [char for char in text if char.isalpha()]
    latin = sum(char < "\u0250" or "\u1e00" <= char <= "\u1eff" for char in letters)
    return 2 * latin < len(letters)

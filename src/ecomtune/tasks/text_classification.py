"""Classification: one label of a closed set for a text, or for a pair of texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ecomtune.core.records import Reference
from ecomtune.messages.advice import nearest
from ecomtune.tasks.base import PromptForm, Task
from ecomtune.tasks.row_text import Fields


@dataclass(frozen=True)
class Classification(Task):
    """Reference: one of the definition's labels. An answer is the label, in any case, with or without a full stop."""

    metric = "classification"

    @property
    def metric_options(self) -> Mapping[str, Any]:
        return {"f1_of": self.definition.f1_of} if self.definition.f1_of else {}

    @cached_property
    def _by_answer(self) -> dict[str, str]:
        return {_folded(label): label for label in self.labels}

    def instruction(self, form: PromptForm) -> str:
        """The instruction, and behind it the labels with their meanings where it doesn't name all of them."""
        text = super().instruction(form)
        if all(label in text for label in self.labels):
            return text
        meanings = self.definition.labels
        if any(meanings.values()):
            lines = [f"- {label}: {meaning}" if meaning else f"- {label}" for label, meaning in meanings.items()]
            return "\n".join([text, "Labels:", *lines])
        return f"{text}\nLabels: {', '.join(meanings)}."

    def target(self, fields: Fields, reference: Reference) -> str:
        if not isinstance(reference, str) or reference not in self.definition.labels:
            raise ValueError(_unknown_label(reference, self.labels))
        return reference

    def parse(self, answer: str, fields: Fields) -> str | None:
        return self._by_answer.get(_folded(answer.strip()))


def _folded(answer: str) -> str:
    return answer.rstrip(".").casefold()


def _unknown_label(label: Reference, labels: tuple[str, ...]) -> str:
    near = nearest(label, labels) if isinstance(label, str) else None
    shown = ", ".join(labels[:8]) + (f" and {len(labels) - 8} others" if len(labels) > 8 else "")
    return f"label {label!r} is not one of {shown}" + (f"; the nearest is {near}" if near else "")

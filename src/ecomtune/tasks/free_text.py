"""Summarization and generation: a short text from a row's inputs, scored by ROUGE against one or more references."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ecomtune.core.records import Reference
from ecomtune.tasks.base import Task
from ecomtune.tasks.row_text import Fields


@dataclass(frozen=True)
class FreeText(Task):
    """Reference: one or more texts, the first of which is the target."""

    metric = "rouge"

    @property
    def metric_options(self) -> Mapping[str, Any]:
        return {"tokenizer": self.definition.tokenizer} if self.definition.tokenizer != "latin" else {}

    def target(self, fields: Fields, reference: Reference) -> str:
        texts = [reference] if isinstance(reference, str) else reference
        if not texts or not texts[0].strip():
            raise ValueError("the reference text is empty")
        return texts[0].strip()

    def parse(self, answer: str, fields: Fields) -> list[str] | None:
        text = answer.strip()
        return [text] if text else None

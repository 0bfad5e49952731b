"""What every task defines: its prompt, its target, its parser of answers, its metric."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from ecomtune.core.records import Reference
from ecomtune.core.text import normalize

Fields = Mapping[str, str | list[str]]
PromptForm = Literal["compact", "long"]


class Task(ABC):
    """A language task over rows of named inputs.

    ``version`` is raised whenever a change of prompts, parsing or the metric changes scores; ``metric`` names a module of
    ``ecomtune.metrics`` and ``main_metric`` the value by which systems are compared (higher is better in all four).
    ``decoder`` is the kind of answer: one of the closed set ``labels``, one tag per word, or free text.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    required_fields: ClassVar[tuple[str, ...]]
    decoder: ClassVar[Literal["label", "tags", "text"]]
    metric: ClassVar[str]
    main_metric: ClassVar[str]
    instructions: ClassVar[Mapping[PromptForm, str]]
    labels: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def body(self, fields: Fields) -> str:
        """The part of a prompt that differs from row to row; it ends with the cue that the answer follows."""

    @abstractmethod
    def target(self, fields: Fields, reference: Reference) -> str:
        """The right answer as text. Raises ValueError where the reference doesn't fit the inputs."""

    @abstractmethod
    def parse(self, answer: str, fields: Fields) -> Reference | None:
        """The task-typed meaning of an answer, or None where it is malformed; never raises."""

    def prompt(self, fields: Fields, form: PromptForm, demonstrations: Sequence[tuple[Fields, str]] = ()) -> str:
        """Instruction, demonstrations (inputs and target) and the row itself, separated by blank lines."""
        shots = [f"{self.body(shown)} {target}" for shown, target in demonstrations]
        return "\n\n".join([self.instructions[form], *shots, self.body(fields)])

    def answer_choices(self, previous: str | None) -> Sequence[str]:
        """The answer words that may follow ``previous`` (None at the start), where ``decoder`` is tags."""
        return ()

    def label_index(self, reference: Reference) -> int:
        """The index of a label among the task's labels, by which samples are stratified; 0 where the task has no labels."""
        return self.labels.index(reference) if isinstance(reference, str) and reference in self.labels else 0

    def input_key(self, fields: Fields) -> str:
        """The row's required inputs, lower-cased and without punctuation: near copies have equal keys.

        Each input has a line of its own; one that is punctuation alone is kept unchanged.
        """
        texts = [text_of(fields, name) for name in self.required_fields]
        return "\n".join(normalize(text) or text for text in texts)


def text_of(fields: Fields, name: str) -> str:
    """An input as one text; the items of a list are joined by spaces."""
    value = fields.get(name, "")
    return value if isinstance(value, str) else " ".join(value)


def texts_of(fields: Fields, name: str) -> list[str]:
    """An input as a list of texts."""
    value = fields.get(name, [])
    return [value] if isinstance(value, str) else list(value)


def first_text(reference: Reference) -> str:
    """The reference text that is the target. Raises ValueError where there is none."""
    texts = [reference] if isinstance(reference, str) else reference
    if not texts or not texts[0].strip():
        raise ValueError("the reference text is empty")
    return texts[0].strip()


def as_texts(answer: str) -> list[str] | None:
    """A free-text answer as a list of one text, or None where it is empty."""
    text = answer.strip()
    return [text] if text else None

"""What every task says of itself: its prompt, its target, its parser of answers, its metric."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from ecomtune.core.records import Reference
from ecomtune.core.text import normalize

Fields = Mapping[str, str | list[str]]
PromptForm = Literal["compact", "long"]


class Task(ABC):
    """A language task over rows of named fields.

    ``version`` is raised whenever prompts, parsing or the metric change the numbers; ``metric`` names a module of
    ``ecomtune.metrics`` and ``main_metric`` the value by which systems are compared (higher is better in all four).
    ``decoder`` is the kind of answer: one of the closed set ``labels``, one tag a word, or free text.
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
        """The part of a prompt that changes from row to row; it ends with the cue that the answer follows."""

    @abstractmethod
    def target(self, fields: Fields, reference: Reference) -> str:
        """The answer a perfect model gives. Raises ValueError where the reference doesn't fit the fields."""

    @abstractmethod
    def parse(self, answer: str, fields: Fields) -> Reference | None:
        """The task-typed meaning of an answer, or None where it is malformed; never raises."""

    def prompt(self, fields: Fields, form: PromptForm, demonstrations: Sequence[tuple[Fields, str]] = ()) -> str:
        """Instruction, solved demonstrations (fields and target), and the row itself, apart by blank lines."""
        solved = [f"{self.body(shown)} {target}" for shown, target in demonstrations]
        return "\n\n".join([self.instructions[form], *solved, self.body(fields)])

    def answer_choices(self, previous: str | None) -> Sequence[str]:
        """Where ``decoder`` is tags: the answer words that may follow ``previous`` (None at the start)."""
        return ()

    def stratum(self, reference: Reference) -> int:
        """The place of a label among the task's, by which samples are stratified; 0 where the task has no labels."""
        return self.labels.index(reference) if isinstance(reference, str) and reference in self.labels else 0

    def input_key(self, fields: Fields) -> str:
        """The row's input after lower-casing and without punctuation and white space: equal keys are near copies.

        Fields stay apart; one of punctuation alone is its own key.
        """
        texts = [text_of(fields, name) for name in self.required_fields]
        return "\n".join(normalize(text) or text for text in texts)


def text_of(fields: Fields, name: str) -> str:
    """A field as one text; the parts of a list are joined by spaces."""
    value = fields.get(name, "")
    return value if isinstance(value, str) else " ".join(value)


def texts_of(fields: Fields, name: str) -> list[str]:
    """A field as a list of texts."""
    value = fields.get(name, [])
    return [value] if isinstance(value, str) else list(value)


def first_text(reference: Reference) -> str:
    """The text that training aims at. Raises ValueError where there is none."""
    texts = [reference] if isinstance(reference, str) else reference
    if not texts or not texts[0].strip():
        raise ValueError("the reference text is empty")
    return texts[0].strip()


def as_texts(answer: str) -> list[str] | None:
    """A free-text answer as a list of one text, or None where it is empty."""
    text = answer.strip()
    return [text] if text else None

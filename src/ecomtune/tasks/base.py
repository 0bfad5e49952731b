"""What a task of each kind defines: its prompt, its target, its parser of answers, its metric."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ecomtune.core.config.definition import AnswerKind, TaskDefinition
from ecomtune.core.records import EntityPair, Reference
from ecomtune.core.text import normalize
from ecomtune.tasks.row_text import Fields, body, text_of

PromptForm = Literal["compact", "long"]


@dataclass(frozen=True)
class Task(ABC):
    """A task of one kind over rows of named inputs, by its definition; ``name`` is its key in params.yaml.

    ``metric`` names a module of ``ecomtune.metrics``, which ``metric_options`` are for; ``main_metric`` is the value by which
    systems are compared (higher is better).
    """

    name: str
    definition: TaskDefinition
    metric: ClassVar[str]

    @property
    def decoder(self) -> AnswerKind:
        """The kind of answer: one of the closed set ``labels``, one tag per word, or free text."""
        return self.definition.answer

    @property
    def required_fields(self) -> tuple[str, ...]:
        """The inputs that every row has."""
        return self.definition.required

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of a classification task; none for other kinds."""
        return tuple(self.definition.labels)

    @property
    def main_metric(self) -> str:
        """The metric by which systems are compared."""
        return self.definition.main_metric

    @property
    def metric_options(self) -> Mapping[str, Any]:
        """What the metric is made with, besides its defaults."""
        return {}

    @abstractmethod
    def target(self, fields: Fields, reference: Reference) -> str:
        """The right answer as text. Raises ValueError where the reference doesn't fit the inputs."""

    @abstractmethod
    def parse(self, answer: str, fields: Fields) -> Reference | None:
        """The task-typed meaning of an answer, or None where it is malformed; never raises."""

    def instruction(self, form: PromptForm) -> str:
        """What a model is asked to do, before any row."""
        instruction = self.definition.instruction
        return instruction.long or instruction.compact if form == "long" else instruction.compact

    def body(self, fields: Fields) -> str:
        """The part of a prompt that differs from row to row; it ends with the cue that the answer follows."""
        return body(self.definition, fields)

    def prompt(self, fields: Fields, form: PromptForm, demonstrations: Sequence[tuple[Fields, str]] = ()) -> str:
        """Instruction, demonstrations (inputs and target) and the row itself, separated by blank lines."""
        shots = [f"{self.body(shown)} {target}" for shown, target in demonstrations]
        return "\n\n".join([self.instruction(form), *shots, self.body(fields)])

    def words(self, fields: Fields) -> list[str]:
        """The words that get tags, where ``decoder`` is tags."""
        return []

    def answer_choices(self, previous: str | None) -> Sequence[str]:
        """The answer words that may follow ``previous`` (None at the start), where ``decoder`` is tags."""
        return ()

    def recorded_pairs(self, answer: str) -> list[EntityPair] | None:
        """The entities of an answer that was recorded as a JSON list of [type, text]; None for any other answer."""
        return None

    def label_index(self, reference: Reference) -> int:
        """The index of a label among the task's labels, by which samples are stratified; 0 where the task has no labels."""
        return self.labels.index(reference) if isinstance(reference, str) and reference in self.labels else 0

    def input_key(self, fields: Fields) -> str:
        """The row's required inputs, lower-cased and without punctuation: near copies have equal keys.

        Each input has a line of its own; one that is punctuation alone is kept unchanged.
        """
        texts = [text_of(fields, name) for name in self.required_fields]
        return "\n".join(normalize(text) or text for text in texts)

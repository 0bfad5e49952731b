"""The definition of a task: what its rows hold, what an answer looks like, and how a model is asked (tasks/NAME.yaml)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise, permutations
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from ecomtune.core.config.types import Config, Integer, Name

Kind = Literal["classification", "ner", "summarization", "generation"]
#: The kind of answer: one of the task's labels, one tag for each word, or free text.
AnswerKind = Literal["label", "tags", "text"]
Hint = Literal["missing_words"]

ANSWER_KINDS: Mapping[Kind, AnswerKind] = {
    "classification": "label",
    "ner": "tags",
    "summarization": "text",
    "generation": "text",
}
#: The metrics that a kind's systems can be compared by; the first one is the default.
MAIN_METRICS: Mapping[Kind, tuple[str, ...]] = {
    "classification": ("macro_f1", "micro_f1", "weighted_f1", "accuracy"),
    "ner": ("f1", "f1_untyped", "pairs_f1"),
    "summarization": ("rougeL", "rouge1", "rouge2", "rougeLsum"),
    "generation": ("rougeL", "rouge1", "rouge2", "rougeLsum"),
}
#: The word before an answer.
CUES: Mapping[Kind, str] = {"classification": "Label", "ner": "Tags", "summarization": "Summary", "generation": "Text"}
MAX_LABELS = 500
#: Words in an answer to a ner task that stand for no entity, and for one that goes on.
OUTSIDE, CONTINUE = "none", "+"


def _as_meanings(value: Any) -> Any:
    """A list of names as a mapping with empty meanings; a whole number is a name too."""
    if isinstance(value, list | tuple):
        if len({str(name) for name in value}) < len(value):
            raise ValueError("the same name is listed twice; remove one")
        value = dict.fromkeys(value, "")
    if not isinstance(value, dict):
        return value
    for name in value:
        if isinstance(name, bool | float) or not isinstance(name, str | int):
            raise ValueError(f"{name!r} is not text; put it in quotes")
    return {str(name): meaning for name, meaning in value.items()}


def _as_instruction(value: Any) -> Any:
    return {"compact": value} if isinstance(value, str) else value


Text = Annotated[str, Field(min_length=1, pattern=r"\S")]
#: Names with what each means; a list of names has no meanings.
Meanings = Annotated[dict[str, str], BeforeValidator(_as_meanings)]


class Instruction(Config):
    """What a model is asked to do, before the row; ``long`` is for models that need more explanation (default: compact)."""

    compact: Text
    long: str = ""


class TaskDefinition(Config):
    """A task's kind, inputs, answers and wording.

    ``inputs`` maps each input to the word before it in a prompt, in the order of the prompt. The first one groups rows where no
    column does; those in ``optional`` may be missing, and those in ``lists`` hold several texts. ``append`` names, for an
    input, optional ones that are written behind it where it doesn't contain them, in place of lines of their own. A ner task
    has one input, which is split into words.

    ``labels`` (classification) and ``types`` (ner) are what an answer may name: a label with its meaning, and a type with its
    word in prompts and answers. Where the instruction doesn't name each of them, they are listed behind it.

    ``cue`` is the word that an answer follows. ``metric`` is the value by which systems are compared, or ``f1_of`` the label
    whose F1 it is. ``hints`` are lines that help small models: ``missing_words`` lists the first input's words that the others
    lack. ``version`` is raised by hand for a change of data or scoring that the definition itself doesn't show.
    """

    kind: Kind
    inputs: dict[Name, Text] = Field(min_length=1)
    optional: tuple[Name, ...] = ()
    lists: tuple[Name, ...] = ()
    append: dict[Name, tuple[Name, ...]] = {}
    labels: Meanings = {}
    types: Meanings = {}
    cue: str = ""
    instruction: Annotated[Instruction, BeforeValidator(_as_instruction)]
    metric: str = ""
    f1_of: str = ""
    tokenizer: Literal["latin", "unicode"] = "latin"
    hints: tuple[Hint, ...] = ()
    version: Integer = Field(default=1, ge=1)

    @property
    def answer(self) -> AnswerKind:
        """The kind of answer."""
        return ANSWER_KINDS[self.kind]

    @property
    def required(self) -> tuple[str, ...]:
        """The inputs that every row has."""
        return tuple(name for name in self.inputs if name not in self.optional)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all inputs, required ones first."""
        return (*self.required, *(name for name in self.inputs if name in self.optional))

    @property
    def words(self) -> str:
        """The input of a ner task whose words are tagged; empty for other kinds."""
        return self.required[0] if self.kind == "ner" else ""

    @property
    def main_metric(self) -> str:
        """The metric by which systems are compared."""
        return "f1" if self.f1_of else self.metric or MAIN_METRICS[self.kind][0]

    @model_validator(mode="after")
    def _check(self) -> TaskDefinition:
        for problem in (self._input_problem(), self._answer_problem(), self._metric_problem()):
            if problem:
                raise ValueError(problem)
        return self

    def _input_problem(self) -> str | None:
        for key, names in (("optional", self.optional), ("lists", self.lists), ("append", (*self.append, *self._appended))):
            for name in names:
                if name not in self.inputs:
                    return f"{key}: {name!r} is not one of inputs ({', '.join(self.inputs)}); add it there or correct the name"
        if not self.required:
            return "optional: every input is optional; leave at least one out of it"
        if self.kind == "ner" and (len(self.inputs) > 1 or self.lists):
            return "inputs: a ner task has one input, the text whose words are tagged; name that one, and no lists"
        for name in self._appended:
            if name not in self.optional or name in (*self.lists, *self.append):
                return f"append: {name} must be one of optional, hold one text, and have nothing behind it"
        if self.hints and (len(self.inputs) < 2 or self.kind == "ner"):
            return "hints: missing_words compares the first input with others, and there are none; remove it"
        return None

    @property
    def _appended(self) -> list[str]:
        return [name for names in self.append.values() for name in names]

    def _answer_problem(self) -> str | None:
        for key, kind, values in (("labels", "classification", self.labels), ("types", "ner", self.types)):
            if values and self.kind != kind:
                return f"{key}: a {self.kind} task has none; remove the key, or set kind to {kind}"
            if self.kind == kind and not values:
                return f"{key}: a {kind} task needs them; list what an answer may name"
        if self.kind == "classification":
            return self._label_problem()
        return self._type_problem() if self.kind == "ner" else None

    def _label_problem(self) -> str | None:
        if not 2 <= len(self.labels) <= MAX_LABELS:
            return f"labels: there must be 2 to {MAX_LABELS}, not {len(self.labels)}"
        for label in self.labels:
            if label != " ".join(label.split()) or not label:
                return f"labels: {label!r} must be one line of text, without blanks at its ends and single ones within"
        folded = {label.casefold().rstrip("."): label for label in self.labels}
        if len(folded) < len(self.labels):
            twin = next(label for label in self.labels if folded[label.casefold().rstrip(".")] != label)
            other = folded[twin.casefold().rstrip(".")]
            return f"labels: {twin!r} and {other!r} differ only in case or a full stop; rename one"
        ordered = sorted(folded)
        for one, other in pairwise(ordered):
            if other.startswith(one):
                return (
                    f"labels: {folded[one]!r} is the beginning of {folded[other]!r}, so that an answer could mean either; "
                    "rename one, and map the data's value to it under values of the data set"
                )
        return None

    def _type_problem(self) -> str | None:
        words = self.type_words
        for name, word in words.items():
            if not name or not name.isprintable() or len(name.split()) != 1:
                return f"types: {name!r} must be one word, as in the tags B-{name.split()[0] if name.split() else 'TYPE'}"
            if len(word.split()) != 1 or word in (OUTSIDE, CONTINUE):
                return (
                    f"types.{name}: {word!r} must be one word, by which answers name the type, and not {OUTSIDE} or {CONTINUE}"
                )
        for one, other in permutations(words, 2):
            if words[one] == words[other]:
                return f"types.{other}: {words[other]!r} is also the word of {one}; choose another"
        return None

    @property
    def type_words(self) -> dict[str, str]:
        """The word of each entity type in prompts and answers: by default the type itself in lower case."""
        return {name: word or name.lower() for name, word in self.types.items()}

    def _metric_problem(self) -> str | None:
        known = MAIN_METRICS[self.kind]
        if self.metric and self.metric not in known:
            return f"metric: {self.metric!r} is not one of {', '.join(known)} for kind {self.kind}; choose one"
        if self.f1_of and self.metric:
            return "f1_of: the label's F1 is the main metric, and metric names another; remove one of the keys"
        if self.f1_of and self.f1_of not in self.labels:
            return f"f1_of: {self.f1_of!r} is not one of labels ({', '.join(self.labels)}); correct the name"
        if self.tokenizer != "latin" and self.answer != "text":
            return f"tokenizer: ROUGE has one, and a {self.kind} task isn't scored by ROUGE; remove the key"
        return None

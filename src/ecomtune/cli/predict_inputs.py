"""A trained system's answers to inputs of the user's own, by the same code as the stage ``predict``."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecomtune.cli.common import check_task, missing_model
from ecomtune.core.config.params import Params, model_folder
from ecomtune.core.files import parse_json
from ecomtune.core.records import Example, Reference, Row
from ecomtune.datasets.reading.cleaning import text_fault
from ecomtune.datasets.table import as_fields
from ecomtune.examples.screening import rejection_reason
from ecomtune.inference.answering import ANSWER_BY_KIND, answer_with_model
from ecomtune.messages.errors import UserError
from ecomtune.tasks.base import Task
from ecomtune.tasks.registry import load_task
from ecomtune.tasks.row_text import Fields


@dataclass(frozen=True)
class Input:
    """One input: its place (a line of a file, say), for error messages, and its values by field, still unchecked."""

    place: str
    values: Mapping[str, Any]


def task_of(params: Params, system: str, name: str) -> Task:
    """The task called ``name``. Raises UserError if ``system`` doesn't answer it, or has no model here that does."""
    config = params.systems.get(system)
    if config is None:
        raise UserError(f"systems of params.yaml have no {system!r}; name one of: {', '.join(params.systems) or 'none'}")
    check_task(system, config, name)
    if config.kind not in ANSWER_BY_KIND:
        known = ", ".join(key for key, each in params.systems.items() if each.kind in ANSWER_BY_KIND) or "none"
        raise UserError(f"system {system} is of kind {config.kind}, which has no model that answers; name one of: {known}")
    model = Path(model_folder(config, name, params))
    if not model.is_dir():
        raise missing_model(model)
    return load_task(params, name)


def answer_inputs(params: Params, system: str, task: Task, inputs: Sequence[Input]) -> list[dict[str, Any]]:
    """For each input: its fields, the raw answer, the parsed one (None if it is malformed), and for ner each word's tag.

    What libraries print, such as progress, goes to standard error. Raises UserError if there is no input, or if one lacks a
    field or has an unknown one.
    """
    if not inputs:
        raise UserError("there is nothing to answer: the input is empty; give a text, --field NAME=VALUE or --file")
    examples = [_example(task, number, given) for number, given in enumerate(inputs, start=1)]
    with contextlib.redirect_stdout(sys.stderr):
        (answered,) = answer_with_model(params, system, {task.name: task}, {task.name: examples})
    return [_result(task, example, answer) for example, answer in zip(examples, answered.answers, strict=True)]


def _example(task: Task, number: int, given: Input) -> Example:
    """An input as an example. Raises UserError with the reason if it breaks a rule that rows of data have to follow."""
    names = task.definition.names
    advice = f"{task.name} needs {' and '.join(task.required_fields)}, its fields are {', '.join(names)}"
    if unknown := [name for name in given.values if name not in names]:
        raise UserError(f"{given.place}: {unknown[0]!r} is not a field; {advice}")
    try:
        fields = as_fields(task.definition, given.values)
    except ValueError as error:
        raise UserError(f"{given.place}: {error}; {advice}") from error
    gold = _placeholder(task, fields)
    row = Row(fields=fields, reference=gold, group="", split=None, source=given.place)
    if reason := text_fault(fields) or rejection_reason(task, row):
        raise UserError(f"{given.place}: {reason}; {advice}")
    return Example(
        id=f"input {number}",
        task=task.name,
        prompt="",  # the system builds its own
        target=task.target(fields, gold),
        reference=gold,
        fields=fields,
        group="",
        source=given.place,
    )


def _placeholder(task: Task, fields: Fields) -> Reference:
    """A valid reference in place of the unknown gold one, whose length says whether an answer fits the model's context."""
    if task.decoder == "tags":
        return ["O"] * len(task.words(fields))
    return task.labels[0] if task.labels else "-"


def _result(task: Task, example: Example, answer: str) -> dict[str, Any]:
    parsed = task.parse(answer, example.fields)
    result: dict[str, Any] = {**example.fields, "answer": answer, "parsed": parsed, "valid": parsed is not None}
    if task.decoder == "tags" and parsed is not None:
        result["tagged"] = [list(pair) for pair in zip(task.words(example.fields), parsed, strict=True)]
    return result


def read_inputs(task: Task, texts: Sequence[str], fields: Sequence[str], file: Path | None) -> list[Input]:
    """The inputs of a command line: texts, NAME=VALUE fields of one input, a file, or by default standard input.

    Raises UserError if more than one of them is given, or if a text is given for a task with several fields.
    """
    if sum(map(bool, (texts, fields, file))) > 1:
        raise UserError("texts, --field and --file are three ways to give inputs; use one of them")
    if fields:
        return [Input("the input", _named_values(fields))]
    if texts:
        places = [f"text {number}" for number in range(1, len(texts) + 1)]
        return [_only_field(task, place, text) for place, text in zip(places, texts, strict=True)]
    if file is None and sys.stdin.isatty():
        raise UserError("there is nothing to answer; give a text, --field NAME=VALUE, --file, or lines on standard input")
    name = "standard input" if file is None else str(file)
    if file is not None and (file.is_dir() or not file.exists()):
        raise UserError(f"--file {file} names no file; correct it")
    content = sys.stdin.buffer.read() if file is None else file.read_bytes()
    try:
        return list(_lines(task, name, content.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8 text ({error}); save it as UTF-8") from error


def _named_values(fields: Sequence[str]) -> dict[str, str | list[str]]:
    """Values by name; a name that is given several times has a list of values."""
    values: dict[str, list[str]] = {}
    for field in fields:
        name, equals, value = field.partition("=")
        if not equals:
            raise UserError(f"--field {field!r} has no value; write it as --field NAME=VALUE")
        values.setdefault(name, []).append(value)
    return {name: each[0] if len(each) == 1 else each for name, each in values.items()}


def _lines(task: Task, name: str, text: str) -> Iterator[Input]:
    """Each line that isn't blank: a JSON object of fields, or plain text if the task has one field."""
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        place = f"{name} line {number}"
        if line.lstrip().startswith("{"):
            try:
                yield Input(place, parse_json(line))
            except ValueError as error:
                raise UserError(f"{place} is not a JSON object ({error}); write one object per line") from error
        elif line.strip():
            yield _only_field(task, place, line)


def _only_field(task: Task, place: str, text: str) -> Input:
    """A text as the one field of the task. Raises UserError if the task has more."""
    names = task.required_fields
    if len(names) > 1:
        options = " ".join(f"--field {name}=..." for name in names)
        problem = f"{place}: {task.name} needs {' and '.join(names)}, not one text"
        raise UserError(f"{problem}; give {options}, or JSON lines with these fields")
    return Input(place, {names[0]: text})

"""A trained system's answers to inputs of one's own, by the same code as the stage ``predict``."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ecomtune.core.config.params import Params, model_folder
from ecomtune.core.files import parse_json
from ecomtune.core.records import Example, Reference, Row
from ecomtune.core.task_inputs import TASK_INPUTS, TaskInputs
from ecomtune.datasets.reading.cleaning import text_fault
from ecomtune.datasets.table import as_fields
from ecomtune.examples.screening import rejection_reason
from ecomtune.inference.answering import ANSWER_BY_KIND, answer
from ecomtune.messages.errors import UserError
from ecomtune.tasks.base import Fields, Task, texts_of
from ecomtune.tasks.registry import load_task

#: Where an input stands, and its values by field as they were given.
Given = tuple[str, Mapping[str, Any]]


def task_of(params: Params, system: str, key: str) -> Task:
    """The task called ``key``. Raises UserError where ``system`` doesn't answer it, or has no model here to answer with."""
    found = params.systems.get(system)
    if found is None:
        raise UserError(f"systems of params.yaml have no {system!r}; name one of: {', '.join(params.systems) or 'none'}")
    if key not in found.tasks:
        raise UserError(f"system {system} doesn't answer {key!r}; name a task of its own: {', '.join(found.tasks)}")
    if found.kind not in ANSWER_BY_KIND:
        have = ", ".join(name for name, each in params.systems.items() if each.kind in ANSWER_BY_KIND) or "none"
        raise UserError(f"system {system} is of kind {found.kind}, which has no model that answers; name one of: {have}")
    model = Path(model_folder(found, key, params))
    if not model.is_dir():
        raise UserError(f"{model} isn't there; run dvc repro, or dvc checkout where it has run before")
    return load_task(key)


def predict(params: Params, system: str, task: Task, inputs: Sequence[Given]) -> list[dict[str, Any]]:
    """For each input its fields, the raw answer, its meaning (None where it is malformed), and for words their tags.

    What libraries print, progress among it, goes to standard error. Raises UserError where there is no input, or one lacks
    a field or has an unknown one.
    """
    if not inputs:
        raise UserError("there is nothing to answer: the input is empty; give a text, --field NAME=VALUE or --file")
    examples = [_example(task, number, *given) for number, given in enumerate(inputs, start=1)]
    with contextlib.redirect_stdout(sys.stderr):
        (answered,) = answer(params, system, {task.name: examples})
    return [_told(task, example, answer) for example, answer in zip(examples, answered.answers, strict=True)]


def _example(task: Task, number: int, place: str, values: Mapping[str, Any]) -> Example:
    """An input as an example, held to what holds for rows of data. Raises UserError saying why it is none."""
    inputs = TASK_INPUTS.get(task.name) or TaskInputs(task.required_fields, task.decoder)
    names = inputs.names
    advice = f"{task.name} needs {' and '.join(task.required_fields)}, its fields are {', '.join(names)}"
    if unknown := [name for name in values if name not in names]:
        raise UserError(f"{place}: {unknown[0]!r} is no field; {advice}")
    try:
        fields = as_fields(inputs, values)
    except ValueError as error:
        raise UserError(f"{place}: {error}; {advice}") from error
    gold = _any_reference(task, fields)
    if reason := text_fault(fields) or rejection_reason(
        task, Row(fields=fields, reference=gold, group="", split=None, source=place)
    ):
        raise UserError(f"{place}: {reason}; {advice}")
    return Example(
        id=f"input {number}",
        task=task.name,
        prompt="",  # the system's own way to ask makes it
        target=task.target(fields, gold),
        reference=gold,
        fields=fields,
        group="",
        source=place,
    )


def _any_reference(task: Task, fields: Fields) -> Reference:
    """A valid one, since gold isn't there: whether an answer fits the model's context is judged by the right one's length."""
    if task.decoder == "tags":
        return ["O"] * len(texts_of(fields, "words"))
    return task.labels[0] if task.labels else "-"


def _told(task: Task, example: Example, answer: str) -> dict[str, Any]:
    meaning = task.parse(answer, example.fields)
    told: dict[str, Any] = {**example.fields, "answer": answer, "parsed": meaning, "valid": meaning is not None}
    if task.decoder == "tags" and meaning is not None:
        told["tagged"] = [list(pair) for pair in zip(texts_of(example.fields, "words"), meaning, strict=True)]
    return told


def as_inputs(task: Task, texts: Sequence[str], fields: Sequence[str], file: Path | None) -> list[Given]:
    """The inputs of a command line: texts, NAME=VALUE fields of one input, a file, or with none of them standard input.

    Raises UserError where more than one of them is given, or a text is given for a task of several fields.
    """
    if sum(map(bool, (texts, fields, file))) > 1:
        raise UserError("texts, --field and --file are three ways to give inputs; use one of them")
    if fields:
        return [("the input", _by_name(fields))]
    if texts:
        places = [f"text {number}" for number in range(1, len(texts) + 1)]
        return [(place, _only_field(task, place, text)) for place, text in zip(places, texts, strict=True)]
    if file is None and sys.stdin.isatty():
        raise UserError("there is nothing to answer; give a text, --field NAME=VALUE, --file, or lines on standard input")
    name = "standard input" if file is None else str(file)
    if file is not None and (file.is_dir() or not file.exists()):
        raise UserError(f"--file {file} names no file; correct it")
    content = sys.stdin.buffer.read() if file is None else file.read_bytes()
    try:
        return list(_lines(task, name, content.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is no UTF-8 text ({error}); save it as UTF-8") from error


def _by_name(fields: Sequence[str]) -> dict[str, str | list[str]]:
    """Values by name; a name given several times holds a list."""
    values: dict[str, list[str]] = {}
    for field in fields:
        name, equals, value = field.partition("=")
        if not equals:
            raise UserError(f"--field {field!r} has no value; write it as --field NAME=VALUE")
        values.setdefault(name, []).append(value)
    return {name: each[0] if len(each) == 1 else each for name, each in values.items()}


def _lines(task: Task, name: str, text: str) -> Iterator[Given]:
    """Each line that isn't blank: a JSON object of fields, or plain text where the task has one field."""
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        place = f"{name} line {number}"
        if line.lstrip().startswith("{"):
            try:
                yield place, parse_json(line)
            except ValueError as error:
                raise UserError(f"{place} is no JSON object ({error}); write one object a line") from error
        elif line.strip():
            yield place, _only_field(task, place, line)


def _only_field(task: Task, place: str, text: str) -> dict[str, str]:
    """A text as the one field of the task. Raises UserError where the task has more."""
    names = task.required_fields
    if len(names) > 1:
        given = " ".join(f"--field {name}=..." for name in names)
        needed = f"{place}: {task.name} needs {' and '.join(names)}, not one text"
        raise UserError(f"{needed}; give {given}, or JSON lines with these fields")
    return {names[0]: text}

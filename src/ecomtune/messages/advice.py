"""Advice on what to change after a failed validation or a mistyped name, in params.yaml or a JSON file."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

#: The similarity ratio of difflib above which one name is suggested for another: about two of three letters in common.
MIN_SIMILARITY = 0.65
#: A longer text is not a number that was put in quotes by mistake.
MAX_DIGITS = 20


def describe(error: ValidationError, schema: type[BaseModel] | None = None) -> str:
    """The first problem of a failed validation, in one line: the key and what to change.

    Unknown keys come first, since a mistyped key is also reported as missing under its correct name. With ``schema``, the
    model that was validated, the most similar known key is suggested for an unknown one.
    """
    first = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    where = ".".join(str(part) for part in first["loc"] if part != "[key]")
    message = _advice_for(first["type"], first["loc"], first["input"]) or first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden" and schema:
        *parents, key = first["loc"]
        if near := nearest(str(key), _keys_at(schema, parents)):
            message += f" to {near}"
    return " ".join((f"{where}: {message}" if where else message).split())


def _advice_for(problem: str, place: Sequence[str | int], value: Any) -> str | None:
    """What to change, or None where pydantic's own message for this type of problem says it."""
    match problem:
        case "extra_forbidden":
            return "unknown key; remove it or correct its spelling"
        case "missing":
            return "this key is missing; add it"
        case "string_type" if place[-1:] == ("[key]",):
            return "a name is text; put it in quotes"
        case "string_pattern_mismatch" if place[-1:] == ("[key]",):
            return "a name holds letters, digits, _ and - only; rename it"
        case "int_type" if isinstance(value, str) and (digits := _digits(value)):
            correct = "it without quotes" if digits == value else digits
            return f"Input should be a valid integer, but YAML reads {value} as text; write {correct}"
        case "model_type" if place and value is None:
            return "it is empty; write its keys below it"
        case "dict_type" if place and value is None:
            return "it is empty; write its items below it, or {} for none"
    return None


def _digits(text: str) -> str | None:
    """A short text's integer in decimal digits, or None where the text is not an integer."""
    try:
        return str(int(text, 0)) if len(text) <= MAX_DIGITS else None
    except ValueError:
        return None


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known name most similar to ``name``, ignoring case, or None where none is similar enough."""
    by_lower = {each.lower(): each for each in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=MIN_SIMILARITY)
    return by_lower[found[0]] if found else None


def _keys_at(schema: type[BaseModel], path: Sequence[str | int]) -> Collection[str]:
    """The keys of the model at ``path`` inside ``schema``."""
    is_item = False
    for part in path:
        if is_item:  # the key or index of an item in a dict or tuple of models
            is_item = False
            continue
        annotation = schema.model_fields[str(part)].annotation
        schema = next(each for each in (annotation, *get_args(annotation)) if _is_model(each))
        is_item = get_origin(annotation) in (dict, tuple)
    return schema.model_fields


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)

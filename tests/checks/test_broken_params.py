"""Real profiles with one mistake at any key: each is refused in one sentence that names the key; no mistake is ignored."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecomtune.checks.parameters import load_params
from ecomtune.core.config import Training
from ecomtune.core.config.types import Config, types_in
from ecomtune.messages.errors import UserError
from tests.support.scratch_clone import REPOSITORY

PROFILES = sorted((REPOSITORY / "profiles").glob("*.yaml"))
#: Keys whose value refers to another item of the file, or to a module.
REFERENCES = {"dataset", "reader", "model", "reads", "tasks", "task", "weights", "limit"}
#: Keys that may be an empty text.
MAY_BE_EMPTY = {"name", "version", "sha256", "folder", "gguf"}
BOUNDS: list[tuple[type, str, Callable[[float], float]]] = [
    (Gt, "gt", lambda bound: bound),
    (Ge, "ge", lambda bound: bound - 1),
    (Lt, "lt", lambda bound: bound),
    (Le, "le", lambda bound: bound + 1),
]
KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Place:
    """A key of a config: the path to the config in the file, its class, and the key."""

    path: KeyPath
    kind: type[Config]
    key: str

    @property
    def annotation(self) -> Any:
        return self.kind.model_fields[self.key].annotation

    def is_number(self, *types: type) -> bool:
        return any(each in types_in(self.annotation) for each in types) and not self.is_collection(dict, tuple)

    def is_collection(self, *types: type) -> bool:
        return getattr(self.annotation, "__origin__", None) in types


@dataclass(frozen=True)
class Broken:
    """A profile with one mistake, and what the sentence must name: of each tuple in ``named``, at least one text."""

    profile: str
    mistake: str
    text: Callable[[], str]
    named: tuple[tuple[str, ...], ...]

    def __repr__(self) -> str:
        return f"{self.profile}: {self.mistake}"


def places(values: Any, config: Any, path: KeyPath = ()) -> Iterator[Place]:
    """Every key that a config of the file has or may have, and those in an adapter's own settings."""
    if isinstance(config, Config):
        for key in type(config).model_fields:
            yield Place(path, type(config), key)
            yield from places(values.get(key), getattr(config, key), (*path, key))
            if key == "settings" and key in values:
                yield from (Place((*path, key), Training, own) for own in values[key])
    elif isinstance(config, dict | tuple) and values:
        for key in config if isinstance(config, dict) else range(len(config)):
            inner = config[key]
            if isinstance(inner, Config):
                yield from places(values[key], inner, (*path, key))


def mistakes(place: Place, value: Any) -> Iterator[tuple[str, Any]]:
    """Values that are wrong for the key, each with the name of the mistake."""
    is_text = isinstance(value, str)
    yield "wrong type", [[]]
    yield "wrong type", {"a": {"b": 1}}
    yield "wrong type", math.nan
    if place.is_number(int, float):
        yield from (("not a number", each) for each in (math.inf, -math.inf, "many", "", "４ and more", True, False, [1], {}))
        for metadata in place.kind.model_fields[place.key].metadata:
            for bound, name, move in BOUNDS:
                if isinstance(metadata, bound):
                    yield "out of range", move(getattr(metadata, name))
        if any(isinstance(each, Gt | Ge) for each in place.kind.model_fields[place.key].metadata):
            yield "negative", -3
    if place.is_number(int):
        yield "not an integer", 2.5
    if place.annotation is bool:
        yield from (("not a boolean", each) for each in (1, 0, "no", "maybe", None, 2.0))
    if is_text and place.key not in MAY_BE_EMPTY:
        yield "empty", ""
    if is_text and place.annotation is not bool and getattr(place.annotation, "__origin__", None) is not None:
        yield from (("not one of the choices", each) for each in ("other", f"{value} ", "ｃｏｎｓｔａｎｔ"))
    if place.key in REFERENCES and value:
        wrong: dict[type, Any] = {str: "nowhere", list: ["nowhere"], dict: {"nowhere": 1}}
        yield "wrong reference", wrong[type(value)]
    if place.is_collection(tuple) and isinstance(value, list) and value and place.key == "tasks":
        yield "repeated", [*value, value[0]]
        yield "empty", []
    if place.is_collection(dict) and place.key == "weights":
        yield from (("not a weight", {**value, next(iter(value)): each}) for each in (True, math.nan, "heavy", None))
        yield "empty", {}
        yield "all zero", dict.fromkeys(value, 0)


def misspelt(key: str, kind: type[Config]) -> list[str]:
    """Misspellings of a key, none of which is another key."""
    swapped = key[1] + key[0] + key[2:]
    spellings = [f"{key}s", key[:-1], key.upper(), swapped, key.replace("a", "а").replace("e", "е"), f"{key}\u200b", f" {key}"]
    return [each for each in spellings if each and each not in kind.model_fields]


def remove_key(key: str, config: dict[str, Any]) -> None:
    del config[key]


def rename_key(key: str, wrong: str, config: dict[str, Any]) -> None:
    config[wrong] = config.pop(key)


def replace_value(key: str, wrong: Any, config: dict[str, Any]) -> None:
    config[key] = wrong


def changed(values: Any, path: KeyPath, change: Callable[[Any], None]) -> str:
    """The file with ``change`` applied to the config at ``path``."""
    copied = copy.deepcopy(values)
    config = copied
    for part in path:
        config = config[part]
    change(config)
    text: str = yaml.dump(copied, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False)
    return text


def repeated_keys(profile: Path) -> Iterator[Broken]:
    """The file with a key written twice. The text is edited, since a dict can't have a key twice."""
    lines = profile.read_text(encoding="utf-8").splitlines(keepends=True)
    for number, line in enumerate(lines):
        if found := re.match(r"( *)(\w+):(?: |$)", line):
            again = "".join([*lines[:number], f"{found[1]}{found[2]}:\n", *lines[number:]])
            problem = f'the key "{found[2]}" occurs twice'
            yield Broken(profile.stem, f"{found[2]} repeated, line {number + 1}", partial(str, again), ((problem,),))


def broken_places(profile: Path) -> Iterator[Broken]:
    """The file with every mistake at every one of its keys."""
    values = yaml.safe_load(profile.read_text(encoding="utf-8"))
    for place in places(values, load_params(profile)):
        config: Any = values
        for part in place.path:
            config = config[part]
        parent, key = ".".join(map(str, place.path)), place.key
        changes: list[tuple[str, Callable[[Any], None], tuple[str, ...]]] = []
        if place.kind.model_fields[key].is_required() and "settings" not in place.path:
            changes.append(("left out", partial(remove_key, key), (key,)))
        for wrong in misspelt(key, place.kind) if key in config else ():
            changes.append((f"as {wrong!r}", partial(rename_key, key, wrong), (wrong.strip(),)))
        for mistake, other in mistakes(place, config.get(key)):
            names = (key, "nowhere") if mistake == "wrong reference" else (key,)
            changes.append((f"{mistake}: {other!r}", partial(replace_value, key, other), names))
        for mistake, change, names in changes:
            text = partial(changed, values, place.path, change)
            yield Broken(profile.stem, f"{parent}.{key} {mistake}", text, ((parent,), names))


@cache
def broken_files() -> list[Broken]:
    return [broken for profile in PROFILES for broken in (*broken_places(profile), *repeated_keys(profile))]


def test_there_are_mistakes_of_every_kind() -> None:
    found = broken_files()
    assert len(found) > 3000
    kinds = ["left out", "as '", "wrong type", "not a number", "out of range", "negative", "not a boolean", "empty", "repeated"]
    for mistake in [*kinds, "not one of the choices", "wrong reference", "not a weight", "all zero", "not an integer"]:
        assert sum(mistake in each.mistake for each in found) >= 4, mistake


@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_a_broken_profile_is_refused_in_one_sentence_that_names_the_mistake(tmp_path: Path, data: st.DataObject) -> None:
    broken = data.draw(st.sampled_from(broken_files()))
    path = tmp_path / "params.yaml"
    path.write_text(broken.text(), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_params(path)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.startswith(str(path))
    assert all(any(name in sentence for name in names) for names in broken.named), sentence


def test_a_broken_profile_differs_from_the_original_by_its_mistake_alone(tmp_path: Path) -> None:
    """A copy without a mistake, written in the same way, is loaded like the original."""
    for profile in PROFILES:
        values = yaml.safe_load(profile.read_text(encoding="utf-8"))
        (tmp_path / "params.yaml").write_text(changed(values, (), lambda config: None), encoding="utf-8")
        assert load_params(tmp_path / "params.yaml") == load_params(profile)

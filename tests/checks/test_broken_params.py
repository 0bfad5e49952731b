"""Real profiles broken in one place each: all are refused, in one sentence that names the place; none is read and ignored."""

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
from ecomtune.core.config.params import Params
from ecomtune.core.config.types import Config, types_in
from ecomtune.messages.errors import UserError
from tests.conftest import REPOSITORY

PROFILES = sorted((REPOSITORY / "profiles").glob("*.yaml"))
#: Keys whose value names something else of the file, or a module.
REFERENCES = {"dataset", "reader", "model", "reads", "tasks", "task", "weights", "limit"}
#: Keys without which, or with an empty text, nothing is wrong.
MAY_BE_EMPTY = {"name", "version", "sha256", "folder", "gguf"}
BOUNDS: list[tuple[type, str, Callable[[float], float]]] = [
    (Gt, "gt", lambda bound: bound),
    (Ge, "ge", lambda bound: bound - 1),
    (Lt, "lt", lambda bound: bound),
    (Le, "le", lambda bound: bound + 1),
]
Way = tuple[str | int, ...]


@dataclass(frozen=True)
class Place:
    """A key of a section: the way to the section in the file, its class, and the key."""

    way: Way
    kind: type[Config]
    key: str

    @property
    def wanted(self) -> Any:
        return self.kind.model_fields[self.key].annotation

    def number(self, *kinds: type) -> bool:
        return any(kind in types_in(self.wanted) for kind in kinds) and not self.holds(dict, tuple)

    def holds(self, *kinds: type) -> bool:
        return getattr(self.wanted, "__origin__", None) in kinds


@dataclass(frozen=True)
class Broken:
    """A profile with one mistake: what was done, what writes it, and words of which the sentence must hold one of each row."""

    profile: str
    mistake: str
    text: Callable[[], str]
    named: tuple[tuple[str, ...], ...]

    def __repr__(self) -> str:
        return f"{self.profile}: {self.mistake}"


def places(values: Any, section: Any, way: Way = ()) -> Iterator[Place]:
    """Every key that a section of the file has or may have; what is written in an adapter's own settings too."""
    if isinstance(section, Config):
        for key in type(section).model_fields:
            yield Place(way, type(section), key)
            yield from places(values.get(key), getattr(section, key), (*way, key))
            if key == "settings" and key in values:
                yield from (Place((*way, key), Training, own) for own in values[key])
    elif isinstance(section, dict | tuple) and values:
        for key in section if isinstance(section, dict) else range(len(section)):
            inner = section[key]
            if isinstance(inner, Config):
                yield from places(values[key], inner, (*way, key))


def mistakes(place: Place, value: Any) -> Iterator[tuple[str, Any]]:
    """Values that can't stand at the place, each with the name of the mistake."""
    text = isinstance(value, str)
    yield "wrong type", [[]]
    yield "wrong type", {"a": {"b": 1}}
    yield "wrong type", math.nan
    if place.number(int, float):
        yield from (("no number", each) for each in (math.inf, -math.inf, "many", "", "４ and more", True, False, [1], {}))
        for metadata in place.kind.model_fields[place.key].metadata:
            for bound, name, move in BOUNDS:
                if isinstance(metadata, bound):
                    yield "out of range", move(getattr(metadata, name))
        if any(isinstance(each, Gt | Ge) for each in place.kind.model_fields[place.key].metadata):
            yield "negative", -3
    if place.number(int):
        yield "no whole number", 2.5
    if place.wanted is bool:
        yield from (("no truth value", each) for each in (1, 0, "no", "maybe", None, 2.0))
    if text and place.key not in MAY_BE_EMPTY:
        yield "empty", ""
    if place.wanted is not bool and getattr(place.wanted, "__origin__", None) is not None and text:
        yield from (("none of the choices", each) for each in ("other", f"{value} ", "ｃｏｎｓｔａｎｔ"))
    if place.key in REFERENCES and value:
        wrong: dict[type, Any] = {str: "nowhere", list: ["nowhere"], dict: {"nowhere": 1}}
        yield "wrong reference", wrong[type(value)]
    if place.holds(tuple) and isinstance(value, list) and value and place.key == "tasks":
        yield "twice", [*value, value[0]]
        yield "empty", []
    if place.holds(dict) and place.key == "weights":
        yield from (("no weight", {**value, next(iter(value)): each}) for each in (True, math.nan, "heavy", None))
        yield "empty", {}
        yield "all zero", dict.fromkeys(value, 0)


def misspelt(key: str, kind: type[Config]) -> list[str]:
    """Ways to write a key wrong, none of which is another key."""
    swapped = key[1] + key[0] + key[2:]
    tries = [f"{key}s", key[:-1], key.upper(), swapped, key.replace("a", "а").replace("e", "е"), f"{key}\u200b", f" {key}"]
    return [each for each in tries if each and each not in kind.model_fields]


def without(key: str, section: dict[str, Any]) -> None:
    del section[key]


def renamed(key: str, wrong: str, section: dict[str, Any]) -> None:
    section[wrong] = section.pop(key)


def replaced(key: str, wrong: Any, section: dict[str, Any]) -> None:
    section[key] = wrong


def changed(values: Any, way: Way, change: Callable[[Any], None]) -> str:
    """The file with ``change`` applied to the section at ``way``."""
    copied = copy.deepcopy(values)
    section = copied
    for part in way:
        section = section[part]
    change(section)
    text: str = yaml.dump(copied, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False)
    return text


def repeated_keys(profile: Path) -> Iterator[Broken]:
    """The file with a key written twice, in the text itself, since no dict can hold that."""
    lines = profile.read_text(encoding="utf-8").splitlines(keepends=True)
    for number, line in enumerate(lines):
        if found := re.match(r"( *)(\w+):(?: |$)", line):
            again = "".join([*lines[:number], f"{found[1]}{found[2]}:\n", *lines[number:]])
            told = f'the key "{found[2]}" occurs twice'
            yield Broken(profile.stem, f"{found[2]} twice, line {number + 1}", partial(str, again), ((told,),))


def broken_places(profile: Path) -> Iterator[Broken]:
    """The file with every mistake at every one of its keys."""
    values = yaml.safe_load(profile.read_text(encoding="utf-8"))
    for place in places(values, load_params(profile)):
        holder: Any = values
        for part in place.way:
            holder = holder[part]
        value, there = holder.get(place.key), place.key in holder
        section, key = ".".join(map(str, place.way)), place.key
        changes: list[tuple[str, Callable[[Any], None], tuple[str, ...]]] = []
        if place.kind.model_fields[key].is_required() and "settings" not in place.way:
            changes.append(("left out", partial(without, key), (key,)))
        for wrong in misspelt(key, place.kind) if there else ():
            changes.append((f"as {wrong!r}", partial(renamed, key, wrong), (wrong.strip(),)))
        for mistake, other in mistakes(place, value):
            names = (key, "nowhere") if mistake == "wrong reference" else (key,)
            changes.append((f"{mistake}: {other!r}", partial(replaced, key, other), names))
        for mistake, change, names in changes:
            written = partial(changed, values, place.way, change)
            yield Broken(profile.stem, f"{section}.{key} {mistake}", written, ((section,), names))


@cache
def broken_files() -> list[Broken]:
    return [broken for profile in PROFILES for broken in (*broken_places(profile), *repeated_keys(profile))]


def test_there_are_mistakes_of_every_kind_at_every_section() -> None:
    found = broken_files()
    assert len(found) > 3000
    kinds = ["left out", "as '", "wrong type", "no number", "out of range", "negative", "no truth value", "empty", "twice"]
    for mistake in [*kinds, "none of the choices", "wrong reference", "no weight", "all zero", "no whole number"]:
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


def test_a_broken_profile_is_read_as_it_was_written_but_for_the_mistake() -> None:
    """The breaking itself breaks nothing more: an unbroken copy, written in the same way, is valid."""
    for profile in PROFILES:
        values = yaml.safe_load(profile.read_text(encoding="utf-8"))
        assert Params.model_validate(yaml.safe_load(changed(values, (), lambda section: None))) == load_params(profile)

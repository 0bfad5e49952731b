"""Real profiles broken in one place each: all are refused, in one sentence that names the place; none is read and ignored."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecomtune.errors import UserError
from ecomtune.fields import Section
from ecomtune.params import Params, load
from ecomtune.sections import Training
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
    kind: type[Section]
    key: str

    @property
    def wanted(self) -> Any:
        return self.kind.model_fields[self.key].annotation

    def number(self, *kinds: type) -> bool:
        return any(kind in (self.wanted, *get_args(self.wanted)) for kind in kinds) and not self.holds(dict, tuple)

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
    """Every key that is written in the file, by the sections that it was read into; an adapter's own settings too."""
    if isinstance(section, Section):
        for key in values:
            yield Place(way, type(section), key)
            yield from places(values[key], getattr(section, key), (*way, key))
            if key == "settings":
                yield from (Place((*way, key), Training, own) for own in values[key])
    elif isinstance(section, dict | tuple) and values:
        for key in section if isinstance(section, dict) else range(len(section)):
            inner = section[key]
            if isinstance(inner, Section):
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
            yield from (("out of range", move(getattr(metadata, name))) for bound, name, move in BOUNDS if isinstance(metadata, bound))
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
    if place.key in REFERENCES:
        wrong: dict[type, Any] = {str: "nowhere", list: ["nowhere"], dict: {"nowhere": 1}}
        yield "wrong reference", wrong[type(value)]
    if place.holds(tuple) and isinstance(value, list) and value and place.key == "tasks":
        yield "twice", [*value, value[0]]
        yield "empty", []
    if place.holds(dict) and place.key == "weights":
        yield from (("no weight", {**value, next(iter(value)): each}) for each in (True, math.nan, "heavy", None))
        yield "empty", {}
        yield "all zero", dict.fromkeys(value, 0)


def misspelt(key: str, kind: type[Section]) -> list[str]:
    """Ways to write a key wrong, none of which is another key."""
    swapped = key[1] + key[0] + key[2:]
    tries = [f"{key}s", key[:-1], key.upper(), swapped, key.replace("a", "а").replace("e", "е"), f"{key}\u200b", f" {key}"]
    return [each for each in tries if each and each not in kind.model_fields]


def written(values: Any) -> str:
    text: str = yaml.dump(values, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False)
    return text


def changed(values: Any, way: Way, change: Callable[[Any], None]) -> str:
    """The file with ``change`` applied to what stands at ``way``."""
    copied = copy.deepcopy(values)
    holder = copied
    for part in way:
        holder = holder[part]
    change(holder)
    return written(copied)


def repeated_keys(profile: Path) -> Iterator[Broken]:
    """The file with a key written twice, in the text itself, since no dict can hold that."""
    lines = profile.read_text(encoding="utf-8").splitlines(keepends=True)
    for number, line in enumerate(lines):
        if found := re.match(r"( *)(\w+):(?: |$)", line):
            again = "".join([*lines[:number], f"{found[1]}{found[2]}:\n", *lines[number:]])
            yield Broken(profile.stem, f"{found[2]} twice, line {number + 1}", partial(str, again), ((f"the key '{found[2]}' stands twice",),))


@cache
def broken_files() -> list[Broken]:
    """Every mistake at every place of every profile."""
    found = []
    for profile in PROFILES:
        values = yaml.safe_load(profile.read_text(encoding="utf-8"))
        for place in places(values, load(profile)):
            section: Any = values
            for part in place.way:
                section = section[part]
            where, key, value = ".".join(map(str, place.way)), place.key, section[place.key]
            named = ((where,), (key,))

            def add(mistake: str, change: Callable[[Any], None], *names: tuple[str, ...], place: Place = place) -> None:
                path = ".".join(map(str, [*place.way, place.key]))
                found.append(Broken(profile.stem, f"{path} {mistake}", partial(changed, values, place.way, change), names))

            if place.kind.model_fields[key].is_required() and "settings" not in place.way:
                add("left out", lambda holder, key=key: holder.pop(key), *named)
            for wrong in misspelt(key, place.kind):
                add(f"as {wrong!r}", lambda holder, key=key, wrong=wrong: holder.update({wrong: holder.pop(key)}), (where,), (wrong.strip(),))
            for mistake, wrong in mistakes(place, value):
                shown = [str(each) for each in (wrong if isinstance(wrong, list | dict) else [wrong])]
                add(f"{mistake}: {wrong!r}", lambda holder, key=key, wrong=wrong: holder.update({key: wrong}), (where,), (key, *shown))
        found += repeated_keys(profile)
    return found


def test_there_are_mistakes_of_every_kind_at_every_section() -> None:
    found = broken_files()
    assert len(found) > 3000
    for mistake in ("left out", "as '", "wrong type", "no number", "out of range", "negative", "no truth value", "empty", "twice"):
        assert sum(mistake in each.mistake for each in found) > 10, mistake
    for mistake in ("none of the choices", "wrong reference", "no weight", "all zero", "no whole number"):
        assert sum(mistake in each.mistake for each in found) >= 4, mistake


@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_a_broken_profile_is_refused_in_one_sentence_that_names_the_mistake(tmp_path: Path, data: st.DataObject) -> None:
    broken = data.draw(st.sampled_from(broken_files()))
    path = tmp_path / "params.yaml"
    path.write_text(broken.text(), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load(path)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.startswith(str(path))
    assert all(any(name in sentence for name in names) for names in broken.named), sentence


def test_a_broken_profile_is_read_as_it_was_written_but_for_the_mistake() -> None:
    """The breaking itself breaks nothing more: an unbroken copy, written in the same way, is valid."""
    for profile in PROFILES:
        values = yaml.safe_load(profile.read_text(encoding="utf-8"))
        assert Params.model_validate(yaml.safe_load(changed(values, (), lambda holder: None))) == load(profile)

"""The packages that the project needs, directly or not: their versions, pins and licences."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent


def requirements() -> list[str]:
    """What pyproject.toml requires, including the extras and the build backend."""
    described = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = described["project"]
    extras = [each for group in project["optional-dependencies"].values() for each in group]
    return [*project["dependencies"], *extras, *described["build-system"]["requires"]]


def pins() -> dict[str, str]:
    """The version of each package that constraints.txt pins."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line.partition("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, _, version in pinned}


def needed(wanted: Iterable[str]) -> dict[str, Distribution]:
    """The installed packages that the ``wanted`` requirements need on this machine, directly or not, sorted by name."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(Requirement(each), "") for each in wanted]
    while waiting:
        requirement, asked_extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": asked_extra}):
            continue
        name = canonicalize_name(requirement.name)
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue  # the build backend may be gone after the build
        for extra in {"", *requirement.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                waiting += [(Requirement(each), extra) for each in found[name].requires or ()]
    return dict(sorted(found.items()))


def unpinned(wanted: Iterable[str], pinned: Mapping[str, str]) -> list[str]:
    """The packages that ``wanted`` leads to and that are installed in another version than the pinned one, or not pinned.

    A build's own mark after a plus sign (2.13.0+cpu) makes no other version.
    """
    versions = {name: found.version.partition("+")[0] for name, found in needed(wanted).items()}
    return [f"{name}=={version}" for name, version in versions.items() if pinned.get(name) != version]


def licence(found: Distribution) -> str:
    """A package's licence: its expression, or else its classifiers, or else the first line of its text."""
    metadata = found.metadata
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classifiers = [each for each in metadata.get_all("Classifier") or () if each.startswith("License ::")]
    named = [each.rpartition(" :: ")[2] for each in classifiers if each != "License :: OSI Approved"]
    text = str(metadata.get("License") or "").strip()
    return ", ".join(sorted(named)) or (text.splitlines()[0][:60] if text else "unknown")


def table() -> str:
    """One line per package: name, version and licence, in columns."""
    rows = [(name, found.version, licence(found)) for name, found in needed(requirements()).items()]
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{name:{first}}  {version:{second}}  {licence}" for name, version, licence in rows)


if __name__ == "__main__":
    print(table())

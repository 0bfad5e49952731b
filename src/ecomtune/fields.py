"""The kinds of values that params.yaml is made of."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict


class Section(BaseModel):
    """Base of all sections: unknown keys refused, nothing infinite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _inside_repository(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or PurePosixPath(path).is_absolute() or ".." in parts:
        raise ValueError("must be a path inside the repository")
    if PurePosixPath(path).as_posix() != path:
        raise ValueError(f"must be written as {PurePosixPath(path)}")
    return path


def _all_different(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("names something twice")
    return names


RelativePath = Annotated[str, AfterValidator(_inside_repository)]
#: The key of an item: the name of a folder and a part of a DVC parameter's name, hence without slashes and dots.
Name = Annotated[str, Field(pattern=r"^\w[\w-]*$")]
#: A whole number, not true or "3", which would pass for one.
Integer = Annotated[int, Strict()]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[Integer, Field(ge=0, lt=2**32)]  # NumPy takes no other
TaskNames = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_all_different)]

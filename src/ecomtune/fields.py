"""The kinds of values that params.yaml is made of."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, ValidationInfo, field_validator


class Section(BaseModel):
    """Base of all sections: unknown keys refused, nothing infinite, no truth value in place of a number or the reverse."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_and_truth_values_apart(cls, value: Any, info: ValidationInfo) -> Any:
        """True would pass for 1, and 1 for true (whole numbers, of type Integer, are strict themselves)."""
        wanted = cls.model_fields[str(info.field_name)].annotation
        if wanted is bool and not isinstance(value, bool):
            raise ValueError("must be true or false")
        if float in types_in(wanted):
            for name, each in value.items() if isinstance(value, dict) else [("", value)]:
                if isinstance(each, bool):
                    raise ValueError(f"{name} must be a number, not true or false".strip())
        return value


def types_in(annotation: Any) -> list[Any]:
    """The types that an annotation is made of: float in ``dict[str, float] | None``."""
    return [annotation, *(inner for part in get_args(annotation) for inner in types_in(part))]


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
#: Fewer tokens than these can't hold a pair of texts, of one token each, with the special tokens around and between them.
LEAST_LENGTH = 6
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[Integer, Field(ge=0, lt=2**32)]  # NumPy takes no other
TaskNames = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_all_different)]

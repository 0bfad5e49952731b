"""The kinds of values that params.yaml is made of."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, ValidationInfo, field_validator


class Config(BaseModel):
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
                if isinstance(each, int):  # some have more digits than a float can say
                    _countable(each)
        return value


def types_in(annotation: Any) -> list[Any]:
    """The types that an annotation is made of: float in ``dict[str, float] | None``."""
    return [annotation, *(inner for part in get_args(annotation) for inner in types_in(part))]


def _countable(value: int) -> int:
    if abs(value) > LARGEST:
        raise ValueError(f"must be at most {LARGEST} in size")
    return value


def _of_useful_size(weight: float) -> float:
    if weight and not SMALLEST_WEIGHT <= abs(weight) <= LARGEST_WEIGHT:
        raise ValueError(f"must be 0, or between {SMALLEST_WEIGHT:f} and {LARGEST_WEIGHT:.0f} in size")
    return weight


def _none_or_warm(temperature: float) -> float:
    if temperature and temperature < LEAST_TEMPERATURE:
        raise ValueError(f"must be 0, which takes the likeliest token, or at least {LEAST_TEMPERATURE}")
    return temperature


def _inside_repository(path: str) -> str:
    if "\0" in path:
        raise ValueError("holds a NUL character, which no file's name can have; remove it")
    parts = PurePosixPath(path).parts
    if not parts or PurePosixPath(path).is_absolute() or ".." in parts:
        raise ValueError("must be a path inside the repository")
    if PurePosixPath(path).as_posix() != path:
        raise ValueError(f"must be written as {PurePosixPath(path)}")
    if max(len(part.encode(errors="replace")) for part in parts) > LONGEST_PART:
        raise ValueError(
            f"holds a name of more than {LONGEST_PART} bytes, which leaves a disk no room for an ending; shorten it"
        )
    return path


def _visible(path: str) -> str:
    if not path.isprintable():
        raise ValueError("holds a character that can't be seen; write it with letters, digits, _ and -")
    if hidden := [part for part in PurePosixPath(path).parts if part.startswith(".")]:
        raise ValueError(f"{hidden[0]} begins with a dot, as the files do that git and DVC keep there; choose another name")
    return path


def _all_different(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("names something twice")
    return names


#: What any number may be in size, far more than there are rows, tokens or bytes; a float says each whole number up to it.
LARGEST = 10**15
#: Weights in float32 beyond these would leave nothing, or nothing finite, of what they weigh.
SMALLEST_WEIGHT, LARGEST_WEIGHT = 1e-6, 1e6
#: Below it a softmax over a model's logits is no longer finite, or takes the likeliest token anyway.
LEAST_TEMPERATURE = 0.01
#: Disks take 255 bytes: the other ones are for a file's ending and what keeps a half-written one apart. An item's name is
#: counted in characters, of four bytes at most.
LONGEST_PART, LONGEST_NAME = 240, 60
RelativePath = Annotated[str, AfterValidator(_inside_repository)]
#: Where an item is written, below a folder in which git and DVC keep files of their own.
OutPath = Annotated[RelativePath, AfterValidator(_visible)]
#: The key of an item: the name of a folder and a part of a DVC parameter's name, hence without slashes and dots.
Name = Annotated[str, Field(pattern=r"^\w[\w-]*$", max_length=LONGEST_NAME)]
#: A whole number, not true or "3", which would pass for one.
Integer = Annotated[int, Strict(), AfterValidator(_countable)]
#: Fewer tokens than these can't hold a pair of texts, of one token each, with the special tokens around and between them.
LEAST_LENGTH = 6
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, AfterValidator(_of_useful_size)]
Temperature = Annotated[float, Field(ge=0, le=100), AfterValidator(_none_or_warm)]
Seed = Annotated[Integer, Field(ge=0, lt=2**32)]  # NumPy takes no other
TaskNames = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_all_different)]

"""The types of values in params.yaml, each with its bounds."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, ValidationInfo, field_validator

#: No number may be larger in size: far more than there are rows, tokens or bytes, and a float holds every integer up to it.
MAX_NUMBER = 10**15
#: Beyond these, what a float32 weight is multiplied with vanishes or overflows.
MIN_WEIGHT, MAX_WEIGHT = 1e-6, 1e6
#: Below it, a softmax over a model's logits overflows, or takes the likeliest token anyway.
MIN_TEMPERATURE = 0.01
#: File systems allow 255 bytes for a name; the rest is for a file's suffix and the random part of a scratch file's name. The
#: name of an item is counted in characters of up to four bytes each.
MAX_PART_BYTES, MAX_NAME_LENGTH = 240, 60
#: The smallest max_length: room for a pair of texts of one token each, with the special tokens around and between them.
MIN_LENGTH = 6


class Config(BaseModel):
    """Base class of every config in params.yaml.

    Unknown keys, infinity and NaN are refused, and so is a boolean in place of a number or a number in place of a boolean.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_bool_as_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Pydantic would take true for 1.0, and 1 for true (type Integer is strict by itself)."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        if annotation is bool and not isinstance(value, bool):
            raise ValueError("must be true or false")
        if float in types_in(annotation):
            for name, each in value.items() if isinstance(value, dict) else [("", value)]:
                if isinstance(each, bool):
                    raise ValueError(f"{name} must be a number, not true or false".strip())
                if isinstance(each, int):  # an integer may have more digits than a float can hold
                    _check_size(each)
        return value


def types_in(annotation: Any) -> list[Any]:
    """An annotation and all types inside it: float is one of those of ``dict[str, float] | None``."""
    return [annotation, *(inner for part in get_args(annotation) for inner in types_in(part))]


def _check_size(value: int) -> int:
    if abs(value) > MAX_NUMBER:
        raise ValueError(f"must be at most {MAX_NUMBER} in size")
    return value


def _check_weight(weight: float) -> float:
    if weight and not MIN_WEIGHT <= abs(weight) <= MAX_WEIGHT:
        raise ValueError(f"must be 0, or between {MIN_WEIGHT:f} and {MAX_WEIGHT:.0f} in size")
    return weight


def _check_temperature(temperature: float) -> float:
    if temperature and temperature < MIN_TEMPERATURE:
        raise ValueError(f"must be 0, which takes the likeliest token, or at least {MIN_TEMPERATURE}")
    return temperature


def _check_relative(path: str) -> str:
    if "\0" in path:
        raise ValueError("contains a NUL character, which no file name can have; remove it")
    parts = PurePosixPath(path).parts
    if not parts or PurePosixPath(path).is_absolute() or ".." in parts:
        raise ValueError("must be a path inside the repository")
    if PurePosixPath(path).as_posix() != path:
        raise ValueError(f"must be written as {PurePosixPath(path)}")
    if max(len(part.encode(errors="replace")) for part in parts) > MAX_PART_BYTES:
        raise ValueError(f"contains a name of more than {MAX_PART_BYTES} bytes, too long for a file system; shorten it")
    return path


def _check_visible(path: str) -> str:
    if not path.isprintable():
        raise ValueError("contains an invisible character; use letters, digits, _ and - only")
    if hidden := [part for part in PurePosixPath(path).parts if part.startswith(".")]:
        raise ValueError(f"{hidden[0]} begins with a dot, like the files that git and DVC keep there; choose another name")
    return path


def _check_unique(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("the same name is listed twice; remove one")
    return names


RelativePath = Annotated[str, AfterValidator(_check_relative)]
#: Where the output of an item is written, below a folder in which git and DVC keep files of their own.
OutPath = Annotated[RelativePath, AfterValidator(_check_visible)]
#: The key of an item. It names a folder and is part of a DVC parameter's name, hence no slashes and no dots.
Name = Annotated[str, Field(pattern=r"^\w[\w-]*$", max_length=MAX_NAME_LENGTH)]
#: An integer; true and "3" are refused, which pydantic would convert.
Integer = Annotated[int, Strict(), AfterValidator(_check_size)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, AfterValidator(_check_weight)]
Temperature = Annotated[float, Field(ge=0, le=100), AfterValidator(_check_temperature)]
Seed = Annotated[Integer, Field(ge=0, lt=2**32)]  # NumPy's range
TaskNames = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_check_unique)]

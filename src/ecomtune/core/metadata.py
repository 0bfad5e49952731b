"""What stages note beside data and weights, as JSON: each kind of note has its shape and is read here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator

from ecomtune.core.config.types import RelativePath
from ecomtune.core.files import read_json_as
from ecomtune.core.paths import ADAPTER_CONFIG, ANSWER_COSTS, RECIPE, TRAINING_RECORD
from ecomtune.messages.errors import UserError

#: What an answer costs (see ecomtune.costs), as far as it is known.
COST_NAMES = ("parameters", "trained_parameters", "trained_tokens", "input_tokens", "output_tokens")
#: More than any count of weights or tokens, and less than a float can hold.
COUNT_LIMIT = 2**63


def _name(key: str) -> str:
    if key not in COST_NAMES:
        raise ValueError(f"is no cost; these are {', '.join(COST_NAMES)}")
    return key


def _number(value: Any) -> float:
    """The value as it is, since a whole number must stay one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < COUNT_LIMIT:
        raise ValueError("must be a number from 0 on")
    return value


Costs = dict[Annotated[str, AfterValidator(_name)], Annotated[float, PlainValidator(_number)]]
Count = Annotated[int, Field(ge=0, lt=COUNT_LIMIT)]
TwoNumbers = Annotated[list[float], Field(min_length=2, max_length=2)]


class Metadata(BaseModel):
    """What is read of a file or a part of it, which may hold more."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class Score(Metadata):
    """The value of a metric, its interval and the number of rows."""

    value: float
    ci: TwoNumbers
    n: Count


class TrainingTotals(Metadata):
    """What weights learnt from: the tokens seen in all epochs, and the number of weights that were trained."""

    tokens: Count
    trained_parameters: Count


class ValidationLosses(Metadata):
    """The loss on validation rows after a step, by task."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float] = Field(init=False)
    step: Count


class LossHistory(Metadata):
    """How a training went: [step, loss] in order, the number of steps, and the losses on validation rows."""

    loss: Annotated[list[TwoNumbers], Field(min_length=1)]
    steps: Count
    validation: list[ValidationLosses]


class Split(Metadata):
    """The number of a split's rows."""

    rows: Count


class Splits(Metadata):
    """The splits of a task's examples."""

    train: Split
    validation: Split
    test: Split


class FormatReport(Metadata):
    """What formatting counted of a task's examples."""

    splits: Splits


class _Base(Metadata):
    base_model_name_or_path: RelativePath


def read_costs(predictions: Path, task: str) -> Costs:
    """What an answer to a task costs, as noted beside a system's predictions.

    Raises UserError where that is missing, broken, or holds anything but numbers by the names of COST_NAMES.
    """
    file = predictions / ANSWER_COSTS
    found = read_json_as(file, dict[str, Costs])
    if task not in found:
        raise UserError(f"{file} has no costs of task {task}; remove it and run dvc repro predict@{predictions.name}")
    return found[task]


def missing_scores(file: Path, task: str, system: str) -> UserError:
    """The error of a metrics file that doesn't hold what scoring writes of a task."""
    return UserError(
        f"{file} doesn't hold the scores of task {task} as stage score@{system} writes them; run dvc repro score@{system}"
    )


def read_training_totals(model: Path) -> TrainingTotals | None:
    """What training noted beside a model's weights, or merging of all its parts; None where neither did.

    Raises UserError where the note is broken.
    """
    if (record := model / TRAINING_RECORD).is_file():
        return read_json_as(record, TrainingTotals)
    recipe = model / RECIPE
    if not recipe.is_file() or not TrainingTotals.model_fields.keys() & read_json_as(recipe, dict[str, Any]).keys():
        return None
    return read_json_as(recipe, TrainingTotals)


def base_model_folder(adapter: Path) -> Path:
    """The pretrained folder that an adapter was trained on. Raises UserError where it is gone or not told."""
    base = Path(read_json_as(adapter / ADAPTER_CONFIG, _Base).base_model_name_or_path)
    if not base.is_dir():
        raise UserError(f"{adapter} was trained on {base}, which isn't there; run dvc repro pretrained")
    return base

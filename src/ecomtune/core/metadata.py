"""JSON files that stages write next to data and weights: training records, answer costs, format reports, scores.

Each is read through a class that defines its shape, so that a broken or foreign file is refused in one sentence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator

from ecomtune.core.config.types import RelativePath
from ecomtune.core.files import read_json_as
from ecomtune.core.paths import ADAPTER_CONFIG, ANSWER_COSTS, RECIPE, TRAINING_RECORD
from ecomtune.messages.errors import UserError

#: Costs of an answer (see ecomtune.inference.answer_costs); those that are unknown are left out.
COST_NAMES = ("parameters", "trained_parameters", "trained_tokens", "input_tokens", "output_tokens")
#: Above any count of weights or tokens, and within the range of a float.
COUNT_LIMIT = 2**63


def _check_name(key: str) -> str:
    if key not in COST_NAMES:
        raise ValueError(f"is not a cost; the costs are {', '.join(COST_NAMES)}")
    return key


def _check_cost(value: Any) -> float:
    """The value, unchanged: an integer is written again as an integer."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < COUNT_LIMIT:
        raise ValueError("must be a number of at least 0")
    return value


Costs = dict[Annotated[str, AfterValidator(_check_name)], Annotated[float, PlainValidator(_check_cost)]]
Count = Annotated[int, Field(ge=0, lt=COUNT_LIMIT)]
Pair = Annotated[list[float], Field(min_length=2, max_length=2)]


class Metadata(BaseModel):
    """Base class: the keys that this project reads of a file or a part of it; others are allowed."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class Score(Metadata):
    """The value of a metric, its confidence interval and the number of rows."""

    value: float
    ci: Pair
    n: Count


class TrainingTotals(Metadata):
    """The tokens that weights were trained on, over all epochs, and the number of weights that were trained."""

    tokens: Count
    trained_parameters: Count


class ValidationLosses(Metadata):
    """The validation losses after a step; every further key is a task."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float] = Field(init=False)
    step: Count


class LossHistory(Metadata):
    """The losses of a training: [step, loss] in order, the number of steps, and the validation losses."""

    loss: Annotated[list[Pair], Field(min_length=1)]
    steps: Count
    validation: list[ValidationLosses]


class Split(Metadata):
    """The number of rows in a split."""

    rows: Count


class Splits(Metadata):
    """The splits of a task's examples."""

    train: Split
    validation: Split
    test: Split


class FormatReport(Metadata):
    """The counts of a task's examples that formatting reports."""

    splits: Splits


class _AdapterConfig(Metadata):
    base_model_name_or_path: RelativePath


def read_costs(predictions: Path, task: str) -> Costs:
    """The costs of an answer to a task, from the file next to a system's predictions.

    Raises UserError where the file is missing, broken, or contains anything other than numbers under COST_NAMES.
    """
    file = predictions / ANSWER_COSTS
    found = read_json_as(file, dict[str, Costs])
    if task not in found:
        raise UserError(f"{file} has no costs of task {task}; remove it and run dvc repro predict@{predictions.name}")
    return found[task]


def missing_scores(file: Path, task: str, system: str) -> UserError:
    """The error for a metrics file without the scores of a task in the shape that stage score writes."""
    return UserError(
        f"{file} doesn't hold the scores of task {task} as stage score@{system} writes them; run dvc repro score@{system}"
    )


def read_training_totals(model: Path) -> TrainingTotals | None:
    """The training totals next to a model's weights: its own, or the sum over merged adapters; None where there are none.

    Raises UserError where the file is broken.
    """
    if (record := model / TRAINING_RECORD).is_file():
        return read_json_as(record, TrainingTotals)
    recipe = model / RECIPE
    if not recipe.is_file() or not TrainingTotals.model_fields.keys() & read_json_as(recipe, dict[str, Any]).keys():
        return None
    return read_json_as(recipe, TrainingTotals)


def base_model_folder(adapter: Path) -> Path:
    """The folder of the base model that an adapter was trained on.

    Raises UserError where the folder is missing, or the adapter's config doesn't name it.
    """
    base = Path(read_json_as(adapter / ADAPTER_CONFIG, _AdapterConfig).base_model_name_or_path)
    if not base.is_dir():
        raise UserError(f"{adapter} was trained on {base}, which is missing; run dvc repro pretrained")
    return base

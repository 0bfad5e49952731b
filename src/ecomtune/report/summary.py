"""The summary of a run: every system by task, side by side, and how systems and adapters compare."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from ecomtune.core.config.params import Params, model_folder
from ecomtune.core.files import dump_json, read_json, read_json_as, write_text
from ecomtune.core.metadata import COST_NAMES, Costs, Count, missing_scores
from ecomtune.core.paths import METRICS, SUMMARY
from ecomtune.metrics.paired import Pair
from ecomtune.tasks.registry import load_task

#: Shapes of the summary are checked whenever one is made, from metrics or from a file: no conversion, no NaN, no further keys.
CHECKED: Final = ConfigDict(strict=True, allow_inf_nan=False, extra="forbid")
#: The bounds of an interval; in metrics and in JSON a list.
Interval = Annotated[tuple[float, float], Field(strict=False)]
#: By adapter and task, how far the main metric is above zero-shot; None where it was not measured.
Transfer = dict[str, dict[str, float | None]]
#: By task, the comparison of every two systems.
Pairs = dict[str, list[Pair]]


@dataclass(frozen=True, config=CHECKED)
class Cell:
    """One system on one task: its main metric with the interval, the numbers of rows, groups and invalid answers, what an
    answer costs as far as it is known, and the folder of the model that answers."""

    metric: str
    value: float
    ci: Interval
    n: Count
    groups: Count
    invalid: Count
    costs: Costs
    model: str


@dataclass(frozen=True, config=CHECKED)
class Scores:
    """What metrics/ holds: the cells by system and task, each task's main metric, the confidence level of the intervals, and
    the metrics files that belong to no system."""

    confidence: float
    left_over: list[str]
    main_metric: dict[str, str]
    systems: dict[str, dict[str, Cell]]

    @property
    def interval(self) -> str:
        """The name of the intervals, for example "95% interval"."""
        return f"{100 * self.confidence:g}% interval"

    def cells(self, task: str) -> dict[str, Cell]:
        """The cells of a task by system."""
        return {name: cells[task] for name, cells in self.systems.items() if task in cells}


@dataclass(frozen=True, config=CHECKED)
class TaskCosts:
    """Of a task: the floating-point operations of each system's answer (None: unknown), and the systems that no other beats
    on both quality and operations."""

    compute: dict[str, float | None]
    unbeaten: list[str]


@dataclass(frozen=True, config=CHECKED)
class AdapterSimilarity:
    """How similar two adapters are: the cosine of their ΔW, and how far the spaces that ΔW writes (columns) and reads (rows)
    agree."""

    first: str
    second: str
    cosine: float
    columns: float
    rows: float


@dataclass(frozen=True, config=CHECKED)
class Similarity:
    """The adapters of a run, and how similar every two of them are."""

    adapters: list[str]
    pairs: list[AdapterSimilarity]


@dataclass(frozen=True, config=CHECKED)
class Summary(Scores):
    """The scores, and what ``compare`` adds: the costs and the paired tests by task, how similar the adapters are, and what
    each adds to each task."""

    costs: dict[str, TaskCosts]
    pairs: Pairs
    similarity: Similarity
    transfer: Transfer

    @classmethod
    def of(
        cls, scores: Scores, costs: dict[str, TaskCosts], pairs: Pairs, similarity: Similarity, transfer: Transfer
    ) -> Summary:
        """The summary of these scores."""
        return cls(**_fields(scores), costs=costs, pairs=pairs, similarity=similarity, transfer=transfer)

    def with_scores(self, scores: Scores) -> Summary:
        """This summary with other scores."""
        return replace(self, **_fields(scores))


def _fields(scores: Scores) -> dict[str, Any]:
    return {field.name: getattr(scores, field.name) for field in fields(Scores)}


def write_summary(summary: Summary, file: Path = SUMMARY) -> None:
    """Write a summary as JSON."""
    write_text(file, dump_json(asdict(summary)))


def read_summary(file: Path = SUMMARY) -> Summary:
    """The summary that :func:`write_summary` wrote. Raises UserError if it is missing or of another shape."""
    return read_json_as(file, Summary)


def summarize(params: Params, metrics: Path = METRICS) -> Scores:
    """The scores of every system and task in params.

    Raises UserError if a system's metrics are missing or of another shape.
    """
    known = {f"{system}.json" for system in params.systems}
    main_metric = {task: load_task(params, task).main_metric for task in params.tasks}
    systems: dict[str, dict[str, Cell]] = {}
    for name, system in params.systems.items():
        file = metrics / f"{name}.json"
        scores = read_json(file)
        for task in system.tasks:
            try:
                cell = _cell(main_metric[task], scores[task], model_folder(system, task, params))
            except (KeyError, TypeError, ValueError) as error:
                raise missing_scores(file, task, name) from error
            systems.setdefault(name, {})[task] = cell
    return Scores(
        confidence=params.score.confidence,
        left_over=sorted(file.name for file in metrics.glob("*.json") if file.name not in known),
        main_metric=main_metric,
        systems=systems,
    )


def _cell(metric: str, scores: dict[str, Any], model: str) -> Cell:
    return Cell(
        metric=metric,
        value=scores[metric],
        ci=scores[f"{metric}_ci"],
        n=scores["n"],
        groups=scores["groups"],
        invalid=scores["invalid"],
        costs={name: scores[name] for name in COST_NAMES if name in scores},
        model=model,
    )

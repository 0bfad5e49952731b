"""The complete params.yaml, and the folders that its items write."""

from __future__ import annotations

from ecomtune.core.config.data import Dataset, Model, Score, TaskSettings
from ecomtune.core.config.systems import Baseline, System
from ecomtune.core.config.training import Merge, Train
from ecomtune.core.config.types import Config, Name, Seed
from ecomtune.core.paths import ADAPTERS, BASELINES, EXAMPLES, MERGED, PREDICTIONS, PRETRAINED, RAW


class Params(Config):
    """The complete params.yaml. Rules across keys are in ecomtune.checks: ``load_params`` applies them."""

    seed: Seed
    datasets: dict[Name, Dataset]
    models: dict[Name, Model]
    tasks: dict[Name, TaskSettings]
    train: Train
    merge: Merge
    baselines: dict[Name, Baseline]
    systems: dict[Name, System]
    score: Score


def written_folders(params: Params) -> list[str]:
    """Every folder in data/ and models/ that the stages write."""
    folders = [
        *(RAW / name for name in params.datasets),
        *(EXAMPLES / name for name in params.tasks),
        *(PREDICTIONS / name for name in params.systems),
        *(PRETRAINED / name for name in params.models),
        *(ADAPTERS / adapter.out for adapter in params.train.adapters.values()),
        *(MERGED / name for name in params.merge.recipes),
        *(BASELINES / baseline.out for baseline in params.baselines.values()),
    ]
    return [folder.as_posix() for folder in folders]


def model_folder(system: System, task: str, params: Params) -> str:
    """The folder of the model that answers ``task``: ``system.reads`` itself, or the subfolder of the task."""
    return system.reads if system.reads in written_folders(params) else f"{system.reads}/{task}"


def baseline_of(system: System, task: str, params: Params) -> Baseline:
    """The baseline that answers ``task`` for a system of baselines."""
    folder = model_folder(system, task, params)
    return next(each for each in params.baselines.values() if (BASELINES / each.out).as_posix() == folder)

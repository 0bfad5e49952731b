"""The configs that params.yaml consists of, each with the types and bounds of its keys."""

from __future__ import annotations

from ecomtune.core.config.data import Dataset, Model, Score, SourceFile, TaskSettings
from ecomtune.core.config.systems import Baseline, Endpoint, System
from ecomtune.core.config.training import Adapter, Merge, Mix, Recipe, Search, Train, Training

__all__ = [
    "Adapter",
    "Baseline",
    "Dataset",
    "Endpoint",
    "Merge",
    "Mix",
    "Model",
    "Recipe",
    "Score",
    "Search",
    "SourceFile",
    "System",
    "TaskSettings",
    "Train",
    "Training",
]

"""Rules across the items of params.yaml: no two write the same folder, and adapters fit their tasks."""

from __future__ import annotations

import re

from pydantic import ValidationError

from ecomtune.checks.items import training_problem
from ecomtune.core.config import Adapter, Training
from ecomtune.core.config.params import Params, written_folders
from ecomtune.core.paths import ADAPTERS, EXAMPLES, MERGED, PRETRAINED
from ecomtune.messages.advice import describe


def check_rules(params: Params) -> None:
    """Raises ValueError for the first broken rule, naming the key."""
    _check_folders(params)
    _check_compared(params)
    for key, adapter in params.train.adapters.items():
        _check_adapter(f"train.adapters.{key}", adapter)
        _check_settings(key, params)


def check_folders_of_baselines(params: Params) -> None:
    """Raises ValueError where a baseline's folder is not named after its family and task."""
    for key, baseline in params.baselines.items():
        folder, _, task = baseline.out.partition("/")
        if task != baseline.task or not re.fullmatch(rf"{baseline.family}(_\w[\w-]*)?", folder):
            named, other = f"{baseline.family}/{baseline.task}", f"{baseline.family}_NAME/{baseline.task}"
            raise ValueError(f"baselines.{key}: out must be {named}, or {other} for a further baseline of its family")


def _check_folders(params: Params) -> None:
    """Raises ValueError where two items write the same folder, one writes inside another's, or one inside what it reads."""
    written = written_folders(params)
    if twice := [out for out in written if written.count(out) > 1]:
        raise ValueError(f"two items write {twice[0]}; give each a different out")
    for key, adapter in params.train.adapters.items():
        own, place = str(ADAPTERS / adapter.out), f"train.adapters.{key}.out"
        if adapter.out.split("/")[0] == MERGED.name:
            raise ValueError(f"{place}: {MERGED} is where merges are written; choose another folder")
        if around := [out for out in written if own.startswith(f"{out}/")]:
            raise ValueError(f"{place}: {own} is inside {around[0]}, which another item overwrites; choose a folder next to it")
    for key, recipe in params.merge.recipes.items():
        own = str(MERGED / key)
        if own.startswith(f"{recipe.reads}/"):
            raise ValueError(
                f"merge.recipes.{key}.reads: {recipe.reads} contains the recipe's own output, {own}; let the adapters write to "
                "a folder of their own, such as single/ner, and read that folder"
            )


def _check_compared(params: Params) -> None:
    """Raises ValueError where stage compare would depend on a folder that no stage writes, or not on the adapters."""
    has_adapters = bool(params.train.adapters)  # recipes merge some of them
    expected = str(ADAPTERS if has_adapters else PRETRAINED)
    if params.score.adapters != expected:
        why = "this study has adapters to compare" if has_adapters else "this study has no adapters"
        raise ValueError(f"score.adapters: {why}; set it to {expected}")


def _check_adapter(where: str, adapter: Adapter) -> None:
    if adapter.shard is not None and not 1 <= adapter.shard[0] <= adapter.shard[1]:
        raise ValueError(f"{where}: shard is [i, n] with 1 <= i <= n")
    expected = str(EXAMPLES / adapter.tasks[0] if len(adapter.tasks) == 1 else EXAMPLES)
    if adapter.reads != expected:
        raise ValueError(f"{where}.reads: must be {expected} for tasks {', '.join(adapter.tasks)}")
    if adapter.mix and len(adapter.tasks) == 1:
        raise ValueError(f"{where}.mix: a single task needs no mix; remove it")
    if adapter.mix and adapter.mix.weights and (missing := set(adapter.tasks) - set(adapter.mix.weights)):
        raise ValueError(f"{where}.mix.weights: task {min(missing)} has no weight; add it")
    if "model" in adapter.settings:
        raise ValueError(f"{where}.settings.model: all adapters start from train.shared.model; remove it here")


def _check_settings(key: str, params: Params) -> None:
    """Raises ValueError where an adapter's own settings, combined with the shared ones, are invalid."""
    place = f"train.adapters.{key}.settings"
    try:
        settings = params.train.settings_of(key)
    except ValidationError as error:
        raise ValueError(f"{place}.{describe(error, Training)}") from error
    if problem := training_problem(settings):
        raise ValueError(f"{place}: {problem}")

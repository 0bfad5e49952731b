"""The role of each system of params.yaml in the study, by its kind and what it reads, never by its name."""

from __future__ import annotations

from ecomtune.core.config.params import Params, baseline_of, model_folder
from ecomtune.core.paths import ADAPTERS, MERGED


def role_of(params: Params, system: str, task: str) -> str:
    """The role of a system in a task.

    ``prompt`` and ``endpoint`` prompt a model as it is. ``single``, ``shard`` and ``mixed`` have one adapter, trained on the
    task alone, on a part of its rows, or on several tasks. ``merged_within`` and ``merged_between`` merge adapters of the task
    alone, or of several tasks. ``transfer`` has only adapters of other tasks. Baselines are a ``floor`` or ``conventional``,
    also one that trains all weights of the LLM itself, and ``recorded`` answers come from elsewhere.
    """
    settings = params.systems[system]
    if settings.kind == "baseline":
        return "floor" if baseline_of(params.systems[system], task, params).family == "floor" else "conventional"
    if settings.kind != "adapter":
        return settings.kind
    adapters = [params.train.adapters[name] for name in adapters_of(params, system, task)]
    trained_on = {each for adapter in adapters for each in adapter.tasks}
    if task not in trained_on:
        return "transfer"
    if len(adapters) > 1:
        return "merged_between" if len(trained_on) > 1 else "merged_within"
    if len(trained_on) > 1:
        return "mixed"
    return "single" if adapters[0].shard is None else "shard"


def trains_the_llm(params: Params, system: str, task: str) -> bool:
    """Whether a system answers a task with the adapters' base model, all of whose weights were trained."""
    given = params.systems[system]
    return given.kind == "baseline" and baseline_of(given, task, params).model == params.train.shared.model


def adapters_of(params: Params, system: str, task: str) -> list[str]:
    """The keys of the trained adapters with which a system of kind adapter answers a task: one, or those that it merges."""
    folder = model_folder(params.systems[system], task, params)
    trained = {str(ADAPTERS / adapter.out): name for name, adapter in params.train.adapters.items()}
    if folder in trained:
        return [trained[folder]]
    recipe = params.merge.recipes[folder.removeprefix(f"{MERGED}/")]
    return [trained[f"{recipe.reads}/{name}"] for name, weight in recipe.weights.items() if weight]

"""What each system of params.yaml is in the study's terms, by its kind and by what it reads, never by its name."""

from __future__ import annotations

from ecomtune.core.config import Baseline
from ecomtune.core.config.params import Params, model_folder
from ecomtune.core.paths import ADAPTERS, BASELINES, MERGED


def role_of(params: Params, system: str, task: str) -> str:
    """The part that a system plays in a task.

    ``prompt`` and ``endpoint`` ask a model as it is; ``single``, ``shard`` and ``mixed`` have one adapter, trained on the task
    alone, on a part of its rows, or on several tasks; ``merged_within`` and ``merged_between`` join adapters of the task, or of
    several tasks; ``transfer`` has adapters of other tasks alone. Baselines are a ``floor`` or ``conventional``, as is one that
    trains all weights of the LLM itself, and ``recorded`` answers come from elsewhere.
    """
    settings = params.systems[system]
    if settings.kind == "baseline":
        return "floor" if _baseline_of(params, system, task).family == "floor" else "conventional"
    if settings.kind != "adapter":
        return settings.kind
    adapters = [params.train.adapters[name] for name in adapters_of(params, system, task)]
    learnt = {each for adapter in adapters for each in adapter.tasks}
    if task not in learnt:
        return "transfer"
    if len(adapters) > 1:
        return "merged_between" if len(learnt) > 1 else "merged_within"
    if len(learnt) > 1:
        return "mixed"
    return "single" if adapters[0].shard is None else "shard"


def trains_the_llm(params: Params, system: str, task: str) -> bool:
    """Whether a system answers a task by the model that adapters start from, with all of its weights trained."""
    return params.systems[system].kind == "baseline" and _baseline_of(params, system, task).model == params.train.shared.model


def _baseline_of(params: Params, system: str, task: str) -> Baseline:
    folder = model_folder(params.systems[system], task, params)
    return next(each for each in params.baselines.values() if str(BASELINES / each.out) == folder)


def adapters_of(params: Params, system: str, task: str) -> list[str]:
    """The keys of the trained adapters by which a system of kind adapter answers a task: one, or those that a merge joins."""
    folder = model_folder(params.systems[system], task, params)
    trained = {str(ADAPTERS / adapter.out): name for name, adapter in params.train.adapters.items()}
    if folder in trained:
        return [trained[folder]]
    recipe = params.merge.recipes[folder.removeprefix(f"{MERGED}/")]
    return [trained[f"{recipe.reads}/{name}"] for name, weight in recipe.weights.items() if weight]

"""References in params.yaml to readers, tasks, models, adapters and the folders of other items: each must exist."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ecomtune.core.config import Dataset
from ecomtune.core.config.params import Params, model_folder, written_folders
from ecomtune.core.paths import ADAPTERS, BASELINES, PRETRAINED
from ecomtune.messages.advice import nearest

#: An error lists all known names up to the first number, or of more names the nearest ones, as many as the second number.
MAX_LISTED, NEAREST_LISTED = 8, 3
PACKAGE = Path(__file__).resolve().parent.parent


class Reference(NamedTuple):
    """A key that refers to something by name, the name, the known names, and where those are defined."""

    place: str
    name: str
    known: Collection[str]
    home: str


def check_tasks_of_baselines(params: Params) -> None:
    """Raises ValueError for the first baseline of an unknown task. Checked first, since the task is part of the folder."""
    _check(
        Reference(f"baselines.{key}.task", baseline.task, params.tasks, "tasks") for key, baseline in params.baselines.items()
    )


def check_references(params: Params) -> None:
    """Raises ValueError for the first reference to something that doesn't exist."""
    _check(_references(params))


def _check(references: Iterable[Reference]) -> None:
    for place, name, known, home in references:
        if name not in known:
            near = nearest(name, known)
            to = f" to {near}" if near else ""
            raise ValueError(
                f"{place}: {name!r} is not in {home} (there: {_listed(name, known)}); add it there or correct the name{to}"
            )


def _listed(name: str, known: Collection[str]) -> str:
    """The known names, or the nearest few of many."""
    if len(known) <= MAX_LISTED:
        return ", ".join(known) or "none"
    near = difflib.get_close_matches(name, known, n=NEAREST_LISTED, cutoff=0)
    return f"{', '.join(near)} and {len(known) - len(near)} others"


def _references(params: Params) -> Iterator[Reference]:
    yield from _of_data(params)
    yield from _of_training(params)
    for key, baseline in params.baselines.items():
        if baseline.model is not None:
            kinds = {"causal": ("causal",), "encoder": ("encoder",)}.get(baseline.family, ("encoder", "seq2seq"))
            yield Reference(
                f"baselines.{key}.model", baseline.model, _models(params, *kinds), f"models of kind {' or '.join(kinds)}"
            )
    yield from _of_systems(params)


def _models(params: Params, *kinds: str) -> list[str]:
    return [name for kind in kinds for name, model in params.models.items() if model.kind == kind]


def _of_data(params: Params) -> Iterator[Reference]:
    for key, dataset in params.datasets.items():
        yield Reference(f"datasets.{key}.reader", dataset.reader, modules_with("KINDS", "datasets"), "src/ecomtune/datasets")
    for key, task in params.tasks.items():
        yield from (Reference(f"tasks.{key}.dataset", name, params.datasets, "datasets") for name in task.dataset)


def _of_training(params: Params) -> Iterator[Reference]:
    adapters = [str(ADAPTERS / adapter.out) for adapter in params.train.adapters.values()]
    yield Reference("train.shared.model", params.train.shared.model, _models(params, "causal"), "models of kind causal")
    for key, adapter in params.train.adapters.items():
        place = f"train.adapters.{key}"
        weights = adapter.mix.weights if adapter.mix else {}
        yield from (Reference(place, name, params.tasks, "tasks") for name in adapter.tasks)
        yield from (Reference(f"{place}.limit", name, adapter.tasks, "its tasks") for name in adapter.limit)
        yield from (Reference(f"{place}.mix.weights", name, adapter.tasks, "its tasks") for name in weights)
    for key, recipe in params.merge.recipes.items():
        place = f"merge.recipes.{key}"
        searched = recipe.search.tasks if recipe.search else ()
        yield from (Reference(f"{place}.search.tasks", name, params.tasks, "tasks") for name in searched)
        for name in recipe.weights:
            yield Reference(f"{place}.weights", f"{recipe.reads}/{name}", adapters, "the outs of train.adapters")


def _of_systems(params: Params) -> Iterator[Reference]:
    causal = _models(params, "causal")
    for key, system in params.systems.items():
        place = f"systems.{key}"
        if system.kind == "recorded" and (tables := _own_tables(params, system.tasks[0])):
            columns = [column for table in tables for column in table.columns]
            yield Reference(place, f"answer_{key}", columns, "the columns of its data set")
        if system.kind == "prompt":
            yield Reference(f"{place}.reads", system.reads.removeprefix(f"{PRETRAINED}/"), causal, "models of kind causal")
        if system.encoder is not None:
            yield Reference(f"{place}.encoder", system.encoder, _models(params, "encoder"), "models of kind encoder")
        for name in system.tasks:
            model = model_folder(system, name, params)
            yield Reference(f"{place}.tasks", name, params.tasks, "tasks")
            yield Reference(f"{place}.reads", model, written_folders(params), "the folders that stages write")
            if system.kind == "baseline":
                own = [str(BASELINES / baseline.out) for baseline in params.baselines.values() if baseline.task == name]
                yield Reference(f"{place}.reads", model, own, f"the baselines of task {name}")


def _own_tables(params: Params, task: str) -> list[Dataset]:
    """The data sets of a task if all of them are a user's own tables; otherwise none."""
    names = params.tasks[task].dataset if task in params.tasks else ()
    datasets = [params.datasets[name] for name in names if name in params.datasets]
    return datasets if all(dataset.reader == "table" for dataset in datasets) else []


def modules_with(constant: str, package: str) -> list[str]:
    """The modules of ``ecomtune.<package>`` that define ``constant``, found in their source without importing them."""
    defined = re.compile(rf"^{constant}\b.*=", re.MULTILINE)
    modules = sorted((PACKAGE / package).glob("*.py"))
    return [module.stem for module in modules if defined.search(module.read_text(encoding="utf-8"))]

"""params.yaml as a whole: its sections, and the rules between them, checked before any stage runs."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError, model_validator

from ecomtune.errors import UserError, describe, nearest
from ecomtune.fields import Name, Section, Seed
from ecomtune.files import modules_with, read_yaml
from ecomtune.sections import Baseline, Dataset, Merge, Model, Score, System, TaskSettings, Train, Training

PARAMS_FILE = Path("params.yaml")
#: Where more names than these could be meant, the nearest few are told.
MOST_TOLD, FEW = 8, 3


class Params(Section):
    """The whole of params.yaml."""

    seed: Seed
    datasets: dict[Name, Dataset]
    models: dict[Name, Model]
    tasks: dict[Name, TaskSettings]
    train: Train
    merge: Merge
    baselines: dict[Name, Baseline]
    systems: dict[Name, System]
    score: Score

    @model_validator(mode="after")
    def _fits_together(self) -> Params:
        # tasks of baselines first, by which their outs are named
        _check_known((f"baselines.{key}.task", each.task, self.tasks, "tasks") for key, each in self.baselines.items())
        for key, baseline in self.baselines.items():
            if problem := baseline.out_problem():
                raise ValueError(f"baselines.{key}: {problem}")
        _check_known(_references(self))
        _check_apart(self)
        for key, adapter in self.train.adapters.items():
            where = f"train.adapters.{key}"
            if adapter.shard is not None and not 1 <= adapter.shard[0] <= adapter.shard[1]:
                raise ValueError(f"{where}: shard is [i, n] with 1 <= i <= n")
            expected = f"data/examples/{adapter.tasks[0]}" if len(adapter.tasks) == 1 else "data/examples"
            if adapter.reads != expected:
                raise ValueError(f"{where}.reads: must be {expected} for tasks {', '.join(adapter.tasks)}")
            if adapter.mix and len(adapter.tasks) == 1:
                raise ValueError(f"{where}.mix: there is one task only, nothing to mix; remove it")
            if adapter.mix and adapter.mix.weights and (missing := set(adapter.tasks) - set(adapter.mix.weights)):
                raise ValueError(f"{where}.mix.weights: task {min(missing)} has no weight; add it")
            if "model" in adapter.settings:
                raise ValueError(f"{where}.settings.model: all adapters start from train.shared.model; remove it here")
            try:
                self.train.settings_of(key)
            except ValidationError as error:
                raise ValueError(f"{where}.settings.{describe(error, Training)}") from error
        return self


def _check_known(references: Iterable[tuple[str, str, Collection[str], str]]) -> None:
    """Raises ValueError for the first place that names what there isn't."""
    for where, name, known, section in references:
        if name not in known:
            near = nearest(name, known)
            to = f" to {near}" if near else ""
            have = _told(name, known)
            raise ValueError(f"{where}: {name!r} is not in {section} (there: {have}); add it there or correct the name{to}")


def _told(name: str, known: Collection[str]) -> str:
    """The known names, or of many the nearest few."""
    if len(known) <= MOST_TOLD:
        return ", ".join(known) or "none"
    near = difflib.get_close_matches(name, known, n=FEW, cutoff=0)
    return f"{', '.join(near)} and {len(known) - len(near)} others"


def _check_apart(params: Params) -> None:
    """Raises ValueError where two items write the same folder, one a folder inside another's, or one inside what it reads."""
    written = outs(params)
    if twice := [out for out in written if written.count(out) > 1]:
        raise ValueError(f"two items write {twice[0]}; give each an out of its own")
    for key, adapter in params.train.adapters.items():
        own = f"models/adapters/{adapter.out}"
        place = f"train.adapters.{key}.out"
        if adapter.out.split("/")[0] == "merged":
            raise ValueError(f"{place}: models/adapters/merged is where merges are written; name another folder")
        if around := [out for out in written if own.startswith(f"{out}/")]:
            raise ValueError(f"{place}: {own} lies in {around[0]}, which another item replaces whole; name a folder beside it")
    for key, recipe in params.merge.recipes.items():
        own = f"models/adapters/merged/{key}"
        if own.startswith(f"{recipe.reads}/"):
            raise ValueError(
                f"merge.recipes.{key}.reads: {recipe.reads} holds what the recipe itself writes, {own}; give the adapters outs "
                "in a folder of their own, such as single/ner, and name that folder"
            )


def _references(params: Params) -> Iterator[tuple[str, str, Collection[str], str]]:
    """Every place that names something: the place, the name, the names that there are, and where those stand."""
    causal, encoders, seq2seq = (
        [n for n, model in params.models.items() if model.kind == kind] for kind in ("causal", "encoder", "seq2seq")
    )
    adapters = [f"models/adapters/{adapter.out}" for adapter in params.train.adapters.values()]
    for key, dataset in params.datasets.items():
        yield f"datasets.{key}.reader", dataset.reader, modules_with("TASKS", "datasets"), "src/ecomtune/datasets"
    for key, task in params.tasks.items():
        yield f"tasks.{key}", key, modules_with("TASK", "tasks"), "src/ecomtune/tasks"
        yield f"tasks.{key}.dataset", task.dataset, params.datasets, "datasets"
    yield "train.shared.model", params.train.shared.model, causal, "models of kind causal"
    for key, adapter in params.train.adapters.items():
        yield from ((f"train.adapters.{key}", name, params.tasks, "tasks") for name in adapter.tasks)
        yield from ((f"train.adapters.{key}.limit", name, adapter.tasks, "its tasks") for name in adapter.limit)
        weights = adapter.mix.weights if adapter.mix else {}
        yield from ((f"train.adapters.{key}.mix.weights", name, adapter.tasks, "its tasks") for name in weights)
    for key, recipe in params.merge.recipes.items():
        searched = recipe.search.tasks if recipe.search else ()
        yield from ((f"merge.recipes.{key}.search.tasks", name, params.tasks, "tasks") for name in searched)
        for name in recipe.weights:
            yield f"merge.recipes.{key}.weights", f"{recipe.reads}/{name}", adapters, "the outs of train.adapters"
    for key, baseline in params.baselines.items():
        if baseline.model is not None:
            known = {"causal": causal, "encoder": encoders}.get(baseline.family, encoders + seq2seq)
            kinds = "encoder or seq2seq" if baseline.family == "seq2seq" else baseline.family
            yield f"baselines.{key}.model", baseline.model, known, f"models of kind {kinds}"
    for key, system in params.systems.items():
        if system.kind == "recorded" and (table := _own_table(params, system.tasks[0])):
            yield f"systems.{key}", f"answer_{key}", table.columns, "the columns of its data set"
        if system.kind == "prompt":
            yield f"systems.{key}.reads", system.reads.removeprefix("models/pretrained/"), causal, "models of kind causal"
        if system.encoder is not None:
            yield f"systems.{key}.encoder", system.encoder, encoders, "models of kind encoder"
        for name in system.tasks:
            yield f"systems.{key}.tasks", name, params.tasks, "tasks"
            yield f"systems.{key}.reads", model_of(system, name, params), outs(params), "the outs of this file"
            if system.kind == "baseline":
                own = [f"models/baselines/{baseline.out}" for baseline in params.baselines.values() if baseline.task == name]
                yield f"systems.{key}.reads", model_of(system, name, params), own, f"the baselines of task {name}"


def _own_table(params: Params, task: str) -> Dataset | None:
    """The data set of a task where it is a table of the user's own."""
    dataset = params.datasets.get(params.tasks[task].dataset) if task in params.tasks else None
    return dataset if dataset and dataset.reader == "table" else None


def outs(params: Params) -> list[str]:
    """Every folder of data/ and models/ that the stages write."""
    return [
        *(f"data/raw/{name}" for name in params.datasets),
        *(f"data/examples/{name}" for name in params.tasks),
        *(f"data/predictions/{name}" for name in params.systems),
        *(f"models/pretrained/{name}" for name in params.models),
        *(f"models/adapters/{adapter.out}" for adapter in params.train.adapters.values()),
        *(f"models/adapters/merged/{name}" for name in params.merge.recipes),
        *(f"models/baselines/{baseline.out}" for baseline in params.baselines.values()),
    ]


def model_of(system: System, task: str, params: Params) -> str:
    """The folder of the model that answers ``task``: ``reads`` itself, or the one of that task inside it."""
    return system.reads if system.reads in outs(params) else f"{system.reads}/{task}"


def load(path: Path = PARAMS_FILE) -> Params:
    """Read and check a parameter file. Raises UserError, one sentence that names the key and what to change."""
    if not path.is_file():
        raise UserError(f"{path} is missing; run in the repository's root, or write it with: ecomtune profile demo")
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: Input should be a valid dictionary of sections; write it anew with: ecomtune profile demo")
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}: {describe(error, Params)}") from error

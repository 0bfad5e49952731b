"""Whether the items of params.yaml fit the code and files they name: tasks, readers, baselines, pins, contexts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from ecomtune.baselines.registry import module_name
from ecomtune.checks.own_files import changed_files
from ecomtune.core.config import TaskSettings
from ecomtune.core.config.params import Params
from ecomtune.core.config.types import MAX_NUMBER
from ecomtune.core.definitions import definition_of
from ecomtune.core.files import read_json
from ecomtune.core.merge_rules import ranks_problem
from ecomtune.core.paths import ADAPTERS, PRETRAINED
from ecomtune.datasets.registry import answerers, check_keys, check_serves
from ecomtune.messages.advice import nearest
from ecomtune.messages.errors import UserError
from ecomtune.tasks.base import Task
from ecomtune.tasks.registry import load_task

#: Columns that rows of any task may have besides inputs and ``answer_NAME``.
COLUMN_NAMES = ("reference", "group", "split", "id")


def check(params: Params) -> None:
    """Raises UserError for the first problem that :func:`check_fits` or a look at files finds.

    Of files: a local source file that differs from its pin or lacks a column, and, if a causal model's weights have been
    fetched already, a max_length beyond its context.
    """
    for problem in changed_files(params)[:1]:
        raise UserError(problem)
    check_fits(params)
    _check_columns(params)
    _check_threads(params)
    _check_warmup(params)  # not in check_fits: a sweep over schedules can't remove a key for one of them
    _check_contexts(params)


def check_fits(params: Params) -> None:
    """Raises UserError, naming the key, for what would stop a stage or have no effect on any; no file is read."""
    for key, settings in params.tasks.items():
        asked = load_task(params, key)
        for each in settings.dataset:
            check_serves(each, params.datasets[each], key, asked.definition)
        _check_answering(asked, settings)
    for name, dataset in params.datasets.items():
        check_keys(name, dataset)
        _check_column_names(name, params)
    for name, baseline in params.baselines.items():
        module_name(baseline, load_task(params, baseline.task), f"baselines.{name}")
        if baseline.patience:
            _check_validation([baseline.task], f"baselines.{name}.patience", params)
    for name in params.train.adapters:
        _check_adapter(name, params)
    for name in params.merge.recipes:
        _check_recipe(name, params)
    for name, system in params.systems.items():
        for task in system.tasks:
            if system.shots > (size := params.tasks[task].train_size):
                raise UserError(f"systems.{name}.shots: {task} has {size} training rows; lower it, or raise its train_size")
        if system.kind == "recorded":
            _check_recorded(name, params.tasks[system.tasks[0]].dataset, params)


def _check_answering(task: Task, settings: TaskSettings) -> None:
    """Refuses settings of decoding that have no effect on answers of the task's kind."""
    decoder, where = task.decoder, f"tasks.{task.name}"
    if decoder == "text" and "decoding" in settings.model_fields_set:
        raise UserError(f"{where}.decoding: a task whose answers are texts has no use for decoding; remove the key")
    if settings.labels != "greedy" and (decoder != "label" or settings.decoding == "free"):
        raise UserError(
            f"{where}.labels: {settings.labels} has an effect only where a task has labels and decoding is constrained; remove "
            "the key"
        )
    if settings.temperature and decoder != "text" and settings.decoding == "constrained":
        raise UserError(
            f"{where}.temperature: nothing is sampled under constrained decoding; remove it, or set decoding to free"
        )
    if settings.seed and not settings.temperature:
        raise UserError(f"{where}.seed: nothing is sampled at temperature 0; remove it, or set temperature")


def _check_validation(tasks: Sequence[str], where: str, params: Params) -> None:
    """Refuses a setting at ``where`` that needs validation rows if none of the tasks has any."""
    if not any(params.tasks[task].validation_size for task in tasks):
        raise UserError(
            f"{where}: needs validation rows, and tasks.{tasks[0]}.validation_size is 0; raise that, or remove the key"
        )


def _check_columns(params: Params) -> None:
    """Refuses a local table that lacks a column named in ``columns``."""
    for key, settings in params.tasks.items():
        tables = [params.datasets[name] for name in settings.dataset if params.datasets[name].reader == "table"]
        if tables:
            from ecomtune.datasets.table import (
                check_columns,  # imported here: parquet takes long, and most studies have no table
            )

            for dataset in tables:
                check_columns(definition_of(params, key), dataset)


def _check_column_names(name: str, params: Params) -> None:
    """Refuses a column of a data set under a name that none of its tasks knows: a mistyped optional input would be ignored."""
    readers = [definition_of(params, key) for key, settings in params.tasks.items() if name in settings.dataset]
    known = {*(each for definition in readers for each in definition.names), *COLUMN_NAMES}
    for column in params.datasets[name].columns if readers else ():
        if column not in known and not (column.startswith("answer_") and column != "answer_"):
            near = nearest(column, known)
            raise UserError(
                f"datasets.{name}.columns: {column!r} is an input of no task that reads the data set; correct it"
                + (f" to {near}, " if near else " ")
                + "or remove it"
            )


def _check_threads(params: Params) -> None:
    """Raises UserError where a key is missing that has a default, but that DVC tracks by itself and so needs to find."""
    if "threads" not in params.train.shared.model_fields_set:
        raise UserError("train.shared.threads: DVC tracks this key by itself, so it must be written out; add threads: 2")


def _check_warmup(params: Params) -> None:
    """Refuses a warmup that has no effect, since the learning rate schedule has none."""
    train = params.train
    own = {name for name, adapter in train.adapters.items() if "warmup" in adapter.settings}
    constant = {name for name in train.adapters if train.settings_of(name).schedule == "constant"}
    needless = [f"train.adapters.{name}.settings" for name in sorted(own & constant) if train.adapters[name].settings["warmup"]]
    is_set = "warmup" in train.shared.model_fields_set and train.shared.warmup
    if is_set and train.shared.schedule == "constant" and train.adapters.keys() == own | constant:
        needless.append("train.shared")
    if needless:
        raise UserError(
            f"{needless[0]}.warmup: schedule constant has no use for warmup; remove the key, or set schedule to "
            "constant_with_warmup"
        )


def _check_adapter(name: str, params: Params) -> None:
    """Refuses patience without validation rows, and a shard without training rows."""
    adapter = params.train.adapters[name]
    if params.train.settings_of(name).patience:
        place = f"train.adapters.{name}.settings" if "patience" in adapter.settings else "train.shared"
        _check_validation(adapter.tasks, f"{place}.patience", params)
    for task in adapter.tasks if adapter.shard else ():
        rows = min(params.tasks[task].train_size, adapter.limit.get(task, MAX_NUMBER))
        if adapter.shard and adapter.shard[0] > rows:
            parts = f"{adapter.shard[1]} parts of {rows} training rows of {task}"
            raise UserError(f"train.adapters.{name}.shard: {parts} leave this one without a row; use fewer parts")


def _check_recipe(name: str, params: Params) -> None:
    """Refuses a merge of adapters that can't be merged, and a search without validation rows."""
    recipe, where = params.merge.recipes[name], f"merge.recipes.{name}"
    for task in recipe.search.tasks if recipe.search else ():
        _check_validation([task], f"{where}.search", params)
    folders = {f"{recipe.reads}/{each}" for each in recipe.weights}
    merged = [key for key, adapter in params.train.adapters.items() if str(ADAPTERS / adapter.out) in folders]
    for key in merged:
        if params.train.settings_of(key).dora:
            raise UserError(f"{where}: adapter {key} is trained with dora, and can't be merged as B @ A; train it without")
    settings = [params.train.settings_of(key) for key in merged]
    modules = [set(each.target_modules) for each in settings]
    overlap = not all(modules) or any(one & other for one, other in combinations(modules, 2))  # an empty set is all modules
    if overlap and (problem := ranks_problem(recipe.method, [each.rank for each in settings])):
        raise UserError(f"{where}: {problem}")


def _check_contexts(params: Params) -> None:
    """Refuses a max_length beyond the context of a model whose weights have been fetched."""
    for where, model, length in _lengths(params):
        config = PRETRAINED / model / "config.json"
        values = read_json(config) if config.is_file() else None
        names = ("max_position_embeddings", "n_positions")  # the second name is GPT-2's
        context = next((values[name] for name in names if name in values), None) if isinstance(values, dict) else None
        if isinstance(context, int) and length > context:
            raise UserError(f"{where}: {length} is beyond the context of {model}, {context} tokens; lower it")


def _lengths(params: Params) -> Iterator[tuple[str, str, int]]:
    """Every max_length of a causal model: the key, the model and the length."""
    if any("max_length" not in adapter.settings for adapter in params.train.adapters.values()):
        yield "train.shared.max_length", params.train.shared.model, params.train.shared.max_length
    for name, adapter in params.train.adapters.items():
        if "max_length" in adapter.settings:
            settings = params.train.settings_of(name)
            yield f"train.adapters.{name}.settings.max_length", settings.model, settings.max_length
    for name, baseline in params.baselines.items():
        if baseline.family == "causal":
            yield f"baselines.{name}.max_length", str(baseline.model), baseline.max_length


def _check_recorded(name: str, datasets: Sequence[str], params: Params) -> None:
    """Refuses a recorded system whose data set has no answers under its name."""
    known = [each for dataset in datasets for each in answerers(params.datasets[dataset])]
    if name not in known:
        raise UserError(
            f"systems.{name}: data set {', '.join(datasets)} has no answers of that name "
            f"(there: {', '.join(known) or 'none'}); rename or remove the system, or name another data set in its task"
        )

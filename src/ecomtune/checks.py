"""What params.yaml can't know of itself: whether its items fit their tasks, readers and baselines, and files their pins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

from ecomtune import baselines, datasets, tasks
from ecomtune.datasets.fetch import changed_files
from ecomtune.errors import UserError
from ecomtune.fields import LARGEST
from ecomtune.files import read_json
from ecomtune.params import Params
from ecomtune.sections import TaskSettings


def check(params: Params) -> None:
    """Raises UserError for the first of the user's own files that isn't as pinned or lacks a column, or what
    :func:`check_fits` finds.

    And, where a causal model's weights are there already, for a max_length beyond its context.
    """
    for problem in changed_files(params)[:1]:
        raise UserError(problem)
    check_fits(params)
    _check_columns(params)
    _check_warmup(params)  # not in check_fits: a sweep over schedules can't take a key away for one of them
    _check_contexts(params)


def check_fits(params: Params) -> None:
    """Raises UserError, naming the key, for what a stage would stop at or would never look at; no file is read."""
    for key, settings in params.tasks.items():
        datasets.check(params.datasets[settings.dataset], key)
        _check_answering(key, settings)
    for name, dataset in params.datasets.items():
        datasets.check_keys(name, dataset)
    for name, baseline in params.baselines.items():
        baselines.module_name(baseline, tasks.load(baseline.task), f"baselines.{name}")
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


def _check_answering(key: str, settings: TaskSettings) -> None:
    """Whether what a task says of answering has an effect on answers of its kind."""
    decoder, where = tasks.load(key).decoder, f"tasks.{key}"
    if decoder == "text" and "decoding" in settings.model_fields_set:
        raise UserError(f"{where}.decoding: a task whose answers are texts has no use for decoding; remove the key")
    if settings.labels != "greedy" and (decoder != "label" or settings.decoding == "free"):
        raise UserError(f"{where}.labels: {settings.labels} chooses among labels under constrained decoding; remove the key")
    if settings.temperature and decoder != "text" and settings.decoding == "constrained":
        raise UserError(f"{where}.temperature: nothing is drawn under constrained decoding; remove it, or set decoding to free")
    if settings.seed and not settings.temperature:
        raise UserError(f"{where}.seed: nothing is drawn at temperature 0; remove it, or set temperature")


def _check_validation(of: Sequence[str], where: str, params: Params) -> None:
    """Whether one of the tasks has validation rows, by which what stands at ``where`` decides."""
    if not any(params.tasks[task].validation_size for task in of):
        raise UserError(
            f"{where}: validation rows decide, and tasks.{of[0]}.validation_size is 0; raise that, or remove the key"
        )


def _check_columns(params: Params) -> None:
    """Whether the user's own tables have the columns that they are said to have."""
    tables = [settings for settings in params.tasks.items() if params.datasets[settings[1].dataset].reader == "table"]
    for task, settings in tables:
        from ecomtune.datasets.table import column_map  # here: most studies have no table, and parquet takes long to import
        from ecomtune.datasets.table_files import READERS, read_table

        dataset = params.datasets[settings.dataset]
        columns = sorted(set(column_map(task, dataset.columns).values()))
        for file in dataset.files:
            if "://" not in file.url and Path(file.url).suffix.lower() in READERS:
                next(read_table(Path(file.url), columns))


def _check_warmup(params: Params) -> None:
    """Whether a warm-up that is asked for comes before a schedule that has one."""
    train = params.train
    own = {name for name, adapter in train.adapters.items() if "warmup" in adapter.settings}
    constant = {name for name in train.adapters if train.settings_of(name).schedule == "constant"}
    needless = [f"train.adapters.{name}.settings" for name in sorted(own & constant) if train.adapters[name].settings["warmup"]]
    asked = "warmup" in train.shared.model_fields_set and train.shared.warmup
    if asked and train.shared.schedule == "constant" and train.adapters.keys() == own | constant:
        needless.append("train.shared")
    if needless:
        raise UserError(
            f"{needless[0]}.warmup: schedule constant has no use for warmup; remove the key, or set schedule to "
            "constant_with_warmup"
        )


def _check_adapter(name: str, params: Params) -> None:
    """Whether an adapter's tasks have the rows that it asks for, be it for its shard."""
    adapter = params.train.adapters[name]
    if params.train.settings_of(name).patience:
        place = f"train.adapters.{name}.settings" if "patience" in adapter.settings else "train.shared"
        _check_validation(adapter.tasks, f"{place}.patience", params)
    for task in adapter.tasks if adapter.shard else ():
        rows = min(params.tasks[task].train_size, adapter.limit.get(task, LARGEST))
        if adapter.shard and adapter.shard[0] > rows:
            parts = f"{adapter.shard[1]} parts of {rows} training rows of {task}"
            raise UserError(f"train.adapters.{name}.shard: {parts} leave this one without a row; ask for fewer parts")


def _check_recipe(name: str, params: Params) -> None:
    """Whether the adapters that a recipe joins can be, and its search has rows to search by."""
    recipe, where = params.merge.recipes[name], f"merge.recipes.{name}"
    for task in recipe.search.tasks if recipe.search else ():
        _check_validation([task], f"{where}.search", params)
    outs = {f"{recipe.reads}/{each}" for each in recipe.weights}
    joined = [key for key, adapter in params.train.adapters.items() if f"models/adapters/{adapter.out}" in outs]
    for key in joined:
        if params.train.settings_of(key).dora:
            raise UserError(f"{where}: adapter {key} is trained with dora, and can't be merged as B @ A; train it without")
    settings = [params.train.settings_of(key) for key in joined]
    ranks, modules = sorted({each.rank for each in settings}), [set(each.target_modules) for each in settings]
    shared = not all(modules) or any(one & other for one, other in combinations(modules, 2))  # none named: all of them
    if recipe.method == "linear" and len(ranks) > 1 and shared:
        raise UserError(f"{where}: method linear can't join adapters of ranks {ranks}; use cat or svd")


def _check_contexts(params: Params) -> None:
    for where, model, length in _lengths(params):
        config = Path("models/pretrained") / model / "config.json"
        values = read_json(config) if config.is_file() else None
        names = ("max_position_embeddings", "n_positions")  # the second one is GPT-2's
        context = next((values[name] for name in names if name in values), None) if isinstance(values, dict) else None
        if isinstance(context, int) and length > context:
            raise UserError(f"{where}: {length} is beyond the context of {model}, {context} tokens; lower it")


def _lengths(params: Params) -> Iterator[tuple[str, str, int]]:
    """Every max_length of a causal model: its place, the model and the length."""
    if any("max_length" not in adapter.settings for adapter in params.train.adapters.values()):
        yield "train.shared.max_length", params.train.shared.model, params.train.shared.max_length
    for name, adapter in params.train.adapters.items():
        if "max_length" in adapter.settings:
            settings = params.train.settings_of(name)
            yield f"train.adapters.{name}.settings.max_length", settings.model, settings.max_length
    for name, baseline in params.baselines.items():
        if baseline.family == "causal":
            yield f"baselines.{name}.max_length", str(baseline.model), baseline.max_length


def _check_recorded(name: str, dataset: str, params: Params) -> None:
    known = datasets.answerers(params.datasets[dataset])
    if name not in known:
        raise UserError(
            f"systems.{name}: data set {dataset} has no answers of that name (there: {', '.join(known) or 'none'}); rename or "
            "remove the system, or name another data set in its task"
        )

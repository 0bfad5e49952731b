"""What is trained and merged: adapters, their mixes, and recipes that join them."""

from __future__ import annotations

from math import comb
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ecomtune.fields import LEAST_LENGTH, Integer, Name, OutPath, RelativePath, Section, Seed, TaskNames, Weight

#: Merges that a search for weights may try: each takes about as long as reading the validation rows.
MOST_SEARCHED = 1000
#: The rows of a mix, and the ends of its epochs, stand in memory.
MOST_ROWS, MOST_EPOCHS = 100_000_000, 100_000
#: Of a smaller share of ΔW nothing is left, or what is left is rescaled beyond float32.
LEAST_DENSITY = 0.0001
#: A lower one gives all rows to the largest task, and its powers of row counts are no longer finite.
LEAST_MIX_TEMPERATURE = 0.1


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
    epochs: Integer = Field(gt=0, le=MOST_EPOCHS)
    batch_size: Integer = Field(gt=0)
    accumulation: Integer = Field(default=1, gt=0)
    token_budget: Integer = Field(gt=0)
    max_length: Integer = Field(ge=LEAST_LENGTH)
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

    @model_validator(mode="after")
    def _decay_leaves_weights(self) -> Training:
        if self.learning_rate * self.weight_decay >= 1:
            raise ValueError(
                "learning_rate times weight_decay is what a step takes off all weights, and must be below 1; lower one"
            )
        return self


class Mix(Section):
    """How many training rows each task of a mixed adapter gives in an epoch, of ``rows`` in all (default: all there are).

    In proportion to its rows, equally, to its rows to the power of 1 / ``temperature`` (arXiv 1910.10683, section 3.5.2), or to
    ``weights``. A task that is to give more rows than it has gives them again.
    """

    by: Literal["proportional", "equal", "temperature", "weights"]
    temperature: float | None = Field(default=None, ge=LEAST_MIX_TEMPERATURE)
    weights: dict[str, Annotated[Weight, Field(ge=0)]] = {}
    rows: Integer | None = Field(default=None, gt=0, le=MOST_ROWS)

    @model_validator(mode="after")
    def _keys_fit(self) -> Mix:
        if (self.temperature is not None) != (self.by == "temperature"):
            advice = "add temperature: 2, say" if self.temperature is None else "remove it"
            raise ValueError(f"temperature goes with by: temperature, and only with it; {advice}")
        if bool(self.weights) != (self.by == "weights"):
            advice = "remove them" if self.weights else "add one for each task"
            raise ValueError(f"weights go with by: weights, and only with it; {advice}")
        if self.by == "weights" and not any(self.weights.values()):
            raise ValueError("weights must not all be 0; raise one")
        return self


class Adapter(Section):
    """One adapter: where it lies, which examples it learns, and what it changes in train.shared.

    ``shard`` [i, n] is the i-th of n equal parts of the training rows; ``limit`` gives how many first rows of a task it takes,
    ``mix`` in which proportion several tasks give theirs (without it: all of them, one after another).
    """

    out: OutPath
    reads: RelativePath
    tasks: TaskNames
    shard: tuple[Integer, Integer] | None = None
    limit: dict[str, Annotated[Integer, Field(gt=0)]] = {}
    mix: Mix | None = None
    settings: dict[str, Any] = {}

    @field_validator("shard", mode="before")
    @classmethod
    def _two_numbers(cls, value: Any) -> Any:
        if isinstance(value, list | tuple) and len(value) != 2:
            raise ValueError("must be two numbers [i, n], such as [1, 2] for the first of two parts")
        return value


class Train(Section):
    """The settings that all adapters share, and the adapters."""

    shared: Training
    adapters: dict[Name, Adapter]

    def settings_of(self, name: str) -> Training:
        """``shared`` with the adapter's own settings over it."""
        return Training.model_validate({**self.shared.model_dump(), **self.adapters[name].settings})


class Search(Section):
    """Merge weights to be searched: on which ``tasks``' validation rows, and in how many ``steps`` from 0 to their sum."""

    tasks: TaskNames
    steps: Integer = Field(default=4, gt=0, le=20)


class Recipe(Section):
    """One merge: the folder whose adapters it joins, how, and with which weights (by name, relative to the folder).

    With ``search``, ``weights`` name the adapters, and their sum is kept while each one's part is searched.
    ``sparsify``, ``density``, ``rescale`` and ``consensus`` pick entries of ΔW (lora/task_arithmetic.py); ``seed`` is for dare.
    """

    reads: RelativePath
    method: Literal["cat", "svd", "linear"]
    weights: dict[str, Weight] = Field(min_length=1)
    search: Search | None = None
    rank: Integer | None = Field(default=None, gt=0, le=4096)
    sparsify: Literal["none", "magnitude", "dare"] = "none"
    density: float | None = Field(default=None, ge=LEAST_DENSITY, le=1)
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
            raise ValueError("weights must not all be 0; change one")
        if self.method == "linear" and min(self.weights.values()) < 0:
            raise ValueError("method linear takes no negative weight, of which it needs the square root; use cat or svd")
        if self.search and min(self.weights.values()) < 0:
            raise ValueError("search looks for weights that are not negative; give none that is")
        number = comb(self.search.steps + len(self.weights) - 1, len(self.weights) - 1) if self.search else 0
        if number > MOST_SEARCHED:
            raise ValueError(f"search would try {number} weights, more than {MOST_SEARCHED}; lower its steps")
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

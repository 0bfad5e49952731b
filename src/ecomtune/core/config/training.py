"""What is trained and merged: adapters, their mixes, and recipes that join them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from ecomtune.core.config.types import LEAST_LENGTH, Config, Integer, Name, OutPath, RelativePath, Seed, TaskNames, Weight

#: The rows of a mix, and the ends of its epochs, stand in memory.
MOST_ROWS, MOST_EPOCHS = 100_000_000, 100_000
#: Of a smaller share of ΔW nothing is left, or what is left is rescaled beyond float32.
LEAST_DENSITY = 0.0001
#: A lower one gives all rows to the largest task, and its powers of row counts are no longer finite.
LEAST_MIX_TEMPERATURE = 0.1


class Training(Config):
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


class Mix(Config):
    """How many training rows each task of a mixed adapter gives in an epoch, of ``rows`` in all (default: all there are).

    In proportion to its rows, equally, to its rows to the power of 1 / ``temperature`` (arXiv 1910.10683, section 3.5.2), or to
    ``weights``. A task that is to give more rows than it has gives them again.
    """

    by: Literal["proportional", "equal", "temperature", "weights"]
    temperature: float | None = Field(default=None, ge=LEAST_MIX_TEMPERATURE)
    weights: dict[str, Annotated[Weight, Field(ge=0)]] = {}
    rows: Integer | None = Field(default=None, gt=0, le=MOST_ROWS)


class Adapter(Config):
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


class Train(Config):
    """The settings that all adapters share, and the adapters."""

    shared: Training
    adapters: dict[Name, Adapter]

    def settings_of(self, name: str) -> Training:
        """``shared`` with the adapter's own settings over it."""
        return Training.model_validate({**self.shared.model_dump(), **self.adapters[name].settings})


class Search(Config):
    """Merge weights to be searched: on which ``tasks``' validation rows, and in how many ``steps`` from 0 to their sum."""

    tasks: TaskNames
    steps: Integer = Field(default=4, gt=0, le=20)


class Recipe(Config):
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


class Merge(Config):
    """The merges of the study."""

    recipes: dict[Name, Recipe]

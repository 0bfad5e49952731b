"""What is compared: conventional baselines, and the systems that answer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ecomtune.core.config.training import MOST_EPOCHS
from ecomtune.core.config.types import LEAST_LENGTH, Config, Integer, OutPath, RelativePath, TaskNames

Family = Literal["encoder", "seq2seq", "causal", "floor"]
Method = Literal["tfidf", "majority", "lead", "title"]


class Baseline(Config):
    """A conventional model of one task, written to models/baselines/<out>.

    ``out`` is FAMILY/TASK, or FAMILY_NAME/TASK, so that a family can answer a task in several ways, each a system of its own.
    ``method`` is a floor's: for labels tfidf (the default) or majority, for tags majority, for texts lead (the default) or
    title.

    Inputs are cut at ``max_length`` tokens, targets and answers of family seq2seq at ``max_new_tokens``. Family causal trains a
    causal model on the task's prompts, as LoRA does, so that a row of more than ``max_length`` tokens is refused, and answers
    are as long as the task says.

    Few rows are gone through more than ``epochs`` times, until the training has ``min_steps`` optimizer steps, whole epochs of
    them: the usual few epochs train a small data set too briefly (arXiv 2006.05987).

    ``patience`` is the number of epochs in a row that the validation loss may fail to fall before the training stops, be it
    before ``min_steps``, and takes the best epoch's weights; 0 for all epochs. ``class_weights`` gives rare labels or tags of
    family encoder as much say as common ones; ``crf`` lets it learn a row's tags as one sequence, by a linear-chain conditional
    random field, in place of each word's alone. ``adversarial`` lets it learn each batch a second time, with word embeddings
    that are moved by a vector of this length to where the loss grows (arXiv 1605.07725); 0 for once.
    """

    family: Family
    method: Method | None = None
    task: str
    out: OutPath
    model: str | None = None
    learning_rate: float = Field(default=5e-4, gt=0, le=1)
    epochs: Integer = Field(default=5, gt=0, le=MOST_EPOCHS)
    min_steps: Integer = Field(default=0, ge=0, le=MOST_EPOCHS)  # a step may be an epoch
    batch_size: Integer = Field(default=16, gt=0)
    max_length: Integer = Field(default=256, ge=LEAST_LENGTH)
    max_new_tokens: Integer = Field(default=96, gt=0)
    patience: Integer = Field(default=0, ge=0)
    class_weights: bool = False
    crf: bool = False
    adversarial: float = Field(default=0.0, ge=0, le=100)

    def epochs_of(self, rows: int) -> int:
        """How many times the training goes through so many rows."""
        steps = -(-rows // self.batch_size)
        return max(self.epochs, -(-self.min_steps // steps) if steps else 0)


class Endpoint(Config):
    """A model behind an OpenAI-compatible chat API, by its name there; the API's address and key stand in the environment.

    ``concurrency`` is how many questions wait for their answers at once; prices, of a million tokens in a currency of yours,
    are for totals alone.
    """

    model: str = Field(min_length=1)
    temperature: float = Field(default=0.0, ge=0)
    concurrency: Integer = Field(default=4, gt=0, le=64)
    input_price: float | None = Field(default=None, ge=0)
    output_price: float | None = Field(default=None, ge=0)


class System(Config):
    """A named way to answer: a model with demonstrations, here or behind an endpoint, adapters, or baselines.

    One of kind ``recorded`` answers nothing itself: the examples hold the answers that were given under its name elsewhere.
    ``shots`` is how many ``demonstrations`` a prompt shows, and these how they are chosen (decoding/demonstrations.py);
    ``encoder`` is the model by which demonstrations are nearest.
    """

    kind: Literal["prompt", "endpoint", "adapter", "baseline", "recorded"]
    reads: RelativePath
    tasks: TaskNames
    shots: Integer = Field(default=0, ge=0, le=1000)
    demonstrations: Literal["fixed", "random", "bm25", "nearest"] = "fixed"
    encoder: str | None = None
    endpoint: Endpoint | None = None

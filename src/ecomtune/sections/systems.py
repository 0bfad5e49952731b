"""What is compared: conventional baselines, and the systems that answer."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, model_validator

from ecomtune.fields import LEAST_LENGTH, Integer, OutPath, RelativePath, Section, TaskNames
from ecomtune.sections.training import MOST_EPOCHS

#: Keys that a family never looks at.
NEEDLESS = {
    "floor": ("learning_rate", "epochs", "min_steps", "batch_size", "max_length", "max_new_tokens"),
    "encoder": ("max_new_tokens",),
}


class Baseline(Section):
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

    family: Literal["encoder", "seq2seq", "causal", "floor"]
    method: Literal["tfidf", "majority", "lead", "title"] | None = None
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

    @model_validator(mode="after")
    def _options_fit_family(self) -> Baseline:
        if self.patience and self.family == "floor":
            raise ValueError("patience goes with families causal, encoder and seq2seq, since a floor has no epochs; remove it")
        if self.class_weights and self.family != "encoder":
            raise ValueError("class_weights go with family encoder; remove the key")
        if self.crf and self.family != "encoder":
            raise ValueError("crf goes with family encoder; remove the key")
        if self.adversarial and self.family != "encoder":
            raise ValueError("adversarial goes with family encoder; remove the key")
        if self.crf and self.class_weights:
            raise ValueError("class_weights weigh tags one by one, and crf learns them as a sequence; remove one of the two")
        for key in NEEDLESS.get(self.family, ()):
            if key in self.model_fields_set:
                raise ValueError(f"family {self.family} has no use for {key}; remove the key")
        if self.family == "causal" and "max_new_tokens" in self.model_fields_set:
            raise ValueError(f"max_new_tokens of family causal is that of tasks.{self.task}; set it there and remove it here")
        return self

    @model_validator(mode="after")
    def _model_fits_family(self) -> Baseline:
        if (self.model is None) != (self.family == "floor"):
            raise ValueError("families causal, encoder and seq2seq need a model, floor has none; add or remove the key")
        if self.method and self.family != "floor":
            raise ValueError("method goes with family floor; remove it")
        return self

    def epochs_of(self, rows: int) -> int:
        """How many times the training goes through so many rows."""
        steps = -(-rows // self.batch_size)
        return max(self.epochs, -(-self.min_steps // steps) if steps else 0)

    def out_problem(self) -> str | None:
        """What to say where ``out`` isn't named by family and task, or None."""
        folder, _, task = self.out.partition("/")
        if task == self.task and re.fullmatch(rf"{self.family}(_\w[\w-]*)?", folder):
            return None
        return f"out must be {self.family}/{self.task}, or {self.family}_NAME/{self.task} for another of its kind"


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
    shots: Integer = Field(default=0, ge=0, le=1000)
    demonstrations: Literal["fixed", "random", "bm25", "nearest"] = "fixed"
    encoder: str | None = None
    endpoint: Endpoint | None = None

    @model_validator(mode="after")
    def _fits_kind(self) -> System:
        if self.shots and self.kind not in ("prompt", "endpoint"):
            raise ValueError("shots go with kind prompt or endpoint; remove the key")
        if self.demonstrations != "fixed" and not self.shots:
            raise ValueError(f"demonstrations {self.demonstrations} need shots, the number of them; add shots")
        if (self.encoder is None) == (self.demonstrations == "nearest"):
            raise ValueError("encoder goes with demonstrations nearest, and only with them; add it, or remove it")
        if (self.endpoint is None) == (self.kind == "endpoint"):
            raise ValueError("the key endpoint goes with kind endpoint, and only with it; add it, or remove it")
        if self.kind == "endpoint" and self.reads != "data/examples":
            raise ValueError("a system of kind endpoint has no model here, and reads data/examples; correct reads")
        if self.kind == "recorded" and (self.reads, *self.tasks[1:]) != (f"data/examples/{self.tasks[0]}",):
            raise ValueError("a system of kind recorded has one task, and reads data/examples/TASK; correct tasks or reads")
        models = {"prompt": "models/pretrained", "adapter": "models/adapters", "baseline": "models/baselines"}
        home = {**models, "endpoint": "data", "recorded": "data/examples"}[self.kind]
        if not self.reads.startswith(f"{home}/"):
            raise ValueError(f"a system of kind {self.kind} reads a folder in {home}/; correct reads or kind")
        return self

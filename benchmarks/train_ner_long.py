"""Training, NER with the long instruction, against trl; without LoRA dropout, so that every step's loss is compared."""

from __future__ import annotations

from benchmarks import training
from benchmarks.data import rows
from benchmarks.harness import Options
from benchmarks.results import Entry, Target

WARM_UP, TURNS = 2, 6


def run(options: Options, name: str = "train_ner_long", dropout: float = 0.0) -> Entry:
    """A turn is one batch; the measured ones are all different, the warm-up's are among them."""
    options = options.turns(WARM_UP, TURNS)
    settings = training.settings(options, dropout)
    data = rows(options, "ner", "long", train=options.repeats * settings.batch_size, test=0)
    targets = {"ratio": Target(4.0, 5.0), "memory": Target(0.6, at_most=True), "share_of_peak": Target(0.5)}
    return training.compare(name, data.source, training.Job(options, settings, data.train), targets)

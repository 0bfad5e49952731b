"""Training, NER with the long instruction, against trl; without LoRA dropout (losses compared step by step) and with it."""

from __future__ import annotations

from benchmarks import training
from benchmarks.data import rows
from benchmarks.harness import Options
from benchmarks.results import Entry, Target

WARM_UP, TURNS = 2, 8  # eight batches of 16 are one chunk of the plan: its shortest and its longest rows are all measured


def run(options: Options) -> dict[str, Entry]:
    """One row without dropout and one with 0.05."""
    options = options.turns(WARM_UP, TURNS)
    targets = {"ratio": Target(4.0, 5.0), "memory": Target(0.6, at_most=True), "share_of_peak": Target(0.5)}
    found = {}
    for name, dropout in (("train_ner_long", 0.0), ("train_ner_long_dropout", 0.05)):
        settings = training.settings(options, dropout)
        data = rows(options, "ner", "long", train=options.repeats * settings.batch_size, test=0)
        found[name] = training.compare(name, data.source, training.Job(options, settings, data.train), targets)
    return found

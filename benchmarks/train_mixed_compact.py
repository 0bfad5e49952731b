"""Training, all four tasks of the demo shop mixed, compact instructions, against trl."""

from __future__ import annotations

from benchmarks import training
from benchmarks.data import rows
from benchmarks.harness import Options
from benchmarks.results import Entry, Target

WARM_UP, TURNS = 1, 5
TASKS = ("relevance", "ner", "summarization", "description")


def run(options: Options) -> Entry:
    """A turn is one batch of each task."""
    options = options.turns(WARM_UP, TURNS)
    settings = training.settings(options, dropout=0.0)
    found = [rows(options, task, "compact", train=options.repeats * settings.batch_size, test=0) for task in TASKS]
    examples = [example for each in found for example in each.train]
    source = " and ".join(sorted({each.source for each in found}))
    return training.compare("train_mixed_compact", source, training.Job(options, settings, examples), {"ratio": Target(1.5)})

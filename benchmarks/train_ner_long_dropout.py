"""The same as train_ner_long with LoRA dropout 0.05 on both sides; masks differ, so only the first step's loss is compared."""

from __future__ import annotations

from benchmarks import train_ner_long
from benchmarks.harness import Options
from benchmarks.results import Entry


def run(options: Options) -> Entry:
    """A turn is one batch."""
    return train_ner_long.run(options, "train_ner_long_dropout", dropout=0.05)

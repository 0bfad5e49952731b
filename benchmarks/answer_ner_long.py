"""Answering NER with the long instruction, against transformers generate."""

from __future__ import annotations

from benchmarks import answering
from benchmarks.data import rows
from benchmarks.harness import Options
from benchmarks.results import Entry, Target

WARM_UP, TURNS = 1, 5


def run(options: Options) -> Entry:
    """A turn answers 64 test queries, after training once on 304 others."""
    options = options.turns(WARM_UP, TURNS)
    train, test = (8, 5) if options.quick else (304, 64)
    data = rows(options, "ner", "long", train=train, test=test)
    job = answering.job(options, "ner", data.train, data.test)
    return answering.compare("answer_ner_long", data.source, job, {"ratio": Target(4.0, 6.0)})

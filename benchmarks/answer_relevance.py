"""Answering relevance with the long instruction, against transformers generate of the label."""

from __future__ import annotations

from benchmarks import answering
from benchmarks.data import rows
from benchmarks.harness import Options
from benchmarks.results import Entry, Target
from ecomtune.tasks.base import PromptForm

WARM_UP, TURNS = 1, 5


def run(options: Options, name: str = "answer_relevance", form: PromptForm = "long") -> Entry:
    """A turn answers 64 test rows, after training once on 208 others."""
    options = options.turns(WARM_UP, TURNS)
    train, test = (8, 5) if options.quick else (208, 64)
    data = rows(options, "relevance", form, train=train, test=test)
    job = answering.job(options, "relevance", data.train, data.test)
    return answering.compare(name, data.source, job, {"ratio": Target(2.5, 4.0)})

"""Answering relevance, against transformers generate of the label; with the long and with the compact instruction."""

from __future__ import annotations

from benchmarks import answering
from benchmarks.data import rows
from benchmarks.harness import Options
from benchmarks.results import Entry, Target
from ecomtune.tasks.base import PromptForm

WARM_UP, TURNS = 1, 5
FORMS: dict[str, PromptForm] = {"answer_relevance": "long", "answer_relevance_compact": "compact"}


def run(options: Options) -> dict[str, Entry]:
    """One row for each form of the instruction."""
    options = options.turns(WARM_UP, TURNS)
    train, test = (8, 5) if options.quick else (208, 96)
    found = {}
    for name, form in FORMS.items():
        data = rows(options, "relevance", form, train=train, test=test)
        job = answering.job(options, "relevance", data.train, data.test)
        found[name] = answering.compare(name, data.source, job, {"ratio": Target(2.5, 4.0)})
    return found

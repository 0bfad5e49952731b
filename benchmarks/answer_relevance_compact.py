"""The same as answer_relevance with the compact instruction."""

from __future__ import annotations

from benchmarks import answer_relevance
from benchmarks.harness import Options
from benchmarks.results import Entry


def run(options: Options) -> Entry:
    """A turn answers 64 test rows."""
    return answer_relevance.run(options, "answer_relevance_compact", "compact")

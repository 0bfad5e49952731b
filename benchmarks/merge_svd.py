"""SVD merge of four adapters over all linear layers of the base, against peft."""

from __future__ import annotations

from benchmarks import merging
from benchmarks.harness import Options
from benchmarks.results import Entry, Target

WARM_UP, TURNS = 1, 5


def run(options: Options) -> Entry:
    """A turn is one merge."""
    options = options.turns(WARM_UP, TURNS)
    return merging.compare("merge_svd", merging.Job(options), {"ratio": Target(20.0)})

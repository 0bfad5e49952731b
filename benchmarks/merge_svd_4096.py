"""SVD merge of four adapters on one layer of 4096 by 4096, against peft."""

from __future__ import annotations

from benchmarks import merging
from benchmarks.harness import Options
from benchmarks.results import Entry, Target

WARM_UP, TURNS = 1, 5


def run(options: Options) -> Entry:
    """A turn is one merge; ``--quick`` takes a smaller layer."""
    options = options.turns(WARM_UP, TURNS)
    job = merging.Job(options, width=96 if options.quick else 4096)
    return merging.compare("merge_svd_4096", job, {"ratio": Target(300.0)})

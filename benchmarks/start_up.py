"""Start-up of the slowest kinds of stage, training and answering, against bare imports of the libraries that they use."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from functools import partial
from time import perf_counter

from benchmarks.harness import Options, Turns, measure
from benchmarks.results import Comparison, Entry, Target
from ecomtune import stages

WARM_UP, TURNS = 1, 5
OURS = ("from ecomtune.lora import adapter_training", "from ecomtune.inference.decoding import local_answers; import peft")
THEIRS = (
    "import torch, peft; from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments",
    "import torch, peft; from transformers import AutoModelForCausalLM, AutoTokenizer",
)


def seconds_of(code: str) -> float:
    """How long a fresh interpreter takes to run ``code``."""
    started = perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return perf_counter() - started


def side(turns: Turns, codes: tuple[str, ...]) -> None:
    """A turn starts each of them once."""
    turns.ready({})
    while turns.begin():
        found = [seconds_of(code) for code in codes]
        turns.end(partial(list, found))


def stage_seconds() -> dict[str, float]:
    """Seconds that each stage takes to start, before it imports the libraries that its work needs."""
    names = sorted(module.name for module in pkgutil.iter_modules(stages.__path__))
    return {name: seconds_of(f"import {stages.__name__}.{name}") for name in names}


def run(options: Options) -> Entry:
    """A turn starts each kind once."""
    options = options.turns(WARM_UP, TURNS)
    ours, theirs = (("import ecomtune.messages.errors",), ("import pydantic",)) if options.quick else (OURS, THEIRS)
    found = measure("start_up", {"ours": partial(side, codes=ours), "theirs": partial(side, codes=theirs)}, options)
    middle = {name: sorted(measured.seconds)[len(measured.seconds) // 2] for name, measured in found.items()}
    return Comparison(
        against="the bare imports of torch, transformers and peft",
        data="none",
        unit="starts",
        settings={"ours": ours, "theirs": theirs},
        per_turn=len(ours),
        bound=1.0,
        targets={"ratio": Target(0.85)},
        checks={"own_share": 1 - middle["theirs"] / middle["ours"], "stage_before_its_libraries_seconds": stage_seconds()},
    ).entry(found)

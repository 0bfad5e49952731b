"""Kill a stage at seeded random points, run it again, and compare its output.

``python -m tests.kill_points STAGE ITEM OUT TRIALS SEED`` in a folder where the stage can run. Libraries are imported once, and
each run is forked. Prints a JSON list, one entry a kill.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from ecomtune.checkpoints import INTERVAL
from ecomtune.files import SCRATCH, sha256_folder
from ecomtune.params import load
from ecomtune.runtime import prepare

#: What each stage imports when it runs, so that a forked process needn't.
HEAVY = {
    "train": ["ecomtune.lora.training"],
    "baseline": [f"ecomtune.baselines.{name}" for name in ("causal", "encoder_classifier", "encoder_tagger", "seq2seq")],
}


def fork(stage: Any, item: str) -> int:
    """The id of a forked process that runs the stage, its output in .scratch/kill_points.log."""
    process = os.fork()
    if process:
        return process
    try:
        log = os.open(SCRATCH / "kill_points.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        stage.main(load(), item)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def run(stage: Any, item: str, out: Path) -> str:
    """Run the stage to its end; the hash of its output."""
    _, status = os.waitpid(fork(stage, item), 0)
    if status:
        sys.exit((SCRATCH / "kill_points.log").read_text())
    return sha256_folder(out)


def checkpoint() -> int:
    """The step of the newest checkpoint in scratch, whole or not; 0 where there is none."""
    return max((int(path.name.partition("-")[2]) for path in SCRATCH.glob("checkpoints/*/checkpoint-*")), default=0)


def main(name: str, item: str, out: Path, trials: int, seed: int) -> list[dict[str, Any]]:
    """Kill the stage ``trials`` times; for each the share of its run time that had passed, its checkpoint, and how it ended."""
    os.environ[INTERVAL] = "0"
    prepare(threads=1)
    for module in HEAVY[name]:
        importlib.import_module(module)
    stage, rng = importlib.import_module(f"ecomtune.stages.{name}"), random.Random(seed)
    run(stage, item, out)  # the first one reads files that are in no cache yet
    started = time.monotonic()
    expected = run(stage, item, out)
    duration = time.monotonic() - started
    killed: list[dict[str, Any]] = []
    while len(killed) < trials:
        shutil.rmtree(out)
        share = rng.random()
        process = fork(stage, item)
        time.sleep(share * duration)
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        if not os.WIFSIGNALED(status):
            continue  # it had ended
        step, stands = checkpoint(), out.exists()
        again = run(stage, item, out)
        resumed = "resumed from step" in (SCRATCH / "kill_points.log").read_text()
        killed.append(
            {"equal": again == expected, "resumed": resumed, "share": round(share, 2), "stands": stands, "step": step}
        )
    return killed


if __name__ == "__main__":
    _, name, item, out, trials, seed = sys.argv
    print(json.dumps(main(name, item, Path(out), int(trials), int(seed))))

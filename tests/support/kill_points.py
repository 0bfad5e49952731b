"""Kill a stage at seeded random points, run it again, and compare its output.

``python -m tests.support.kill_points STAGE ITEM OUT TRIALS SEED`` in a folder where the stage can run. Libraries are imported
once, and each run is forked. Prints a JSON list with an entry for each kill.
"""

from __future__ import annotations

import glob
import importlib
import json
import os
import random
import re
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from ecomtune.checks.parameters import load_params
from ecomtune.core.files import sha256_folder
from ecomtune.core.paths import SCRATCH
from ecomtune.models.process import prepare
from ecomtune.training.checkpoints import INTERVAL_VARIABLE

#: What each stage imports when it runs: imported before forking, to save time.
HEAVY = {
    "train": ["ecomtune.lora.adapter_training"],
    "baseline": [
        f"ecomtune.baselines.{name}" for name in ("fitting.causal", "encoder_classifier", "encoder_tagger", "seq2seq")
    ],
    "predict": ["ecomtune.inference.chat_api.endpoint_answers"],
}
#: Where predict keeps an endpoint's paid answers; each trial begins without them.
PAID = SCRATCH / "endpoint"
LOG = SCRATCH / "kill_points.log"


def fork(stage: Any, item: str) -> int:
    """The id of a forked process that runs the stage, its output in .scratch/kill_points.log."""
    process = os.fork()
    if process:
        return process
    try:
        log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        stage.main(load_params(), item)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def run(stage: Any, item: str, out: Path) -> str:
    """Run the stage to its end and return the hash of its output."""
    _, status = os.waitpid(fork(stage, item), 0)
    if status:
        sys.exit(LOG.read_text())
    return sha256_folder(out)


def progress() -> int:
    """What a killed run has left: the step of the newest checkpoint, complete or not, or the number of paid answers."""
    steps = [int(path.name.partition("-")[2]) for path in SCRATCH.glob("checkpoints/*/checkpoint-*")]
    return max([*steps, len(list(PAID.glob("*.json")))])


def await_progress(process: int) -> None:
    """Wait until the process has left something from which a later run can continue, or has ended."""
    complete = [f"{SCRATCH}/checkpoints/*/checkpoint-*/complete.json", f"{PAID}/*.json"]
    while not any(map(glob.glob, complete)) and os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.001)


def forget() -> None:
    """Remove what a finished run keeps."""
    shutil.rmtree(PAID, ignore_errors=True)


def main(name: str, item: str, out: Path, trials: int, seed: int) -> list[dict[str, Any]]:
    """Kill the stage ``trials`` times, and return for each kill the share of the run time at which it came, the progress that
    was kept, and how the next run ended.

    Every second kill comes after some progress was kept, however slow the machine is at that moment. ``asked`` is the number
    of answers for which the next run paid.
    """
    os.environ[INTERVAL_VARIABLE] = "0"
    prepare(threads=1)
    for module in HEAVY[name]:
        importlib.import_module(module)
    stage, rng = importlib.import_module(f"ecomtune.stages.{name}"), random.Random(seed)
    run(stage, item, out)  # not timed: it reads files that are in no cache yet
    forget()
    started = time.monotonic()
    expected = run(stage, item, out)
    duration = time.monotonic() - started
    killed: list[dict[str, Any]] = []
    while len(killed) < trials:
        shutil.rmtree(out, ignore_errors=True)
        forget()
        share = rng.random()
        process = fork(stage, item)
        if late := len(killed) % 2 == 1:
            await_progress(process)
        time.sleep(share * duration / (2 if late else 1))
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        torn = out.exists() and sha256_folder(out) != expected
        if not os.WIFSIGNALED(status) or (out.exists() and not torn):
            continue  # it had already ended
        left = progress()
        again = run(stage, item, out)
        log = LOG.read_text()
        asked = sum(map(int, re.findall(r"answers paid for now: (\d+)", log)))
        resumed = bool(re.search(r"resumed from step|before: [1-9]", log))
        killed.append(
            {
                "asked": asked,
                "equal": again == expected,
                "kept": left,
                "late": late,
                "resumed": resumed,
                "share": round(share, 2),
                "torn": torn,
            }
        )
    return killed


if __name__ == "__main__":
    _, name, item, out, trials, seed = sys.argv
    print(json.dumps(main(name, item, Path(out), int(trials), int(seed))))

"""baseline@B: one conventional model of one task, into models/baselines/<family>/<task>."""

from __future__ import annotations

from pathlib import Path

from ecomtune import baselines, tasks
from ecomtune.baselines.job import Job
from ecomtune.checkpoints import checkpoints_of, decides
from ecomtune.files import SCRATCH, output_folder
from ecomtune.params import Params
from ecomtune.records import Example, read_task
from ecomtune.stages import pick, run


def main(params: Params, name: str) -> None:
    settings = pick(params.baselines, name, "baselines")
    examples = Path("data/examples") / settings.task
    train = read_task(examples / "train.jsonl", Example, settings.task)
    validation = read_task(examples / "validation.jsonl", Example, settings.task, may_be_empty=True)
    base = Path("models/pretrained") / settings.model if settings.model else None
    code, threads = (
        ("baselines/*.py", "encoding.py", "sections/systems.py", "tasks/*.py", "text.py"),
        params.train.shared.threads,
    )
    decided = decides(code, base, settings, params.seed, threads, train, validation)
    with checkpoints_of(decided) as checkpoints, output_folder(Path("models/baselines") / settings.out) as folder:
        task = tasks.load(settings.task)
        live = SCRATCH / "live" / "baselines" / name
        baselines.fit(Job(settings, task, train, validation, folder, params.seed, checkpoints, live), threads)


if __name__ == "__main__":
    run(main)

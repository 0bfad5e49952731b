"""baseline@B: one conventional model of one task, into models/baselines/<family>/<task>."""

from __future__ import annotations

from pathlib import Path

from ecomtune import baselines, tasks
from ecomtune.files import output_folder
from ecomtune.params import Params
from ecomtune.records import Example, read_task
from ecomtune.stages import pick, run


def main(params: Params, name: str) -> None:
    settings = pick(params.baselines, name, "baselines")
    examples = Path("data/examples") / settings.task
    train = read_task(examples / "train.jsonl", Example, settings.task)
    validation = read_task(examples / "validation.jsonl", Example, settings.task)
    with output_folder(Path("models/baselines") / settings.out) as folder:
        task, threads = tasks.load(settings.task), params.train.shared.threads
        baselines.fit(settings, task, train, validation, folder, params.seed, threads)


if __name__ == "__main__":
    run(main)

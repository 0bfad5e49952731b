"""baseline@B: one conventional model of one task, into models/baselines/<family>/<task>."""

from __future__ import annotations

from pathlib import Path

from ecomtune import tasks
from ecomtune.files import output_folder
from ecomtune.params import Params
from ecomtune.records import Example, read_task
from ecomtune.runtime import prepare
from ecomtune.stages import pick, run


def main(params: Params, name: str) -> None:
    settings = pick(params.baselines, name, "baselines")
    if settings.model is not None:
        prepare(params.train.shared.threads)
    from ecomtune import baselines  # after prepare: transformers reads the environment

    examples = Path("data/examples") / settings.task
    train = read_task(examples / "train.jsonl", Example, settings.task)
    validation = read_task(examples / "validation.jsonl", Example, settings.task)
    with output_folder(Path("models/baselines") / settings.out) as folder:
        baselines.fit(settings, tasks.load(settings.task), train, validation, folder, params.seed)


if __name__ == "__main__":
    run(main)

"""baseline@B: trains one conventional model of one task, into models/baselines/<family>/<task>."""

from __future__ import annotations

from typing import Any

from ecomtune.baselines.job import Job, TrainingData
from ecomtune.baselines.registry import fit_baseline
from ecomtune.core.config.params import Params
from ecomtune.core.files import output_folder
from ecomtune.core.paths import BASELINES, PRETRAINED, SCRATCH, examples_file
from ecomtune.core.records import Example, read_task
from ecomtune.stages.runner import pick, run
from ecomtune.tasks.registry import formatted_task
from ecomtune.training.checkpoints import open_checkpoints, training_key


def main(params: Params, name: str) -> None:
    settings = pick(params.baselines, name, "baselines")
    train = read_task(examples_file(settings.task, "train"), Example, settings.task)
    validation = read_task(examples_file(settings.task, "validation"), Example, settings.task, may_be_empty=True)
    base = PRETRAINED / settings.model if settings.model else None
    threads, live = params.train.shared.threads, SCRATCH / "live" / "baselines" / name
    key = training_key("baseline", base, settings, params.seed, threads, train, validation)
    with open_checkpoints(key) as checkpoints, output_folder(BASELINES / settings.out) as folder:

        def train_weights(model: Any, data: TrainingData) -> dict[str, Any]:
            # imported here: a floor has no network to train, and does without the libraries
            from ecomtune.baselines.fitting.full_training import train_model

            return train_model(model, data, settings, params.seed, checkpoints, live)

        job = Job(settings, formatted_task(settings.task), train, validation, folder, params.seed, train_weights)
        fit_baseline(job, threads)


if __name__ == "__main__":
    run(main)

"""score@S: one system's metrics and costs on all its tasks, into metrics/S.json (in git, so that pull requests show them)."""

from __future__ import annotations

from ecomtune.core.config.params import Params
from ecomtune.core.files import dump_json, write_text
from ecomtune.core.metadata import read_costs
from ecomtune.core.paths import PREDICTIONS, metrics_file
from ecomtune.core.records import FEW_GROUPS, Prediction, read_task
from ecomtune.messages.errors import UserError
from ecomtune.messages.warnings import few_groups
from ecomtune.metrics.registry import load_metric
from ecomtune.stages.runner import pick, run
from ecomtune.tasks.registry import load_task


def main(params: Params, name: str) -> None:
    scores = {}
    folder = PREDICTIONS / name
    for key in pick(params.systems, name, "systems").tasks:
        predictions = read_task(folder / f"{key}.jsonl", Prediction, key)
        if others := {each.system for each in predictions} - {name}:
            raise UserError(f"{folder / key}.jsonl holds answers of system {min(others)}; delete it and run dvc repro again")
        costs = read_costs(folder, key)
        values = load_metric(load_task(key).metric).score(
            [prediction.parsed for prediction in predictions],
            [prediction.reference for prediction in predictions],
            [prediction.group for prediction in predictions],
            resamples=params.score.bootstrap,
            confidence=params.score.confidence,
            seed=params.seed,
        )
        scores[key] = {**costs, **values}  # what was measured stays, whatever it is called
        if told := few_groups(key, values["groups"], FEW_GROUPS):
            print(told)
    write_text(metrics_file(name), dump_json(scores))


if __name__ == "__main__":
    run(main)

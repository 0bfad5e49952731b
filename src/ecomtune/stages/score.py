"""score@S: one system's metrics and costs on all its tasks, into metrics/S.json (in git, so that pull requests show them)."""

from __future__ import annotations

from pathlib import Path

from ecomtune import metrics, tasks
from ecomtune.errors import UserError
from ecomtune.files import dump_json, write_text
from ecomtune.metrics.bootstrap import few_groups
from ecomtune.notes import read_costs
from ecomtune.params import Params
from ecomtune.records import Prediction, read_task
from ecomtune.stages import pick, run


def main(params: Params, name: str) -> None:
    scores = {}
    folder = Path("data/predictions") / name
    for key in pick(params.systems, name, "systems").tasks:
        predictions = read_task(folder / f"{key}.jsonl", Prediction, key)
        if others := {each.system for each in predictions} - {name}:
            raise UserError(f"{folder / key}.jsonl holds answers of system {min(others)}; delete it and run dvc repro again")
        costs = read_costs(folder, key)
        values = metrics.load(tasks.load(key).metric).score(
            [prediction.parsed for prediction in predictions],
            [prediction.reference for prediction in predictions],
            [prediction.group for prediction in predictions],
            resamples=params.score.bootstrap,
            confidence=params.score.confidence,
            seed=params.seed,
        )
        scores[key] = {**costs, **values}  # what was measured stays, whatever it is called
        if told := few_groups(key, values["groups"]):
            print(told)
    write_text(Path("metrics") / f"{name}.json", dump_json(scores))


if __name__ == "__main__":
    run(main)

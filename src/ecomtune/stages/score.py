"""score@S: one system's metrics and costs on all its tasks, into metrics/S.json (in git, so that pull requests show them)."""

from __future__ import annotations

from ecomtune.core.config.params import Params
from ecomtune.core.definitions import read_definition
from ecomtune.core.files import dump_json, read_json_as, write_text
from ecomtune.core.metadata import read_costs
from ecomtune.core.paths import DEFINITIONS, metrics_file, predictions_file
from ecomtune.core.records import FEW_GROUPS, Prediction, read_task
from ecomtune.messages.errors import UserError
from ecomtune.messages.warnings import few_groups, other_script
from ecomtune.metrics.bootstrap import Resampling
from ecomtune.metrics.graded import graded
from ecomtune.metrics.registry import metric_of
from ecomtune.stages.runner import pick, run
from ecomtune.tasks.registry import task_from


def main(params: Params, name: str) -> None:
    resampling = Resampling(params.score.bootstrap, params.score.confidence, params.seed)
    scores = {}
    for key in pick(params.systems, name, "systems").tasks:
        file = predictions_file(name, key)
        predictions = read_task(file, Prediction, key)
        if others := {each.system for each in predictions} - {name}:
            raise UserError(f"{file} holds answers of system {min(others)}; delete it and run dvc repro again")
        costs = read_costs(file.parent, key)
        task = task_from(key, read_definition(read_json_as(file.parent / DEFINITIONS, dict[str, str]).get(key, key)))
        given, gold = zip(*map(graded, predictions), strict=True)
        values = metric_of(task).score(given, gold, [prediction.group for prediction in predictions], resampling)
        scores[key] = {**costs, **values}  # a metric is never hidden by a cost of the same name
        is_latin = task.decoder == "text" and task.definition.tokenizer == "latin"
        scripts = other_script(key, [each.reference for each in predictions]) if is_latin else None
        for warning in filter(None, [few_groups(key, values["groups"], FEW_GROUPS), scripts]):
            print(warning)
    write_text(metrics_file(name), dump_json(scores))


if __name__ == "__main__":
    run(main)

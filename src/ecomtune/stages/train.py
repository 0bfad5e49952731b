"""train@A: one adapter, on one task, a shard of it, or a mix of tasks, into models/adapters/<out>."""

from __future__ import annotations

from ecomtune.core.config import Adapter
from ecomtune.core.config.params import Params
from ecomtune.core.files import output_folder
from ecomtune.core.paths import ADAPTERS, PRETRAINED, SCRATCH, examples_file
from ecomtune.core.records import Example, read_task
from ecomtune.lora.mixing import mix_rows
from ecomtune.models.process import is_main_process, prepare
from ecomtune.stages.runner import pick, run
from ecomtune.training.checkpoints import open_checkpoints, training_key


def main(params: Params, name: str) -> None:
    adapter = pick(params.train.adapters, name, "train.adapters")
    settings, seed = params.train.settings_of(name), params.seed
    base = PRETRAINED / settings.model
    rows, validation = training_rows(adapter), validation_rows(adapter)
    prepare(settings.threads)
    from ecomtune.lora.adapter_training import AdapterJob, save_trained, train_adapter  # after prepare

    with open_checkpoints(training_key("train", base, settings, seed, settings.threads, rows, validation)) as checkpoints:
        job = AdapterJob(rows, validation, base, settings, seed)
        trained = train_adapter(job, checkpoints, live=SCRATCH / "live" / name)
        if is_main_process():
            with output_folder(ADAPTERS / adapter.out) as folder:
                save_trained(trained, folder)


def training_rows(adapter: Adapter) -> list[Example]:
    """The training examples of the adapter's tasks: its limits' first rows, its shard of them, or its mix."""
    rows = {task: _rows(task, "train")[: adapter.limit.get(task)] for task in adapter.tasks}
    if adapter.shard is not None:
        first, shards = adapter.shard
        rows = {task: own[first - 1 :: shards] for task, own in rows.items()}
    return mix_rows(rows, adapter.mix) if adapter.mix else [row for own in rows.values() for row in own]


def validation_rows(adapter: Adapter) -> list[Example]:
    """The validation examples of the adapter's tasks."""
    return [row for task in adapter.tasks for row in _rows(task, "validation")]


def _rows(task: str, split: str) -> list[Example]:
    return read_task(examples_file(task, split), Example, task, may_be_empty=split == "validation")


if __name__ == "__main__":
    run(main, distributed=True)

"""train@A: one adapter, on one task, a shard of it, or a mix of tasks, into models/adapters/<out>."""

from __future__ import annotations

from pathlib import Path

from ecomtune.files import output_folder
from ecomtune.params import Params
from ecomtune.records import Example, read_task
from ecomtune.runtime import prepare
from ecomtune.sections import Adapter
from ecomtune.stages import pick, run


def main(params: Params, name: str) -> None:
    adapter = pick(params.train.adapters, name, "train.adapters")
    settings = params.train.settings_of(name)
    prepare(settings.threads)
    from ecomtune.lora.training import save_trained, train_adapter  # after prepare: transformers reads the environment

    model = train_adapter(training_rows(adapter), Path("models/pretrained") / settings.model, settings, params.seed)
    with output_folder(Path("models/adapters") / adapter.out) as folder:
        save_trained(model, folder)


def training_rows(adapter: Adapter) -> list[Example]:
    """The training examples of the adapter's tasks, within its limits, or its share of them."""
    examples: list[Example] = []
    for task in adapter.tasks:
        rows = read_task(Path("data/examples") / task / "train.jsonl", Example, task)[: adapter.limit.get(task)]
        examples += rows if adapter.shard is None else rows[adapter.shard[0] - 1 :: adapter.shard[1]]
    return examples


if __name__ == "__main__":
    run(main)

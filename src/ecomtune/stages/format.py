"""format@T: a task's examples from its data set, split, sampled and checked, into data/examples/T."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ecomtune.core.config.params import Params
from ecomtune.core.definitions import dump_definition
from ecomtune.core.files import dump_json, output_folder, write_text
from ecomtune.core.paths import EXAMPLES, FORMAT_REPORT, RAW, SCRATCH, formatted_definition
from ecomtune.core.records import FEW_GROUPS
from ecomtune.datasets.registry import part_readers
from ecomtune.examples.formatting import format_rows
from ecomtune.messages.warnings import few_groups, unlearnable
from ecomtune.stages.runner import pick, run
from ecomtune.tasks.registry import load_task


def main(params: Params, name: str) -> None:
    settings = pick(params.tasks, name, "tasks")
    task = load_task(params, name)
    readers = part_readers({each: params.datasets[each] for each in settings.dataset}, RAW, name, task.definition)
    with output_folder(EXAMPLES / name) as folder, tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        report = format_rows(task, readers, settings, params.seed, folder, Path(scratch))
        write_text(folder / formatted_definition(name).name, dump_definition(task.definition, settings.prompt))
        write_text(folder / FORMAT_REPORT, dump_json(report))
    for warning in filter(None, [few_groups(name, report["splits"]["test"]["groups"], FEW_GROUPS), *unlearnable(report)]):
        print(warning)
    written = {split: counts["rows"] for split, counts in report["splits"].items()}
    wanted = {"train": settings.train_size, "validation": settings.validation_size, "test": settings.test_size}
    for split, number in wanted.items():
        if written[split] < number:
            print(f"{name}: {split}_size asks for {number} rows, {settings.dataset_names} has {written[split]}")
    rejected = sum(report["rejected"].values())
    print(f"{name}: {', '.join(f'{number} {split}' for split, number in written.items())}, {rejected} rejected")


if __name__ == "__main__":
    run(main)

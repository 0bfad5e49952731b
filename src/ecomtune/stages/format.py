"""format@T: a task's examples from its data set, split, sub-sampled and checked, into data/examples/T."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ecomtune.core.config.params import Params
from ecomtune.core.files import dump_json, output_folder, write_text
from ecomtune.core.paths import EXAMPLES, RAW, SCRATCH
from ecomtune.core.records import FEW_GROUPS
from ecomtune.datasets.registry import readers_of
from ecomtune.examples.formatting import format_rows
from ecomtune.messages.warnings import few_groups, unlearnable
from ecomtune.stages.runner import pick, run


def main(params: Params, name: str) -> None:
    settings = pick(params.tasks, name, "tasks")
    readers = readers_of(params.datasets[settings.dataset], RAW / settings.dataset, name)
    with output_folder(EXAMPLES / name) as folder, tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        report = format_rows(name, readers, settings, params.seed, folder, Path(scratch))
        write_text(folder / "report.json", dump_json(report))
    for told in filter(None, [few_groups(name, report["splits"]["test"]["groups"], FEW_GROUPS), *unlearnable(report)]):
        print(told)
    found = {split: counts["rows"] for split, counts in report["splits"].items()}
    asked = {"train": settings.train_size, "validation": settings.validation_size, "test": settings.test_size}
    for split, number in asked.items():
        if found[split] < number:
            print(f"{name}: {split}_size asks for {number} rows, {settings.dataset} has {found[split]}")
    rejected = sum(report["rejected"].values())
    print(f"{name}: {', '.join(f'{number} {split}' for split, number in found.items())}, {rejected} rejected")


if __name__ == "__main__":
    run(main)

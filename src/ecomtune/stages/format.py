"""format@T: a task's examples from its data set, split, sub-sampled and checked, into data/examples/T."""

from __future__ import annotations

from pathlib import Path

from ecomtune import datasets, tasks
from ecomtune.datasets.formatting import format_rows
from ecomtune.files import dump_json, output_folder, write_text
from ecomtune.params import Params
from ecomtune.records import write_records
from ecomtune.stages import pick, run


def main(params: Params, name: str) -> None:
    settings = pick(params.tasks, name, "tasks")
    raw = Path("data/raw") / settings.dataset
    rows = datasets.read(params.datasets[settings.dataset], raw, name)
    examples, rejected, report = format_rows(tasks.load(name), rows, settings, params.seed)
    with output_folder(Path("data/examples") / name) as folder:
        for split, records in examples.items():
            write_records(folder / f"{split}.jsonl", records)
        write_records(folder / "rejected.jsonl", rejected)
        write_text(folder / "report.json", dump_json(report))
    asked = {"train": settings.train_size, "validation": settings.validation_size, "test": settings.test_size}
    for split, number in asked.items():
        if len(examples[split]) < number:
            print(f"{name}: {split}_size asks for {number} rows, {settings.dataset} has {len(examples[split])}")
    print(
        f"{name}: "
        + ", ".join(f"{len(records)} {split}" for split, records in examples.items())
        + f", {len(rejected)} rejected"
    )


if __name__ == "__main__":
    run(main)

"""download@D: a data set's raw files, pinned by sha256 or made by its generator, into data/raw/D."""

from __future__ import annotations

from pathlib import Path

from ecomtune import datasets
from ecomtune.datasets.fetch import fetch, forget
from ecomtune.files import output_folder
from ecomtune.params import Params
from ecomtune.stages import pick, run


def main(params: Params, name: str) -> None:
    dataset = pick(params.datasets, name, "datasets")
    datasets.check_keys(name, dataset)
    reader = datasets.load(dataset.reader)
    with output_folder(Path("data/raw") / name) as folder:
        for source in dataset.files:
            print(f"{source.path}: licence {source.licence}")
            fetch(source, folder / source.path)
        if hasattr(reader, "generate"):
            reader.generate(folder, dataset.seed)
    for source in dataset.files:
        forget(source)


if __name__ == "__main__":
    run(main)

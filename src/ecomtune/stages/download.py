"""download@D: a data set's raw files, pinned by sha256 or made by its generator, into data/raw/D."""

from __future__ import annotations

from pathlib import Path

from ecomtune import datasets
from ecomtune.datasets.fetch import fetch
from ecomtune.errors import UserError
from ecomtune.files import output_folder
from ecomtune.params import Params
from ecomtune.stages import pick, run


def main(params: Params, name: str) -> None:
    dataset = pick(params.datasets, name, "datasets")
    reader = datasets.load(dataset.reader)
    makes = hasattr(reader, "generate")
    if makes and dataset.files:
        raise UserError(f"datasets.{name}.files: reader {dataset.reader} makes its data itself; remove the key")
    if not makes and not dataset.files:
        raise UserError(f"datasets.{name}: reader {dataset.reader} reads files, and none is named; add the key files")
    with output_folder(Path("data/raw") / name) as folder:
        for source in dataset.files:
            print(f"{source.path}: licence {source.licence}")
            fetch(source, folder / source.path)
        if makes:
            reader.generate(folder, dataset.seed)


if __name__ == "__main__":
    run(main)

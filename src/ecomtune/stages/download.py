"""download@D: a data set's raw files, pinned by sha256 or generated, into data/raw/D."""

from __future__ import annotations

from ecomtune.core.config.params import Params
from ecomtune.core.files import output_folder
from ecomtune.core.paths import RAW
from ecomtune.datasets.fetch import discard_download, fetch
from ecomtune.datasets.registry import check_keys, load_reader
from ecomtune.stages.runner import pick, run


def main(params: Params, name: str) -> None:
    dataset = pick(params.datasets, name, "datasets")
    check_keys(name, dataset)
    reader = load_reader(dataset.reader)
    with output_folder(RAW / name) as folder:
        for source in dataset.files:
            print(f"{source.path}: licence {source.licence}")
            fetch(source, folder / source.path)
        if hasattr(reader, "generate"):
            reader.generate(folder, dataset.seed)
    for source in dataset.files:
        discard_download(source)


if __name__ == "__main__":
    run(main)

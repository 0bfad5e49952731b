"""The rows that are measured: the project's own examples, of QueryNER where a mirror holds it, else of the demo shop."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.harness import BenchmarkError, Options, Turns, run_once
from benchmarks.tasks import load_task
from ecomtune.core.config import Dataset, SourceFile, TaskSettings
from ecomtune.core.records import Example, read_records
from ecomtune.datasets.fetch import MIRROR_VARIABLE, fetch
from ecomtune.datasets.registry import load_reader, part_readers
from ecomtune.examples.formatting import format_rows
from ecomtune.tasks.base import PromptForm

SEED: Final = 7
_QUERYNER: Final = (
    "https://raw.githubusercontent.com/zyp5511/LLM-paper/d9f3e88eb38843ee832d1b9767cbd94d37b8c3c0/datasets/queryner/conll"
)
_FILES: Final = {
    "train.txt": ("c159a044f9bc4f5b2b77a0ff3c69ade6ab200e81c99b3eaf76694b1b79888b19", 589962),
    "dev.txt": ("14ec853a46a193ed9525355cdecf2825fe2243ad8285cb584f498bd8828036a7", 64780),
    "test.txt": ("69540d5c78e4cb04b51df54c4063b14d5d6445768b2158029d91b0812dc304c4", 74780),
}


@dataclass(frozen=True)
class Rows:
    """Examples of one task and the data set that they come from."""

    source: str
    train: list[Example]
    test: list[Example]


def rows(options: Options, task: str, form: PromptForm, *, train: int, test: int) -> Rows:
    """``train`` and ``test`` examples of ``task``, with its instruction in the given form."""
    reader = "queryner" if task == "ner" and os.environ.get(MIRROR_VARIABLE) and not options.quick else "demo_shop"
    raw = options.scratch / "data" / reader
    raw.mkdir(parents=True, exist_ok=True)
    if reader == "demo_shop":
        load_reader(reader).generate(raw, SEED)
    else:
        for name, (sha256, size) in _FILES.items():
            licence = "annotations MIT, queries Apache-2.0"
            fetch(SourceFile(path=name, url=f"{_QUERYNER}/{name}", sha256=sha256, bytes=size, licence=licence), raw / name)
    settings = TaskSettings(
        dataset=reader, prompt=form, train_size=train, validation_size=0, test_size=max(test, 1), max_new_tokens=64
    )
    with tempfile.TemporaryDirectory() as made:
        asked = load_task(task)
        readers = part_readers({reader: Dataset(reader=reader)}, raw.parent, task, asked.definition)
        format_rows(asked, readers, settings, SEED, Path(made), Path(made))
        examples = {split: read_records(Path(made) / f"{split}.jsonl", Example) for split in ("train", "test")}
    if len(examples["train"]) < train or len(examples["test"]) < test:
        raise BenchmarkError(f"{reader} has no {train} training and {test} test rows of {task}; measure fewer --repeats")
    return Rows({"queryner": "QueryNER", "demo_shop": "demo shop"}[reader], examples["train"], examples["test"][:test])


def pico_base(options: Options) -> Path:
    """Folder of the tests' pico model, for ``--quick``."""
    folder = options.scratch / "pico"
    if not (folder / "config.json").is_file():
        run_once("pico model", _PicoModel(folder), options)
    return folder


@dataclass(frozen=True)
class _PicoModel:
    folder: Path

    def __call__(self, turns: Turns) -> None:
        from tests.support.pico import make_causal

        make_causal(self.folder)
        turns.ready({})

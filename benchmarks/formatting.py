"""Formatting judgements of ESCI's shape: the project's format stage and the same work by ``datasets``, each as a command.

``python -m benchmarks.formatting SIDE RAW OUT`` reads the two parquet files in RAW and writes examples by split into OUT.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from benchmarks.tasks import load_task
from ecomtune.core.config import Dataset, TaskSettings

TASK: Final = "relevance"
SEED: Final = 7
ALL: Final = 10**9
#: As many processes as the machine that the targets are set for has cores.
PROCESSES: Final = 2


def ours(raw: Path, out: Path) -> None:
    """The work of ``format@relevance``."""
    from ecomtune.datasets.registry import part_readers
    from ecomtune.examples.formatting import format_rows

    settings = TaskSettings(dataset="esci", train_size=ALL, validation_size=ALL, test_size=ALL, max_new_tokens=8)
    task = load_task(TASK)
    readers = part_readers({raw.name: Dataset(reader="esci")}, raw.parent, TASK, task.definition)
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        format_rows(task, readers, settings, SEED, out, Path(scratch))


def theirs(raw: Path, out: Path) -> None:
    """Join by pyarrow, then filter, map and to_json of ``datasets``; rows are checked, and the same texts made, as in ours.

    What the peer doesn't do: look for near copies between splits, shuffle by group, keep rejected rows.
    """
    import pyarrow.parquet as pq
    from datasets import Dataset as Table
    from datasets.utils.logging import disable_progress_bar

    from ecomtune.datasets.esci import EXAMPLES, PRODUCTS

    disable_progress_bar()
    key = ["product_id", "product_locale"]
    products = pq.read_table(raw / PRODUCTS, columns=[*key, "product_title", "product_brand", "product_color"])
    joined = pq.read_table(raw / EXAMPLES).join(products, keys=key, join_type="left outer")
    with tempfile.TemporaryDirectory(dir=out) as cache:
        path = Path(cache) / "joined.parquet"
        pq.write_table(joined, path)
        table: Any = Table.from_parquet(str(path), cache_dir=cache)
        table = table.filter(_is_chosen, num_proc=PROCESSES)
        table = table.map(_example, num_proc=PROCESSES, remove_columns=table.column_names)
        for split in ("train", "validation", "test"):
            part = table.filter(_in_split, fn_kwargs={"split": split}, num_proc=PROCESSES).remove_columns("split")
            part.to_json(str(out / f"{split}.jsonl"), num_proc=PROCESSES, force_ascii=False)


def _is_chosen(row: dict[str, Any]) -> bool:
    return row["large_version"] == 1 and bool(row["query"]) and bool(row["product_title"])


def _in_split(row: dict[str, Any], split: str) -> bool:
    return bool(row["split"] == split)


def _example(row: dict[str, Any]) -> dict[str, Any]:
    from ecomtune.datasets.esci import train_or_validation
    from ecomtune.datasets.reading.products import LABELS, query_group

    task = load_task(TASK)
    values = {
        "query": row["query"],
        "title": row["product_title"],
        "brand": row["product_brand"],
        "color": row["product_color"],
    }
    fields = {name: value for name, value in values.items() if value}
    group, reference = query_group(row["query"]), LABELS[row["esci_label"]]
    target = task.target(fields, reference)
    if task.parse(target, fields) != reference:
        raise ValueError("its target doesn't parse back")
    split = row["split"] if row["split"] == "test" else train_or_validation(group)
    return {
        "fields": fields,
        "group": group,
        "prompt": task.prompt(fields, "compact"),
        "reference": reference,
        "source": f"esci:{row['example_id']}",
        "split": split,
        "target": target,
        "task": TASK,
    }


if __name__ == "__main__":
    side, raw, out = sys.argv[1:]
    Path(out).mkdir(parents=True, exist_ok=True)
    {"ours": ours, "theirs": theirs}[side](Path(raw), Path(out))

"""FewSum: Amazon products with eight reviews and three human summaries each (arXiv 2004.14884).

Source: github.com/abrazinskas/FewSum, folder artifacts/amazon/gold_summs, three tab-separated files. Licence: MIT, which
allows redistribution. Language: English. Columns: cat, group_id (the product), rev1 to rev8, summ1 to summ3, rating1 to
rating8. Rows are numbered from 1, without the header.

Measured size: 28 / 12 / 20 products of four categories, in equal shares; a review has at most 85 words, and the eight of a
product at most 438. So little data suits few-shot prompts and tests, not a learning curve; the first of the three summaries is
the target, and all three are references.

Known faults, measured: none that loses a row. One training text is in quotes, with a doubled quote inside, as CSV writes it:
the quotes are resolved. No text is empty, no review or summary is repeated within a row, no product is in two splits, and all
text is ASCII without HTML.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from ecomtune.core.config import Dataset
from ecomtune.core.config.definition import TaskDefinition
from ecomtune.core.records import Rejected, Row
from ecomtune.datasets.reading.cleaning import plain, text_fault
from ecomtune.datasets.reading.raw_files import Unreadable, excerpt
from ecomtune.datasets.reading.table_files import read_csv

KINDS: Final = {"summarization": ("reviews",)}
#: Tokens of a typical row, of its inputs and target without the instruction: the mean of 200 rows (3.5 characters a token).
ROW_TOKENS: Final = {"summarization": 680}
SPLITS: Final = {"train": "train.csv", "validation": "val.csv", "test": "test.csv"}
REVIEWS: Final = tuple(f"rev{number}" for number in range(1, 9))
SUMMARIES: Final = tuple(f"summ{number}" for number in range(1, 4))


def rows(raw: Path, task: TaskDefinition, dataset: Dataset) -> Iterator[Row | Rejected]:
    """Rows of the official splits, in file order. Raises UserError for a file that can't be read."""
    seen: set[str] = set()
    for split, name in SPLITS.items():
        records = read_csv(raw / name, ("group_id", *REVIEWS, *SUMMARIES), separator="\t")
        for number, (_, record) in enumerate(records, start=1):
            source = f"fewsum:{name}:{number}"
            if isinstance(record, Unreadable):
                yield Rejected(source=source, reason=record.reason, text=record.text)
                continue
            row = as_row(record, split, source)
            if isinstance(row, Row):
                if row.group in seen:
                    row = Rejected(source=source, reason="its product is that of an earlier row", text=excerpt(record))
                else:
                    seen.add(row.group)
            yield row


def as_row(record: Mapping[str, str], split: str, source: str) -> Row | Rejected:
    """The row of one product; a missing review or summary rejects it."""
    reviews = [plain(record[name]) for name in REVIEWS]
    summaries = [plain(record[name]) for name in SUMMARIES]
    empty = [name for name, text in zip((*REVIEWS, *SUMMARIES), (*reviews, *summaries), strict=True) if not text]
    reason = (
        ("group_id is missing or empty" if not record["group_id"].strip() else None)
        or (f"{empty[0]} is missing or empty" if empty else None)
        or text_fault({"reviews": reviews, "summaries": summaries})
    )
    if reason:
        return Rejected(source=source, reason=reason, text=excerpt(record))
    return Row(fields={"reviews": reviews}, reference=summaries, group=record["group_id"], split=split, source=source)

"""ESCI, the Amazon Shopping Queries data set (arXiv 2206.06588): judged query-product pairs, and product descriptions.

Source: github.com/amazon-science/esci-data, folder shopping_queries_dataset, two parquet files kept by Git LFS (pin the
address of the data, not of the LFS pointer). Licence: Apache-2.0, which allows redistribution. Languages: the locales us
(English), es (Spanish) and jp (Japanese); ``locales`` of the data set chooses among them. Size as published, since the files
could not be read here: 2,621,288 judgements in the large version (1,983,272 train, 638,016 test), of which us 1,393,063 and
425,762, of about 130,000 queries; about 1.8 million products. Columns: example_id, query, product_id, product_locale,
esci_label (E, S, C, I), large_version, split; product_title, product_description, product_bullet_point (one per line),
product_brand, product_color.

Relevance is task 2: large_version 1, the official split, joined on id and locale. There is no official validation split: a
tenth of the train queries, drawn by a fixed hash of the query, is the validation split. A group is a query with its near
copies in every locale, since the task's input doesn't include the locale. A train judgement whose query, or a near copy, is in
the official test is rejected: nothing of test may be in train.

Description: one row a product of the chosen locales, by the study's filters (``products.description_row``), which reject most
products, so max_rejected must allow it (esci_small: 0.58; half of all have no description). No official split.

Known faults, by the small part: descriptions hold HTML and entities, which are removed or resolved; titles and descriptions
recur; brand and color are often missing; one product has two ids, with different labels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

import polars as pl

from ecomtune.core.config import Dataset
from ecomtune.core.config.definition import TaskDefinition
from ecomtune.core.records import Rejected, Row
from ecomtune.datasets.reading.parquet import batches, rows_in, scan, tuples
from ecomtune.datasets.reading.products import (
    PRODUCT_KINDS,
    RawJudgement,
    RawProduct,
    description_row,
    judgement_row,
    query_group,
    reject_repeated_titles,
)
from ecomtune.datasets.reading.raw_files import excerpt
from ecomtune.messages.errors import UserError

KINDS: Final = PRODUCT_KINDS
OPTIONS: Final = ("locales",)
#: Tokens of a typical row, of its inputs and target without the instruction, as in its small part (esci_small).
ROW_TOKENS: Final = {"classification": 50, "generation": 570}
EXAMPLES: Final = "shopping_queries_dataset_examples.parquet"
PRODUCTS: Final = "shopping_queries_dataset_products.parquet"
VALIDATION_SHARE: Final = 0.1
KEY: Final = ("product_id", "product_locale")
#: The first row of a part, and its number of rows.
Part = tuple[int, int]
ALL: Final[Part] = (0, 2**62)
#: The most parts that judgements are divided into, and the fewest rows of a part: each part is joined with all products.
PARTS: Final = 4
PART_ROWS: Final = 25_000


def parts(raw: Path, task: TaskDefinition, dataset: Dataset) -> list[Part]:
    """The parts of the judgements; descriptions are one part, since repeated titles are found among all of them."""
    if task.kind != "classification":
        return [ALL]
    number = rows_in(raw / EXAMPLES, "query")
    size = max(-(-number // PARTS), PART_ROWS)
    return [(first, size) for first in range(0, max(number, 1), size)]


def rows(raw: Path, task: TaskDefinition, dataset: Dataset, part: Part = ALL) -> Iterator[Row | Rejected]:
    """Rows of the chosen locales in the order of the files. Raises UserError for a file that can't be read."""
    return _judgements(raw, dataset.locales, part) if task.kind == "classification" else _descriptions(raw, dataset.locales)


def _judgements(raw: Path, locales: tuple[str, ...], part: Part) -> Iterator[Row | Rejected]:
    path = raw / EXAMPLES
    texts = ("query", *KEY, "esci_label", "split")
    columns = {"example_id": None, "large_version": pl.Int64, **dict.fromkeys(texts, pl.String)}
    examples = _in_locales(scan(path, columns).with_row_index("row", offset=1), path, locales)
    examples = examples.filter(pl.col("large_version") == 1)
    shown = ("product_title", "product_brand", "product_color")
    products = scan(raw / PRODUCTS, dict.fromkeys((*KEY, *shown), pl.String)).with_columns(has_product=pl.lit(True))
    test_groups = {query_group(query or "") for (query,) in _test_queries(examples, path)}
    repeated = _repeated(examples, path)
    first, number = part
    chosen = examples.filter(pl.col("row").is_between(first + 1, first + number))
    joined = chosen.join(products, on=KEY, how="left", maintain_order="left")
    previous = 0
    selected = joined.select("row", "has_product", "split", "query", *shown, "esci_label")
    for row, has_product, split, *values in tuples(selected, path):
        if row == previous:  # the products file lists this product twice: the first one counts
            continue
        previous = row
        source = f"esci:{EXAMPLES}:{row}"
        judgement = RawJudgement(*values)
        if row in repeated:
            text = excerpt({"query": judgement.query, "title": judgement.title})
            yield Rejected(source=source, reason="its example_id is that of an earlier row", text=text)
        elif not has_product:
            text = excerpt({"query": judgement.query, "title": judgement.title, "split": split})
            yield Rejected(source=source, reason="its product is not among the products", text=text)
        else:
            yield as_row(source, judgement, split, test_groups)


def as_row(source: str, judgement: RawJudgement, split: str | None, test_groups: set[str]) -> Row | Rejected:
    """The row of one judgement of the official ``split``; ``test_groups`` are the queries that no train row may have."""
    reason = None
    if split == "train":
        group = query_group(judgement.query or "")
        reason = "its query, or a near copy, is in the official test split" if group in test_groups else None
        split = train_or_validation(group)
    elif split != "test":
        reason = "the split is neither train nor test"
    if reason:
        text = excerpt({"query": judgement.query, "title": judgement.title, "split": split})
        return Rejected(source=source, reason=reason, text=text)
    return judgement_row(source, judgement, split)


@lru_cache(maxsize=65_536)
def train_or_validation(group: str) -> str:
    """The split, of these two, of an official train query; the same in every run and for every seed."""
    share = int.from_bytes(hashlib.sha256(f"esci/validation/{group}".encode()).digest()) / 2**256
    return "validation" if share < VALIDATION_SHARE else "train"


def _descriptions(raw: Path, locales: tuple[str, ...]) -> Iterator[Row | Rejected]:
    path = raw / PRODUCTS
    names = ("product_title", "product_description", "product_bullet_point", "product_brand", "product_color")
    products = scan(path, dict.fromkeys((*names, "product_locale"), pl.String)).with_row_index("row", offset=1)
    chosen = _in_locales(products, path, locales).select("row", *names)
    return reject_repeated_titles(
        description_row(f"esci:{PRODUCTS}:{row}", RawProduct(*texts)) for row, *texts in tuples(chosen, path)
    )


def _in_locales(frame: pl.LazyFrame, path: Path, locales: tuple[str, ...]) -> pl.LazyFrame:
    """The rows of the locales, or all rows where none is named. Raises UserError for a locale without rows."""
    if not locales:
        return frame
    present = {locale for (locale,) in tuples(frame.select(pl.col("product_locale").drop_nulls().unique()), path)}
    for locale in locales:
        if locale not in present:
            known = ", ".join(sorted(present)) or "none"
            raise UserError(f"{path} has no rows of locale {locale!r}, only of {known}; correct locales of its data set")
    return frame.filter(pl.col("product_locale").is_in(locales))


def _test_queries(examples: pl.LazyFrame, path: Path) -> Iterable[tuple[str | None]]:
    return tuples(examples.filter(pl.col("split") == "test").select(pl.col("query").unique()), path)


def _repeated(examples: pl.LazyFrame, path: Path) -> set[int]:
    """The numbers of the rows that repeat the example_id of an earlier row."""
    frames = list(batches(examples.select("row", "example_id"), path))
    identities = pl.concat(frames) if frames else pl.DataFrame({"row": [], "example_id": []})
    return set(identities.filter(~pl.col("example_id").is_first_distinct())["row"].to_list())

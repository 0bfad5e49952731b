"""The demo shop: a small made-up shop, generated from a seed, so that the whole pipeline runs anywhere.

Source: ``demo.generator`` and the vocabulary in ``demo.vocabulary``; nothing is downloaded. Licence: the project's own,
Apache-2.0. Language: English. Texts follow templates: results on them show that the pipeline works, not how good a method
is.

Sizes (train / validation / test): brands 34 / 8 / 12; products 630 / 120 / 180 in 32 categories, three variants per
family; queries 640 / 90 / 130 (ner), of which 132 / 16 / 24 are judged with 660 / 80 / 120 products (relevance); one
product of each family has four reviews with a summary, and a description: 210 / 40 / 60 (summarization, description).

Columns (fields of the JSON lines): ``demo.schema``.

Held out: every brand, hence every product, belongs to one split. No two queries are the same bag of words, so none is
in two splits. Categories, colors and the wording of templates are shared by all splits.

A query names a category and some attributes. Judged queries name only what a title states, and ``demo.searches.label``
returns the label of each judged product: Exact (same category, all named attributes match), Substitute (same category,
exactly one differs), Complement (the one category that goes with the query's), Irrelevant (any other category).

Known faults: none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar

from ecomtune.core.config import Dataset
from ecomtune.core.config.definition import TaskDefinition
from ecomtune.core.records import RecordType, Row, read_records
from ecomtune.datasets.demo.generator import generate
from ecomtune.datasets.demo.schema import Judgement, Product, Query, Reviews
from ecomtune.messages.errors import UserError

__all__ = ["KINDS", "generate", "rows"]

KINDS: Final = {
    "classification": ("query", "title", "brand", "color"),
    "ner": ("words",),
    "summarization": ("reviews",),
    "generation": ("title", "brand", "color", "bullets"),
}
#: Tokens of a typical row, of its inputs and target without the instruction: the mean of 200 rows (3.5 characters a token).
ROW_TOKENS: Final = {"classification": 40, "ner": 31, "summarization": 105, "generation": 121}

Item = TypeVar("Item")


def rows(raw: Path, task: TaskDefinition, dataset: Dataset) -> Iterator[Row]:
    """Rows of one task from the files in ``raw``, in file order. Raises UserError for a file or line that can't be read."""
    return READERS[task.kind](raw)


def _relevance(raw: Path) -> Iterator[Row]:
    products = {product.id: product for product in _records(raw / "products.jsonl", Product)}
    queries = {query.id: query for query in _records(raw / "queries.jsonl", Query)}
    path = raw / "judgements.jsonl"
    for number, judgement in enumerate(_records(path, Judgement), start=1):
        query = _find(queries, judgement.query_id, path, number)
        product = _find(products, judgement.product_id, path, number)
        text = " ".join(query.words)
        yield Row(
            fields={"query": text, "title": product.title, "brand": product.brand, "color": product.color},
            reference=judgement.label,
            group=text,
            split=judgement.split,
            source=f"demo_shop:judgements:{number}",
        )


def _ner(raw: Path) -> Iterator[Row]:
    for number, query in enumerate(_records(raw / "queries.jsonl", Query), start=1):
        yield Row(
            fields={"words": query.words},
            reference=query.tags,
            group=" ".join(query.words),
            split=query.split,
            source=f"demo_shop:queries:{number}",
        )


def _summarization(raw: Path) -> Iterator[Row]:
    for number, reviews in enumerate(_records(raw / "reviews.jsonl", Reviews), start=1):
        yield Row(
            fields={"reviews": reviews.reviews},
            reference=[reviews.summary],
            group=reviews.product_id,
            split=reviews.split,
            source=f"demo_shop:reviews:{number}",
        )


def _description(raw: Path) -> Iterator[Row]:
    for number, product in enumerate(_records(raw / "products.jsonl", Product), start=1):
        if product.description is None:
            continue
        yield Row(
            fields={
                "title": product.title,
                "brand": product.brand,
                "color": product.color,
                "bullets": product.bullets,
            },
            reference=[product.description],
            group=product.id,
            split=product.split,
            source=f"demo_shop:products:{number}",
        )


def _records(path: Path, kind: type[RecordType]) -> list[RecordType]:
    """All records of a file, which is never empty."""
    records = read_records(path, kind)
    if not records:
        raise UserError(f"{path} is empty; delete {path.parent} and run dvc repro again")
    return records


def _find(index: Mapping[str, Item], key: str, path: Path, number: int) -> Item:
    if key not in index:
        raise UserError(f"{path} line {number}: {key} is not in the shop; delete {path.parent} and run dvc repro again")
    return index[key]


READERS: Final[Mapping[str, Callable[[Path], Iterator[Row]]]] = {
    "classification": _relevance,
    "ner": _ner,
    "summarization": _summarization,
    "generation": _description,
}

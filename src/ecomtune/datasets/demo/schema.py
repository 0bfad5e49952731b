"""The four kinds of records of the demo shop, and the size of each split."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from ecomtune.core.records import Record

Split = Literal["train", "validation", "test"]
Label = Literal["Exact", "Substitute", "Complement", "Irrelevant"]


class Product(Record):
    """One article of the shop. Only the first of a family has a description (and reviews)."""

    id: str
    title: str
    brand: str
    color: str
    material: str
    category: str
    department: str
    feature: str
    size: str
    pack: str
    occasion: str
    price: float
    bullets: list[str]
    description: str | None
    split: Split


class Query(Record):
    """A search: its words, their IOB2 tags, and the product attributes that it names."""

    id: str
    words: list[str]
    tags: list[str]
    attributes: dict[str, str]
    split: Split


class Judgement(Record):
    """How well a product fits a query."""

    query_id: str
    product_id: str
    label: Label
    split: Split


class Reviews(Record):
    """Four shoppers' reviews of a product, and their summary."""

    product_id: str
    reviews: list[str]
    summary: str
    split: Split


class Size(NamedTuple):
    """The numbers of a split; ``judged`` counts queries and is a multiple of the number of judging plans."""

    brands: int
    families: int
    queries: int
    judged: int


SIZES: Final[dict[Split, Size]] = {
    "train": Size(34, 210, 640, 132),
    "validation": Size(8, 40, 90, 16),
    "test": Size(12, 60, 130, 24),
}

"""A few valid rows of each data set, in the files of its release: what the tests of readers start from."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from ecomtune.datasets import demo_shop, esci, esci_small, fewsum

#: Query, product, locale, label, large_version, split.
ESCI_JUDGEMENTS = [
    ("red mug", "B1", "us", "E", 1, "train"),
    ("red mug", "B2", "us", "S", 1, "train"),
    ("taza", "B1", "es", "C", 1, "test"),
    ("tea", "B2", "us", "I", 1, "test"),
    ("tea pot", "B2", "us", "I", 0, "train"),
]
#: Id, locale, title, description, bullets, brand, color.
ESCI_PRODUCTS: list[tuple[str | None, ...]] = [
    ("B1", "us", "Acme Mug", "A <b>mug</b> for hot tea", "12 oz\nround", "Acme", "red"),
    ("B2", "us", "Tea", None, None, None, None),
    ("B1", "es", "Taza Acme", "Una taza para té", "roja", "Acme", None),
]
#: Query, product, rating.
ESCI_SMALL_RATINGS = [("mug", "A1", "100.000"), ("mug", "A2", "10.000"), ("tea", "A1", "1.000"), ("tea", "A2", "0.000")]
ESCI_SMALL_PRODUCTS: list[dict[str, Any]] = [
    {"asin": "A1", "title": "Acme Mug", "description": "A <b>mug</b> for tea", "bullet_points": "12 oz\nred", "brand": "Acme"},
    {"asin": "A2", "title": "Tea", "description": "", "bullet_points": "", "brand": None, "color": "green"},
]
CONLL_TRAIN = 'acme\tB-creator\nred\tB-color\nmug\tB-core_product_type\n\ngröße\tB-UoM\n12"\tI-UoM\n'
CONLL_DEV = "tea\tO\n\n"
CONLL_TEST = "+\tO\n\nnone\tO\n"
FEWSUM_COLUMNS = ["cat", "group_id", *fewsum.REVIEWS, *fewsum.SUMMARIES]
SUMMARY = {"verdict": "A warm <b>coat</b>.", "pros": ["Warm", "Soft &amp; light"], "cons": ["Tears"], "source": "any"}


def write_esci(
    folder: Path, judgements: list[Any] = ESCI_JUDGEMENTS, products: list[Any] = ESCI_PRODUCTS, **changed: list[Any]
) -> Path:
    """The two files with every column of the release; ``changed`` replaces or adds columns of the examples."""
    names = ["query", "product_id", "product_locale", "esci_label", "large_version", "split"]
    examples = {name: [judgement[place] for judgement in judgements] for place, name in enumerate(names)}
    numbers = list(range(len(judgements)))
    columns = {"example_id": numbers, "query_id": numbers, "small_version": [0] * len(numbers), **examples, **changed}
    pl.DataFrame(columns).write_parquet(folder / esci.EXAMPLES)
    texts = ("title", "description", "bullet_point", "brand", "color")
    schema = dict.fromkeys(["product_id", "product_locale", *(f"product_{name}" for name in texts)], pl.String)
    pl.DataFrame(products, schema=schema, orient="row").write_parquet(folder / esci.PRODUCTS)
    return folder


def write_esci_small(folder: Path, ratings: list[Any] = ESCI_SMALL_RATINGS, lines: list[Any] | None = None) -> Path:
    """The two files; ``lines`` are products, or bytes that are written unchanged."""
    queries = [{"query": query, "ratings": [{"docId": product, "rating": rating}]} for query, product, rating in ratings]
    (folder / esci_small.JUDGEMENTS).write_text(json.dumps({"name": "small", "judgmentRatings": queries}))
    text = b""
    for line in ESCI_SMALL_PRODUCTS if lines is None else lines:
        content = json.dumps({"color": None, **line}).encode() if isinstance(line, dict) else line
        text += b'{"index": {"_id": "any"}}\n' + content + b"\n"
    with zipfile.ZipFile(folder / esci_small.PRODUCTS, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("products.ndjson", text)
    return folder


def write_conll(folder: Path, train: str | bytes = CONLL_TRAIN, dev: str = CONLL_DEV, test: str = CONLL_TEST) -> Path:
    """QueryNER's three files."""
    (folder / "train.txt").write_bytes(train if isinstance(train, bytes) else train.encode())
    (folder / "dev.txt").write_text(dev, encoding="utf-8")
    (folder / "test.txt").write_text(test, encoding="utf-8")
    return folder


def fewsum_line(product: str, reviews: str = "review", summaries: str = "summary") -> str:
    """A product whose texts are numbered."""
    texts = [f"{reviews} {number}" for number in range(1, 9)], [f"{summaries} {number}" for number in range(1, 4)]
    return "\t".join(["shoes", product, *texts[0], *texts[1]])


def write_fewsum(folder: Path, *train: str | bytes) -> Path:
    """The three files: the lines of ``train`` (by default one product), and one product in each of the others."""
    header = "\t".join(FEWSUM_COLUMNS)
    lines = [text.encode() if isinstance(text, str) else text for text in (header, *(train or (fewsum_line("B1"),)))]
    (folder / "train.csv").write_bytes(b"\n".join(lines) + b"\n")
    (folder / "val.csv").write_text(f"{header}\n{fewsum_line('B2')}")
    (folder / "test.csv").write_text(f"{header}\n{fewsum_line('B3')}")
    return folder


def amasum_review(text: Any, votes: Any = 0, rating: Any = 5.0) -> dict[str, Any]:
    """A customer's review."""
    return {"title": "any", "text": text, "rating": rating, "verified": True, "helpful_votes": votes}


AMASUM_REVIEWS = [
    amasum_review("soft", 1, 5.0),
    amasum_review("warm", 9, 4.0),
    amasum_review("torn", 3, 1.0),
    amasum_review("fine", 7, 3.0),
    amasum_review("loud", 2, 2.0),
    amasum_review("big", 5, 5.0),
]


def amasum_product(reviews: Any = AMASUM_REVIEWS, *summaries: Any) -> bytes:
    """The file of one product."""
    value = {"website_summaries": list(summaries) or [SUMMARY], "customer_reviews": reviews, "product_meta": {}}
    return json.dumps(value).encode()


def write_zip(folder: Path, **members: bytes) -> Path:
    """AmaSum's zip file, with a member NAME.json each."""
    with zipfile.ZipFile(folder / "raw.zip", "w") as opened:
        for name, content in (members or {"B1": amasum_product(), "B2": amasum_product()}).items():
            opened.writestr(f"{name}.json", content)
    return folder


#: A valid value of each input and of the reference of every task, as text.
TABLE_VALUES = {"query": "red mug", "title": "Acme Mug", "words": "red mug", "reviews": "Good lid.", "bullets": "Holds 12 oz"}
TABLE_REFERENCES = {"relevance": "Exact", "ner": "B-color O", "summarization": "A mug.", "description": "Enjoy tea."}
TABLE_COLUMNS = {name: name for name in (*TABLE_VALUES, "reference")}


def write_table(folder: Path, task: str, suffix: str, references: tuple[str, ...] = ()) -> Path:
    """A table of two rows of any task, or of one row for each of ``references``."""
    reference = TABLE_REFERENCES[task]
    table = pl.DataFrame([{**TABLE_VALUES, "reference": each} for each in references or (reference, reference)])
    write = {"csv": table.write_csv, "jsonl": table.write_ndjson, "parquet": table.write_parquet}[suffix]
    write(folder / f"mine.{suffix}")
    return folder


@dataclass(frozen=True)
class Sample:
    """A reader's files for one task, and what they are read with.

    ``write`` writes valid files into a folder, ``write_broken`` the same with one more record, which is broken (None where a
    broken record stops the reader); ``files`` are those that the task reads.
    """

    reader: str
    task: str
    write: Callable[[Path], object]
    files: tuple[str, ...]
    write_broken: Callable[[Path], object] | None = None
    keys: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.reader}-{self.task}-{self.files[-1].rpartition('.')[2]}"


def _shop(task: str, *files: str) -> Sample:
    return Sample("demo_shop", task, lambda folder: demo_shop.generate(folder, 7), files)


def _table(task: str, suffix: str) -> Sample:
    good, bad = TABLE_REFERENCES[task], "<b>bold</b>"
    return Sample(
        "table",
        task,
        lambda folder: write_table(folder, task, suffix),
        (f"mine.{suffix}",),
        lambda folder: write_table(folder, task, suffix, (good, bad, good)),
        {"columns": TABLE_COLUMNS},
    )


#: Every task of every reader.
SAMPLES = [
    _shop("relevance", "products.jsonl", "queries.jsonl", "judgements.jsonl"),
    _shop("ner", "queries.jsonl"),
    _shop("summarization", "reviews.jsonl"),
    _shop("description", "products.jsonl"),
    Sample(
        "esci",
        "relevance",
        write_esci,
        (esci.EXAMPLES, esci.PRODUCTS),
        lambda folder: write_esci(folder, [*ESCI_JUDGEMENTS, ("cup", "B1", "us", "X", 1, "train")]),
    ),
    Sample(
        "esci",
        "description",
        write_esci,
        (esci.PRODUCTS,),
        lambda folder: write_esci(folder, products=[*ESCI_PRODUCTS, ("B3", "us", "Acme Mug", "A mug for soup", "red", "", "")]),
    ),
    Sample(
        "esci_small",
        "relevance",
        write_esci_small,
        (esci_small.JUDGEMENTS, esci_small.PRODUCTS),
        lambda folder: write_esci_small(folder, [*ESCI_SMALL_RATINGS, ("cup", "A1", "E")]),
    ),
    Sample(
        "esci_small",
        "description",
        write_esci_small,
        (esci_small.PRODUCTS,),
        lambda folder: write_esci_small(folder, lines=[*ESCI_SMALL_PRODUCTS, b'["A3"]']),
    ),
    Sample("queryner", "ner", write_conll, ("train.txt", "dev.txt", "test.txt")),
    Sample(
        "fewsum",
        "summarization",
        write_fewsum,
        tuple(fewsum.SPLITS.values()),
        lambda folder: write_fewsum(folder, fewsum_line("B1"), "only one cell"),
    ),
    Sample(
        "amasum",
        "summarization",
        write_zip,
        ("raw.zip",),
        lambda folder: write_zip(folder, B1=amasum_product(), B2=amasum_product(), B3=b"{}"),
    ),
    *(_table(task, suffix) for task in TABLE_REFERENCES for suffix in ("csv", "jsonl", "parquet")),
]

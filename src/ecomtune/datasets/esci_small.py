"""A small published part of ESCI (arXiv 2206.06588): judged query-product pairs, and product descriptions.

Source: github.com/shreyah963/search-relevance, folder src/test/data-esci: a JSON file of judgements, and a zip of
newline-delimited JSON with an index line before each product. Licence: Apache-2.0, ESCI's, which allows redistribution.
Language: English (us). Columns: query, docId, rating (100, 10, 1 and 0 mean Exact, Substitute, Complement and Irrelevant);
title, description, bullet_points (one per line), brand, color, and others that no task reads.

Measured size: 6,678 judgements (3,389 Exact, 1,898 Substitute, 305 Complement, 1,086 Irrelevant) of 150 queries; 6,764
products, of which 167 are not judged. No official split: the project draws one by query. With so few queries (about 15 in a
drawn test) intervals are wide.

Known faults, measured: every judged product exists and no pair is repeated, but 26 pairs of query and title are (one product
with two ids), 13 of them with different labels. No description: 3,388 products; no bullets: 348; no brand: 124; no color:
1,381. 182 descriptions and 47 titles repeat an earlier one. Tags occur in 3 descriptions, and entities in 6 titles, 3
descriptions and 13 bullets, which are removed or resolved; 1 title, 3 descriptions and 1 product's bullets hold the
replacement character (U+FFFD), which is kept. Description keeps 2,842 products; 3,922 are rejected by the study's filters
(``products.description_row``), so max_rejected must be at least 0.6: no description 3,388, not longer than the title 278, no
bullets 159, the same as the title 52, the same as the bullets 33, a title of an earlier product 12.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ecomtune.core.config import Dataset
from ecomtune.core.config.definition import TaskDefinition
from ecomtune.core.files import parse_json
from ecomtune.core.records import Rejected, Row
from ecomtune.datasets.reading.products import (
    PRODUCT_KINDS,
    RawJudgement,
    RawProduct,
    description_row,
    judgement_row,
    reject_repeated_titles,
)
from ecomtune.datasets.reading.raw_files import (
    PIN_ADVICE,
    Unreadable,
    broken_file,
    check_columns,
    check_file,
    excerpt,
    json_object,
    open_zip,
)
from ecomtune.messages.errors import UserError

KINDS: Final = PRODUCT_KINDS
#: Tokens of a typical row, of its inputs and target without the instruction: the mean of 200 rows (3.5 characters a token).
ROW_TOKENS: Final = {"classification": 50, "generation": 570}
JUDGEMENTS: Final = "esci_us_judgments.json"
PRODUCTS: Final = "esci_us_ecommerce_shrunk.ndjson.zip"
TEXTS: Final = ("asin", "title", "description", "bullet_points", "brand", "color")
RATINGS: Final = {100.0: "E", 10.0: "S", 1.0: "C", 0.0: "I"}


def rows(raw: Path, task: TaskDefinition, dataset: Dataset) -> Iterator[Row | Rejected]:
    """Rows in the order of the files. Raises UserError for a file that can't be read."""
    return _judgements(raw) if task.kind == "classification" else reject_repeated_titles(_descriptions(raw))


def _judgements(raw: Path) -> Iterator[Row | Rejected]:
    products = {product["asin"]: product for _, product in read_products(raw / PRODUCTS) if isinstance(product, dict)}
    seen: set[tuple[str, str]] = set()
    for number, (query, judgement) in enumerate(read_judgements(raw / JUDGEMENTS), start=1):
        source = f"esci_small:{JUDGEMENTS}:{number}"
        identity = str(judgement.get("docId"))
        text = excerpt({"query": query, **judgement})
        if identity not in products:
            yield Rejected(source=source, reason="its product is not among the products", text=text)
        elif (query, identity) in seen:
            yield Rejected(source=source, reason="its query and product are those of an earlier row", text=text)
        else:
            seen.add((query, identity))
            title, brand, color = (products[identity][name] for name in ("title", "brand", "color"))
            label = letter(judgement.get("rating"))
            yield judgement_row(source, RawJudgement(query, title, brand, color, label), split=None)


def letter(rating: object) -> str | None:
    """The letter of a rating such as "10.000", or None where it is not one of the four."""
    try:
        return RATINGS.get(float(str(rating)))
    except ValueError:
        return None


def _descriptions(raw: Path) -> Iterator[Row | Rejected]:
    for number, product in read_products(raw / PRODUCTS):
        source = f"esci_small:{PRODUCTS}:{number}"
        if isinstance(product, Unreadable):
            yield Rejected(source=source, reason=product.reason, text=product.text)
        else:
            yield description_row(source, RawProduct(*(product[name] for name in TEXTS[1:])))


def read_judgements(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each query with each of its judgements. Raises UserError where the file has another shape."""
    check_file(path)
    try:
        queries = parse_json(path.read_bytes())["judgmentRatings"]
        pairs = [(entry["query"], judgement) for entry in queries for judgement in entry["ratings"]]
    except (ValueError, LookupError, TypeError) as error:
        raise broken_file(path, error) from error
    for number, (query, judgement) in enumerate(pairs, start=1):
        if not isinstance(query, str) or not isinstance(judgement, dict):
            raise UserError(f"{path}: rating {number} is not an object with a query as text; {PIN_ADVICE}")
        yield query, judgement


def read_products(path: Path) -> Iterator[tuple[int, dict[str, str | None] | Unreadable]]:
    """The line of each product, and its texts or why it can't be read. Raises UserError for a broken zip or other columns."""
    seen: set[str] = set()
    with open_zip(path) as opened:
        names = opened.namelist()
        if len(names) != 1:
            raise UserError(f"{path} holds {len(names)} files, not the one file of products; {PIN_ADVICE}")
        with opened.open(names[0]) as lines:
            for number, line in enumerate(lines, start=1):
                value = json_object(line)
                if isinstance(value, dict) and "index" in value:  # the line only precedes the product
                    continue
                if isinstance(value, dict) and not seen:
                    check_columns(path, TEXTS, value)
                product = _product(value) if isinstance(value, dict) else value
                if isinstance(product, dict):
                    identity = str(product["asin"])
                    if identity in seen:
                        product = Unreadable("its asin is that of an earlier product", excerpt(line))
                    seen.add(identity)
                yield number, product
    if not seen:
        raise UserError(f"{path} holds no products; {PIN_ADVICE}")


def _product(value: dict[str, Any]) -> dict[str, str | None] | Unreadable:
    """The texts of a product, or why they can't be read."""
    texts = {name: value.get(name) for name in TEXTS}
    for name, text in texts.items():
        if not isinstance(text, str) and (text is not None or name == "asin"):
            return Unreadable(f"its {name} is not text", excerpt(value))
    return texts

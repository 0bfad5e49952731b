"""AmaSum: customer reviews of Amazon products with editors' verdicts, pros and cons (arXiv 2109.04325, SelSum).

Source: github.com/abrazinskas/SelSum, folder data: a zip of raw files, one JSON object a product. Licence: non-commercial and
educational use only; it doesn't allow redistribution, so no file or sentence of it may be published, only metrics. Language:
English. Columns: website_summaries (verdict: a text, pros and cons: lists of texts), customer_reviews (title, text, rating,
helpful_votes, verified, author, publication_date), product_meta. Published size: 33,324 summaries of 31,483 products, at least
10 reviews each; only five products could be read here, with 36 to 188 reviews.

``part`` of the data set says what is summarized: ``verdict`` (the default), ``pros`` or ``cons``. The input is the four most
helpful reviews (most votes first, then by text, so that the order in the file doesn't matter): of any rating for verdict,
above 3 for pros, below 3 for cons. The first summary is the target, and all of them are references; the items of pros or cons
are one per line. The files may lie in the data set's folder, in folders below it, or in zip files, which are read in place. A
folder called train, val(id) or test determines the split; otherwise there is no official split.

Known faults, measured on the five products: a sentence of the pros is cut in two at an exclamation mark; one product has no
review below 3, hence no cons, another has a single one. No review is empty, repeated or holds HTML. Handled, although not
seen: the second file of a product is rejected, a review without a text is left out, missing votes count as 0, and a review
without a rating is used for neither pros nor cons.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeGuard

from ecomtune.core.config import Dataset
from ecomtune.core.config.definition import TaskDefinition
from ecomtune.core.records import Rejected, Row
from ecomtune.datasets.reading.cleaning import plain, text_fault
from ecomtune.datasets.reading.raw_files import Unreadable, excerpt, json_object, open_zip
from ecomtune.messages.errors import UserError

KINDS: Final = {"summarization": ("reviews",)}
OPTIONS: Final = ("part",)
PARTS: Final = ("verdict", "pros", "cons")
REVIEWS: Final = 4
SPLITS: Final = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
}


def rows(raw: Path, task: TaskDefinition, dataset: Dataset) -> Iterator[Row | Rejected]:
    """One row per product, files in sorted order. Raises UserError where there is no file, or a zip is broken."""
    part = dataset.part or PARTS[0]
    seen: set[str] = set()
    path = None
    for path, data in read_files(raw):
        source = f"amasum:{path}:1"
        record = json_object(data)
        if isinstance(record, Unreadable):
            yield Rejected(source=source, reason=record.reason, text=record.text)
        elif path.stem in seen:
            yield Rejected(source=source, reason="its product is that of an earlier file", text=excerpt(data))
        else:
            seen.add(path.stem)
            yield as_row(record, part, path, source)
    if path is None:
        raise UserError(f"{raw} holds no .json file, nor a .zip of them; name one under files of its data set")


def read_files(raw: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The path below ``raw`` and the bytes of each JSON file, for members of a zip file below the path of the zip."""
    for path in sorted(raw.rglob("*")):
        relative = PurePosixPath(path.relative_to(raw).as_posix())
        if path.suffix == ".json" and path.is_file():
            yield relative, path.read_bytes()
        elif path.suffix == ".zip":
            with open_zip(path) as opened:
                for member in sorted(opened.namelist()):
                    name = PurePosixPath(member)
                    if name.suffix == ".json" and not name.name.startswith("._"):  # macOS adds one for each file
                        yield relative / name, opened.read(member)


def as_row(product: dict[str, Any], part: str, path: PurePosixPath, source: str) -> Row | Rejected:
    """The row of one product, or why it is rejected."""
    summaries, reviews = product.get("website_summaries"), product.get("customer_reviews")
    if not _objects(summaries) or not _objects(reviews):
        fault = "website_summaries or customer_reviews is not a list of objects"
        return Rejected(source=source, reason=fault, text=excerpt(product))
    chosen = most_helpful(reviews, part)
    reference = [text for summary in summaries if (text := summary_text(summary.get(part)))]
    reason = (
        (f"no review fits {part}" if not chosen else None)
        or (f"{part} is missing or empty" if not reference else None)
        or text_fault({"reviews": chosen, part: reference})
    )
    if reason:
        return Rejected(source=source, reason=reason, text=excerpt(product))
    split = next((SPLITS[name] for name in reversed(path.parent.parts) if name in SPLITS), None)
    return Row(fields={"reviews": chosen}, reference=reference, group=path.stem, split=split, source=source)


def most_helpful(reviews: list[dict[str, Any]], part: str) -> list[str]:
    """The texts of the most helpful reviews that fit ``part``, independent of the reviews' order."""
    ranked = sorted(
        (-_number(review.get("helpful_votes"), 0.0), plain(text))
        for review in reviews
        if isinstance(text := review.get("text"), str) and plain(text) and _fits(_number(review.get("rating"), 3.0), part)
    )
    return [text for _, text in ranked[:REVIEWS]]


def _fits(rating: float, part: str) -> bool:
    return part == "verdict" or (rating > 3 if part == "pros" else rating < 3)


def _number(value: Any, default: float) -> float:
    return float(value) if isinstance(value, int | float) and abs(value) < 1e12 else default  # JSON may hold NaN


def summary_text(value: Any) -> str:
    """A verdict in one line, or the items of pros or cons one per line."""
    items = value if isinstance(value, list) else [value]
    return "\n".join(text for item in items if isinstance(item, str) and (text := plain(item)))


def _objects(value: Any) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)

"""What the readers of judged products share: from one raw record to a row of relevance or of description."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from ecomtune.core.records import Rejected, Row
from ecomtune.core.text import normalize
from ecomtune.datasets.reading.cleaning import plain, plain_lines, text_fault
from ecomtune.datasets.reading.raw_files import excerpt

#: The inputs of rows of judged products, by kind of task.
PRODUCT_KINDS: Final = {
    "classification": ("query", "title", "brand", "color"),
    "generation": ("title", "brand", "color", "bullets"),
}
LABELS: Final = {"E": "Exact", "S": "Substitute", "C": "Complement", "I": "Irrelevant"}


@dataclass(frozen=True, slots=True)
class RawJudgement:
    """One judged pair of a query and a product, before cleaning; the label is the letter E, S, C or I."""

    query: str | None
    title: str | None
    brand: str | None
    color: str | None
    label: str | None


@dataclass(frozen=True, slots=True)
class RawProduct:
    """One product, before cleaning; its bullets are one per line."""

    title: str | None
    description: str | None
    bullets: str | None
    brand: str | None
    color: str | None


@lru_cache(maxsize=65_536)  # the judgements of a query are close together
def query_group(query: str) -> str:
    """The group of a query and its near copies."""
    text = plain(query)
    return normalize(text) or text


def judgement_row(source: str, judgement: RawJudgement, split: str | None) -> Row | Rejected:
    """The relevance row of one judgement; formatting rejects it where the query or the title is empty."""
    reference = LABELS.get(judgement.label or "")
    if reference is None:
        raw = {"query": judgement.query, "title": judgement.title, "label": judgement.label}
        return Rejected(source=source, reason="the label is not one of E, S, C, I", text=excerpt(raw))
    fields = _without_empty(
        query=plain(judgement.query or ""),
        title=plain(judgement.title or ""),
        brand=plain(judgement.brand or ""),
        color=plain(judgement.color or ""),
    )
    if reason := text_fault(fields):
        return Rejected(source=source, reason=reason, text=excerpt(fields))
    return Row(fields=fields, reference=reference, group=query_group(judgement.query or ""), split=split, source=source)


def description_row(source: str, product: RawProduct) -> Row | Rejected:
    """The description row of one product by the study's filters, except for repeated titles (:func:`reject_repeated_titles`).

    Products with the same description are one group, so that no description is a target in train and a reference in test.
    """
    title, text = plain(product.title or ""), plain(product.description or "")
    bullets = plain_lines(product.bullets or "")
    fields = _without_empty(title=title, bullets=bullets, brand=plain(product.brand or ""), color=plain(product.color or ""))
    normalized = normalize(text)
    reason = (
        ("the title is missing or empty" if not title else None)
        or ("the description is missing or empty" if not text else None)
        or ("the bullets are missing or empty" if not bullets else None)
        or text_fault({**fields, "description": text})
        or ("the description is the title" if normalized == normalize(title) else None)
        or ("the description is the bullets" if normalized == normalize(" ".join(bullets)) else None)
        or ("the description is not longer than the title" if len(text.split()) <= len(title.split()) else None)
    )
    if reason:
        raw = {"title": product.title, "description": product.description, "bullets": product.bullets}
        return Rejected(source=source, reason=reason, text=excerpt(raw))
    return Row(fields=fields, reference=[text], group=_digest(normalized or text).hex(), split=None, source=source)


def reject_repeated_titles(rows: Iterable[Row | Rejected]) -> Iterator[Row | Rejected]:
    """``rows``, with each one rejected that repeats the title of an earlier row, case and punctuation aside."""
    seen: set[bytes] = set()
    for row in rows:
        if isinstance(row, Row):
            title = str(row.fields["title"])
            key = _digest(normalize(title) or title)
            if key in seen:
                reason = "the title is that of an earlier product"
                yield Rejected(source=row.source, reason=reason, text=excerpt(row.fields))
                continue
            seen.add(key)
        yield row


def _without_empty(**values: str | list[str]) -> dict[str, str | list[str]]:
    return {name: value for name, value in values.items() if value}


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:12]

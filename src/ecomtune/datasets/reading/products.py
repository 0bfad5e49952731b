"""What the readers of judged products share: from one raw record to a row of relevance or of description."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from ecomtune.core.records import Rejected, Row
from ecomtune.core.text import normalize
from ecomtune.datasets.reading.cleaning import plain, plain_lines, text_fault
from ecomtune.datasets.reading.raw_files import beginning

LABELS: Final = {"E": "Exact", "S": "Substitute", "C": "Complement", "I": "Irrelevant"}


@lru_cache(maxsize=65_536)  # a query's judgements lie near each other
def query_group(query: str) -> str:
    """What stands for a query and its near copies."""
    text = plain(query)
    return normalize(text) or text


def judged(
    source: str,
    query: str | None,
    title: str | None,
    brand: str | None,
    color: str | None,
    label: str | None,
    split: str | None,
) -> Row | Rejected:
    """The row of one judgement, whose label is the letter E, S, C or I; an empty query or title is left to formatting."""
    reference = LABELS.get(label or "")
    if reference is None:
        text = beginning({"query": query, "title": title, "label": label})
        return Rejected(source=source, reason="the label is none of E, S, C, I", text=text)
    fields = _known(query=plain(query or ""), title=plain(title or ""), brand=plain(brand or ""), color=plain(color or ""))
    if reason := text_fault(fields):
        return Rejected(source=source, reason=reason, text=beginning(fields))
    return Row(fields=fields, reference=reference, group=query_group(query or ""), split=split, source=source)


def described(
    source: str, title: str | None, description: str | None, bullets: str | None, brand: str | None, color: str | None
) -> Row | Rejected:
    """The row of one product by the study's filters, but for the title that is seen before; bullets stand one a line.

    Products with the same description are one group, so that no description is a target in train and a reference in test.
    """
    name, text, points = plain(title or ""), plain(description or ""), plain_lines(bullets or "")
    fields = _known(title=name, bullets=points, brand=plain(brand or ""), color=plain(color or ""))
    normal = normalize(text)
    reason = (
        ("the title is missing or empty" if not name else None)
        or ("the description is missing or empty" if not text else None)
        or ("the bullets are missing or empty" if not points else None)
        or text_fault({**fields, "description": text})
        or ("the description is the title" if normal == normalize(name) else None)
        or ("the description is the bullets" if normal == normalize(" ".join(points)) else None)
        or ("the description is not longer than the title" if len(text.split()) <= len(name.split()) else None)
    )
    if reason:
        raw = {"title": title, "description": description, "bullets": bullets}
        return Rejected(source=source, reason=reason, text=beginning(raw))
    return Row(fields=fields, reference=[text], group=_digest(normal or text).hex(), split=None, source=source)


def without_repeated_titles(rows: Iterable[Row | Rejected]) -> Iterator[Row | Rejected]:
    """``rows`` with each one rejected whose title, case and punctuation aside, is that of an earlier row."""
    seen: set[bytes] = set()
    for row in rows:
        if isinstance(row, Row):
            title = str(row.fields["title"])
            key = _digest(normalize(title) or title)
            if key in seen:
                reason = "the title is that of an earlier product"
                yield Rejected(source=row.source, reason=reason, text=beginning(row.fields))
                continue
            seen.add(key)
        yield row


def _known(**values: str | list[str]) -> dict[str, str | list[str]]:
    return {name: value for name, value in values.items() if value}


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:12]

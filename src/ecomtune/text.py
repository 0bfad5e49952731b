"""What counts as the same text."""

from __future__ import annotations

import re


def normalize(text: str) -> str:
    """Lower-cased words of ``text``, apart by single spaces, without punctuation: equal for near copies."""
    return re.sub(r"[\W_]+", " ", text.lower()).strip()

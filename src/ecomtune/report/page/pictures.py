"""Pictures inside the page, so that it is one file: each with a title, and a text for readers who don't see it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: Media types by suffix.
TYPES: Final = {".png": "image/png", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Picture:
    """A picture's title, its file (of one of TYPES), and what it shows in words."""

    title: str
    file: Path
    text: str


def inline(pictures: Sequence[Picture]) -> list[dict[str, str]]:
    """The page's "pictures": title, text and source, a data URI of the file."""
    return [{"title": each.title, "text": each.text, "source": _data_uri(each.file)} for each in pictures]


def _data_uri(file: Path) -> str:
    return f"data:{TYPES[file.suffix]};base64,{base64.b64encode(file.read_bytes()).decode()}"

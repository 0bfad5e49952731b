"""Pictures inside the page, so that it stays one file: each with its title, and its text for those who don't see it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: By suffix, what a picture is.
TYPES: Final = {".png": "image/png", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Picture:
    """A picture's title, its file (of one of TYPES), and in words what it shows."""

    title: str
    file: Path
    text: str


def inline(pictures: Sequence[Picture]) -> list[dict[str, str]]:
    """What the page's "pictures" are: title, text and source, a data URI that holds the file."""
    return [{"title": each.title, "text": each.text, "source": _data_uri(each.file)} for each in pictures]


def _data_uri(file: Path) -> str:
    return f"data:{TYPES[file.suffix]};base64,{base64.b64encode(file.read_bytes()).decode()}"

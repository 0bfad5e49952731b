"""Texts of raw files: markup taken out, and what makes a text unfit."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Final

#: A longer text is a fault of the file rather than a title, a review or a description.
MAX_CHARACTERS: Final = 20_000
ELEMENTS: Final = (
    "a|abbr|article|b|big|blockquote|body|br|center|code|dd|div|dl|dt|em|font|form|h[1-6]|head|header|hr|html|i|iframe|img|"
    "input|li|link|meta|ol|p|pre|script|section|small|span|strike|strong|style|sub|sup|table|tbody|td|tfoot|th|thead|tr|tt|u|ul"
)
TAG: Final = re.compile(rf"</?(?:{ELEMENTS})(?:[\s/][^<>]*)?>|<!--[^<>]*-->", re.IGNORECASE)
_HIDDEN: Final = re.compile(r"<(script|style)\b[^<>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_ENTITY: Final = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z]\w{1,30});", re.IGNORECASE)


def plain(text: str) -> str:
    """``text`` in one line, without HTML and with its entities resolved; an over-long one is given back as it is."""
    if len(text) > MAX_CHARACTERS:
        return text
    if "<" in text or "&" in text:
        for _ in range(2):  # an entity may hide a tag
            text = TAG.sub(" ", _HIDDEN.sub(" ", text))
            text = _ENTITY.sub(lambda found: html.unescape(found[0]), text)
        text = TAG.sub(" ", text)
    return " ".join(text.split())


def plain_lines(text: str) -> list[str]:
    """The lines of ``text`` that hold something, each made plain."""
    return [line for part in re.split(r"\r\n|\r|\n", text) if (line := plain(part))]


def broken_encoding(text: str) -> bool:
    """Whether ``text`` can't be written as UTF-8: it holds half a character, as broken bytes leave it."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def text_fault(texts: Mapping[str, str | list[str]]) -> str | None:
    """Why one of the named texts can't be used, or None."""
    for name, value in texts.items():
        for text in (value,) if isinstance(value, str) else value:
            if len(text) > MAX_CHARACTERS:
                return f"{name} is over-long, more than {MAX_CHARACTERS} characters"
            if broken_encoding(text):
                return f"{name} holds broken UTF-8"
            if "<" in text and TAG.search(text):
                return f"HTML is left in {name}"
    return None

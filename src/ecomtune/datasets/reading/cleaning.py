"""Cleaning the texts of raw files: markup is removed, and a text that can't be used is recognized."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from html.entities import html5
from typing import Final

#: A longer text is a fault of the file rather than a title, a review or a description.
MAX_CHARACTERS: Final = 20_000
INLINE: Final = "a|abbr|b|big|code|em|font|i|s|small|span|strike|strong|sub|sup|tt|u"
BLOCKS: Final = (
    "article|blockquote|body|br|center|dd|div|dl|dt|form|h[1-6]|head|header|hr|html|iframe|img|input|li|link|meta|ol|p|pre|"
    "script|section|style|table|tbody|td|tfoot|th|thead|tr|ul"
)
TAG: Final = re.compile(rf"</?(?:(?P<inline>{INLINE})|{BLOCKS})(?:[\s/][^<>]*)?>|<!--[^<>]*-->", re.IGNORECASE)
_HIDDEN: Final = re.compile(r"<(script|style)\b[^<>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_ENTITY: Final = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z]\w{1,30});", re.IGNORECASE)


def plain(text: str) -> str:
    """``text`` in one line, without HTML and with its entities resolved; a text over MAX_CHARACTERS is returned unchanged."""
    if len(text) > MAX_CHARACTERS:
        return text
    if "<" in text or "&" in text:
        for _ in range(2):  # an entity may hide a tag
            text = _without_tags(_HIDDEN.sub(" ", text))
            text = _ENTITY.sub(_resolved, text)
        text = _without_tags(text)
    return " ".join(text.split())


def _without_tags(text: str) -> str:
    """``text`` without tags, where words on either side of a block or a line break stay separate."""
    return TAG.sub(lambda tag: "" if tag["inline"] else " ", text)


def _resolved(entity: re.Match[str]) -> str:
    """The characters of an entity, or the entity itself where HTML has none of that name."""
    return html.unescape(entity[0]) if entity[0].startswith("&#") else html5.get(entity[0][1:], entity[0])


def plain_lines(text: str) -> list[str]:
    """The non-empty lines of ``text``, each cleaned by :func:`plain`."""
    return [line for part in re.split(r"\r\n|\r|\n", text) if (line := plain(part))]


def broken_encoding(text: str) -> bool:
    """Whether ``text`` can't be written as UTF-8, because it holds a lone surrogate, as decoding broken bytes leaves it."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def text_fault(texts: Mapping[str, str | list[str]]) -> str | None:
    """The reason why one of the named texts can't be used, or None."""
    for name, value in texts.items():
        for text in (value,) if isinstance(value, str) else value:
            if len(text) > MAX_CHARACTERS:
                return f"{name} is over-long, more than {MAX_CHARACTERS} characters"
            if broken_encoding(text):
                return f"{name} holds broken UTF-8"
            if "<" in text and TAG.search(text):
                return f"HTML is left in {name}"
    return None

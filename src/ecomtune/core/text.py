"""What counts as the same text, and as a whole one."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache

_BETWEEN_WORDS = re.compile(r"[\W_]+")
_BETWEEN_ASCII_WORDS = {code: " " for code in range(128) if not chr(code).isalnum()}
#: Unicode's full-width letters and digits and half-width kana, in which Japanese shops write what others write plainly.
_WIDTH_FORMS = re.compile("[\uff01-\uffee]+")


@lru_cache(maxsize=2048)  # one text is looked at several times in a row's life, a query in many rows
def normalize(text: str) -> str:
    """Lower-cased words of ``text``, apart by single spaces, without punctuation: equal for near copies.

    In Unicode NFC, widths folded: all of NFKC would make the word acmetm of Acme™, and 51/2 of 5½.
    """
    if not text.isascii():
        folded = _WIDTH_FORMS.sub(lambda forms: unicodedata.normalize("NFKC", forms[0]), text)
        text = unicodedata.normalize("NFC", folded)
    lowered = text.lower()
    if lowered.isascii():  # the same, in a quarter of the time
        return " ".join(lowered.translate(_BETWEEN_ASCII_WORDS).split())
    if _marks().isdisjoint(lowered):  # mostly, and far faster than gathering words each time
        return _BETWEEN_WORDS.sub(" ", lowered).strip()
    return " ".join(_words().findall(lowered))


@cache
def _marks() -> frozenset[str]:
    """The marks on letters, such as the vowel signs of Hindi, Thai and Arabic, which Python counts as no part of a word.

    Those that choose how a sign is drawn are none of them.
    """
    found = {chr(code) for code in range(0x300, 0x1F000) if unicodedata.category(chr(code)) in ("Mn", "Mc")}
    return frozenset(found - {chr(code) for code in range(0xFE00, 0xFE10)})


@cache
def _words() -> re.Pattern[str]:
    """A word with its marks."""
    return re.compile(rf"[^\W_](?:[^\W_]|[{''.join(sorted(_marks()))}])*")


def replace_surrogates(text: str) -> str:
    """``text`` with a question mark for each half of a character (a lone surrogate), which no UTF-8 can say."""
    return text.encode(errors="replace").decode()

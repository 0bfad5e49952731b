"""Normalization, by which two texts count as the same, and repair of lone surrogates."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache

_BETWEEN_WORDS = re.compile(r"[\W_]+")
_BETWEEN_ASCII_WORDS = {code: " " for code in range(128) if not chr(code).isalnum()}
#: Full-width letters and digits and half-width kana, which Japanese shops use in place of the ordinary forms.
_WIDTH_FORMS = re.compile("[\uff01-\uffee]+")


@lru_cache(maxsize=2048)  # each text is normalized several times, and a query occurs in many rows
def normalize(text: str) -> str:
    """Lower-cased words of ``text``, separated by single spaces, without punctuation: the same for near-duplicates.

    In Unicode NFC with folded widths. Full NFKC would turn Acme™ into acmetm and 5½ into 51/2.
    """
    if not text.isascii():
        folded = _WIDTH_FORMS.sub(lambda forms: unicodedata.normalize("NFKC", forms[0]), text)
        text = unicodedata.normalize("NFC", folded)
    lowered = text.lower()
    if lowered.isascii():  # the same result in a quarter of the time
        return " ".join(lowered.translate(_BETWEEN_ASCII_WORDS).split())
    if _marks().isdisjoint(lowered):  # the usual case, and far faster than matching words
        return _BETWEEN_WORDS.sub(" ", lowered).strip()
    return " ".join(_words().findall(lowered))


#: Letters of scripts that put no blanks between words: Thai to Myanmar, Khmer, kana and Han.
_WITHOUT_BLANKS = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


def words_of(text: str) -> list[str]:
    """The normalized words of a text; where its script puts no blanks between words, each character is one."""
    words = normalize(text).split()
    if text.isascii() or not _WITHOUT_BLANKS.search(text):
        return words
    return [piece for word in words for piece in _WITHOUT_BLANKS.sub(r" \g<0> ", word).split()]


@cache
def _marks() -> frozenset[str]:
    """Marks on letters, such as the vowel signs of Hindi, Thai and Arabic, which ``\\w`` does not match.

    Variation selectors, which only choose between glyphs, are left out.
    """
    found = {chr(code) for code in range(0x300, 0x1F000) if unicodedata.category(chr(code)) in ("Mn", "Mc")}
    return frozenset(found - {chr(code) for code in range(0xFE00, 0xFE10)})


@cache
def _words() -> re.Pattern[str]:
    """A pattern of one word with its marks."""
    return re.compile(rf"[^\W_](?:[^\W_]|[{''.join(sorted(_marks()))}])*")


def replace_surrogates(text: str) -> str:
    """``text`` with a question mark in place of each lone surrogate (half a character), which UTF-8 can't encode."""
    return text.encode(errors="replace").decode()

"""Texts lose their markup and nothing else, and a text that can't be used has a reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecomtune.datasets.reading.cleaning import MAX_CHARACTERS, TAG, plain, plain_lines, text_fault

MARKUP = st.sampled_from(
    ["<b>", "</b>", "<br/>", "<p class='x'>", "&amp;", "&lt;", "&gt;", "li>", "<", "&", "&#60;", "a", " ", "\n"]
)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("<p>Soft &amp; warm.</p><ul><li>red</li><li>blue</li></ul>", "Soft & warm. red blue"),
        ("one<br/>two<BR>three", "one two three"),
        ("the 1<sup>st</sup> <b>red</b> mug<i>!</i>", "the 1st red mug!"),
        ("&lt;li&gt;hidden&lt;/li&gt; tag", "hidden tag"),
        ("&amp;lt;b&amp;gt;twice hidden&amp;lt;/b&amp;gt; tag", "twice hidden tag"),
        ("<style>p {color: red}</style>mug<script>let a = '<b>';</script>", "mug"),
        ("<!-- note -->cup", "cup"),
        ("12&quot; &ldquo;wide&rdquo;&nbsp;&#38;&#x26; deep", '12" “wide” && deep'),
        ("  two \t lines\r\nare one ", "two lines are one"),
        ("", ""),
    ],
)
def test_markup_is_removed_and_entities_are_resolved(raw: str, expected: str) -> None:
    assert plain(raw) == expected


@pytest.mark.parametrize(
    "text", ["3 < 5 > 2", "A&M R&B &c", "I <3 tea", "under <20 and >10", "<unknown> word", "&nothing; here"]
)
def test_characters_that_are_not_markup_stay(text: str) -> None:
    assert plain(text) == text


@given(st.lists(MARKUP, max_size=40).map("".join))
def test_a_cleaned_text_with_a_tag_is_rejected(raw: str) -> None:
    text = plain(raw)
    assert text == " ".join(text.split())
    assert bool(TAG.search(text)) == (text_fault({"title": text}) == "HTML is left in title")


@given(st.text(alphabet=st.characters(exclude_characters="<&", exclude_categories=["Cs"])))
def test_a_text_without_markup_keeps_its_words(text: str) -> None:
    assert plain(text).split() == text.split()


def test_lines_are_cleaned_one_by_one_and_empty_ones_left_out() -> None:
    assert plain_lines("<b>warm</b>\r\n\n  \nred  mug\r<br>") == ["warm", "red mug"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x" * (MAX_CHARACTERS + 1), "title is over-long, more than 20000 characters"),
        ("half \ud83d a sign", "title holds broken UTF-8"),
        ("red <b>mug</b>", "HTML is left in title"),
        ("x" * MAX_CHARACTERS, None),
        ("größe \U0001f600 3 < 5", None),
    ],
)
def test_a_text_that_cannot_be_used_is_named(text: str, reason: str | None) -> None:
    assert text_fault({"query": "mug", "title": text}) == reason
    assert text_fault({"title": ["mug", text]}) == reason


def test_an_over_long_text_is_not_searched_for_markup() -> None:
    text = "<script" * MAX_CHARACTERS
    assert plain(text) is text

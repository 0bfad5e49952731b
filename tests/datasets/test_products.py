"""From one raw record to a row: the labels, the study's filters of descriptions, the groups."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecomtune.core.records import Rejected, Row
from ecomtune.datasets.reading.products import (
    RawJudgement,
    RawProduct,
    description_row,
    judgement_row,
    query_group,
    reject_repeated_titles,
)
from tests.support.readers import reasons, screened

PRODUCT: dict[str, str | None] = {
    "title": "Acme Mug",
    "description": "<p>A mug that keeps tea hot.</p>",
    "bullets": "holds 12 oz\nred &amp; round",
    "brand": "Acme",
    "color": None,
}


def product(**changes: Any) -> Row | Rejected:
    return description_row("esci:products:1", RawProduct(**{**PRODUCT, **changes}))


def test_a_description_row_has_its_inputs_without_markup_and_a_list_of_bullets() -> None:
    row = product()
    assert isinstance(row, Row)
    assert row.fields == {"title": "Acme Mug", "bullets": ["holds 12 oz", "red & round"], "brand": "Acme"}
    assert (row.reference, row.split, row.source) == (["A mug that keeps tea hot."], None, "esci:products:1")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"title": None}, "the title is missing or empty"),
        ({"title": " <br> "}, "the title is missing or empty"),
        ({"description": None}, "the description is missing or empty"),
        ({"description": "<p></p>"}, "the description is missing or empty"),
        ({"bullets": None}, "the bullets are missing or empty"),
        ({"bullets": "\n \n"}, "the bullets are missing or empty"),
        ({"description": "ACME mug!"}, "the description is the title"),
        ({"description": "Holds 12 oz. Red & round."}, "the description is the bullets"),
        ({"description": "Nice thing"}, "the description is not longer than the title"),
        ({"description": "word " * 5000}, "description is over-long, more than 20000 characters"),
        ({"description": "a &amp;lt;b&amp;gt; left by three rounds of escaping"}, None),
        ({"bullets": "half \ud83d"}, "bullets holds broken UTF-8"),
        ({"description": "tell \ud83d of a mug"}, "description holds broken UTF-8"),
    ],
)
def test_a_product_that_fails_a_filter_has_its_reason(changes: dict[str, str | None], reason: str | None) -> None:
    row = product(**changes)
    assert (row.reason if isinstance(row, Rejected) else None) == reason


def test_products_with_the_same_description_are_one_group() -> None:
    first, copy, other = (
        product(),
        product(title="Mug", description="a MUG that keeps tea hot"),
        product(description="One more mug."),
    )
    assert isinstance(first, Row) and isinstance(copy, Row) and isinstance(other, Row)
    assert first.group == copy.group != other.group


def test_a_repeated_title_is_rejected_where_the_earlier_product_was_accepted() -> None:
    titles = [("1", "Mug", None), ("2", "Mug", "a hot red mug"), ("3", "MUG!", "a cold red mug"), ("4", "Cup", "a red cup")]
    products = [(number, RawProduct(title, text, "red", None, None)) for number, title, text in titles]
    found = list(reject_repeated_titles(description_row(number, product) for number, product in products))
    assert reasons(found) == {"1": "the description is missing or empty", "3": "the title is that of an earlier product"}
    assert len(found) == 4


def test_a_judgement_row_has_the_label_as_a_word_and_no_empty_inputs() -> None:
    row = judgement_row("esci:1", RawJudgement("red  mug", "Acme Mug &amp; Lid", None, "", "S"), "test")
    assert row == Row(
        fields={"query": "red mug", "title": "Acme Mug & Lid"},
        reference="Substitute",
        group="red mug",
        split="test",
        source="esci:1",
    )


@pytest.mark.parametrize("label", [None, "", "e", "Exact", "X", "ES"])
def test_a_label_that_is_not_one_of_the_four_letters_is_rejected(label: str | None) -> None:
    row = judgement_row("esci:1", RawJudgement("mug", "Mug", None, None, label), None)
    text = json.dumps({"query": "mug", "title": "Mug", "label": label})
    assert row == Rejected(source="esci:1", reason="the label is not one of E, S, C, I", text=text)


def test_near_copies_of_a_query_share_a_group_and_a_query_of_punctuation_is_its_own() -> None:
    assert [query_group(query) for query in ("Red-Mug!", " red  mug", "&", "")] == ["red mug", "red mug", "&", ""]


TEXT = st.none() | st.text(max_size=30) | st.sampled_from(["<b>x</b>", "&lt;p&gt;", "a b c d", "A, b c d", "\ud800", "a\nb"])


@given(st.tuples(TEXT, TEXT, TEXT, TEXT, TEXT))
def test_any_record_of_a_product_becomes_an_example_or_a_reason(texts: tuple[str | None, ...]) -> None:
    good, bad = screened("description", [description_row("1", RawProduct(*texts))])
    assert len(good) + bad.total() == 1


@given(st.tuples(TEXT, TEXT, TEXT, TEXT, st.sampled_from("ESCIX") | st.none()))
def test_any_record_of_a_judgement_becomes_an_example_or_a_reason(texts: tuple[str | None, ...]) -> None:
    good, bad = screened("relevance", [judgement_row("1", RawJudgement(*texts), None)])
    assert len(good) + bad.total() == 1

"""The small part of ESCI: ratings become labels, products are read out of the zip, and nothing is lost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecomtune.datasets import esci_small
from ecomtune.messages.errors import UserError
from tests.support.readers import accepted, check_no_leak, mirrored, reasons, refusal, rows_of, screened
from tests.support.sample_data import ESCI_SMALL_PRODUCTS, ESCI_SMALL_RATINGS, write_esci_small


def test_each_rating_is_a_label_and_there_is_no_official_split(tmp_path: Path) -> None:
    found = accepted(rows_of("esci_small", write_esci_small(tmp_path), "relevance"))
    assert [(row.fields["query"], row.fields["title"], row.reference, row.split) for row in found] == [
        ("mug", "Acme Mug", "Exact", None),
        ("mug", "Tea", "Substitute", None),
        ("tea", "Acme Mug", "Complement", None),
        ("tea", "Tea", "Irrelevant", None),
    ]
    assert [row.group for row in found] == ["mug", "mug", "tea", "tea"]
    assert found[1].source == f"esci_small:{esci_small.JUDGEMENTS}:2"


def test_a_description_names_the_line_of_its_product(tmp_path: Path) -> None:
    found = rows_of("esci_small", write_esci_small(tmp_path), "description")
    (row,) = accepted(found)
    assert row.fields == {"title": "Acme Mug", "bullets": ["12 oz", "red"], "brand": "Acme"}
    assert (row.reference, row.source) == (["A mug for tea"], f"esci_small:{esci_small.PRODUCTS}:2")
    assert reasons(found) == {f"esci_small:{esci_small.PRODUCTS}:4": "the description is missing or empty"}


@pytest.mark.parametrize("rating", ["50.000", "", "E", None, [1], "nan"])
def test_a_rating_that_is_not_one_of_the_four_is_rejected(tmp_path: Path, rating: object) -> None:
    found = rows_of("esci_small", write_esci_small(tmp_path, [("mug", "A1", rating)]), "relevance")
    assert list(reasons(found).values()) == ["the label is not one of E, S, C, I"]


def test_a_judgement_of_an_unknown_product_and_a_repeated_one_are_rejected(tmp_path: Path) -> None:
    ratings = [("mug", "A9", "1.000"), ("mug", "A1", "1.000"), ("mug", "A1", "10.000"), ("mug", None, "1.000")]
    missing, again = "its product is not among the products", "its query and product are those of an earlier row"
    found = rows_of("esci_small", write_esci_small(tmp_path, ratings), "relevance")
    assert list(reasons(found).values()) == [missing, again, missing]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"asin": "A3", "title": "gr\xf6\xdfe"}', "broken UTF-8"),
        (b'{"asin": "A3", "title": ', "invalid JSON"),
        (b'["A3"]', "not a JSON object"),
        (b"", "invalid JSON"),
        (b"[" * 100_000, "invalid JSON"),
        ({"asin": None, "title": "Cup"}, "its asin is not text"),
        ({"asin": "A3", "title": 3}, "its title is not text"),
        ({"asin": "A1", "title": "Cup"}, "its asin is that of an earlier product"),
        ({"asin": "A3", "title": "half \ud83d", "description": "d", "bullet_points": "b"}, "title holds broken UTF-8"),
    ],
)
def test_a_broken_product_line_is_rejected_alone(tmp_path: Path, line: Any, reason: str) -> None:
    found = rows_of("esci_small", write_esci_small(tmp_path, lines=[ESCI_SMALL_PRODUCTS[0], line]), "description")
    assert (len(accepted(found)), list(reasons(found).values())) == (1, [reason])


def test_a_zip_with_a_broken_byte_is_named(tmp_path: Path) -> None:
    path = (
        write_esci_small(tmp_path, lines=[{**ESCI_SMALL_PRODUCTS[0], "asin": f"A{number}"} for number in range(500)])
        / esci_small.PRODUCTS
    )
    content = bytearray(path.read_bytes())
    content[200] ^= 255
    path.write_bytes(content)
    assert refusal("esci_small", tmp_path, "description").startswith(f"{path} is broken or cut off (")


@given(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4))
def test_damage_anywhere_in_a_zip_rejects_rows_or_stops_with_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, place: float, damage: bytes
) -> None:
    path = write_esci_small(tmp_path_factory.mktemp("small")) / esci_small.PRODUCTS
    content = bytearray(path.read_bytes())
    start = int(place * len(content))
    content[start : start + len(damage)] = damage
    path.write_bytes(content)
    try:
        assert len(rows_of("esci_small", path.parent, "relevance")) == len(ESCI_SMALL_RATINGS)
    except UserError as error:
        assert str(error).startswith(str(path))


def test_a_zip_that_unpacks_to_far_more_than_itself_is_refused(tmp_path: Path) -> None:
    path = write_esci_small(tmp_path, lines=[b" " * (2**24 + 1)]) / esci_small.PRODUCTS
    for task in ("relevance", "description"):
        told = refusal("esci_small", tmp_path, task)
        assert told.startswith(f"{path} would unpack ") and told.endswith("it looks like a zip bomb, so don't use it")


def test_products_with_other_columns_are_named(tmp_path: Path) -> None:
    path = write_esci_small(tmp_path, lines=[{"asin": "A1", "name": "Mug"}]) / esci_small.PRODUCTS
    assert refusal("esci_small", tmp_path, "description").startswith(f"{path} has no column 'title'; its columns are ")


@pytest.mark.parametrize(
    "content", [b"[]", b"{}", b'{"judgmentRatings": [{"query": 3, "ratings": [{}]}]}', b'{"judgmentRatings": 1}']
)
def test_judgements_of_another_shape_are_named(tmp_path: Path, content: bytes) -> None:
    path = write_esci_small(tmp_path) / esci_small.JUDGEMENTS
    path.write_bytes(content)
    assert refusal("esci_small", tmp_path, "relevance").startswith(f"{path}")


def test_a_zip_without_products_is_named(tmp_path: Path) -> None:
    path = write_esci_small(tmp_path, lines=[]) / esci_small.PRODUCTS
    assert refusal("esci_small", tmp_path, "description").startswith(f"{path} holds no products; ")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mirrored("esci-small", tmp_path_factory.mktemp("esci_small"))


@pytest.mark.mirror
def test_every_real_judgement_becomes_an_example_with_the_labels_on_the_card(real: Path) -> None:
    good, bad = screened("relevance", rows_of("esci_small", real, "relevance"))
    assert bad == {}
    assert Counter(row.reference for row in good) == {"Exact": 3389, "Substitute": 1898, "Irrelevant": 1086, "Complement": 305}
    assert len({row.group for row in good}) == 150


@pytest.mark.mirror
def test_every_real_product_becomes_an_example_or_is_rejected_as_on_the_card(real: Path) -> None:
    good, bad = screened("description", rows_of("esci_small", real, "description"))
    assert len(good) == 2842
    assert bad == {
        "the description is missing or empty": 3388,
        "the description is not longer than the title": 278,
        "the bullets are missing or empty": 159,
        "the description is the title": 52,
        "the description is the bullets": 33,
        "the title is that of an earlier product": 12,
    }


@pytest.mark.mirror
@pytest.mark.parametrize("task", ["relevance", "description"])
def test_no_real_input_or_group_is_shared_by_drawn_splits(real: Path, task: str) -> None:
    good, _ = screened(task, rows_of("esci_small", real, task))
    for seed in range(5):
        check_no_leak(task, good, seed)

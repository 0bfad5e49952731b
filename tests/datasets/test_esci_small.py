"""The small part of ESCI: ratings become labels, products are read out of the zip, and nothing is lost."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecomtune.datasets import esci_small
from ecomtune.messages.errors import UserError
from tests.support.readers import SPOILT, accepted, check_no_leak, mirrored, reasons, refusal, rows_of, screened, spoil

RATINGS: list[Any] = [("mug", "A1", "100.000"), ("mug", "A2", "10.000"), ("tea", "A1", "1.000"), ("tea", "A2", "0.000")]
PRODUCTS: list[dict[str, Any]] = [
    {"asin": "A1", "title": "Acme Mug", "description": "A <b>mug</b> for tea", "bullet_points": "12 oz\nred", "brand": "Acme"},
    {"asin": "A2", "title": "Tea", "description": "", "bullet_points": "", "brand": None, "color": "green"},
]


def write(folder: Path, ratings: list[Any] = RATINGS, lines: list[Any] | None = None) -> Path:
    """The two files; ``lines`` are products, or bytes that stand as they are."""
    queries = [{"query": query, "ratings": [{"docId": product, "rating": rating}]} for query, product, rating in ratings]
    (folder / esci_small.JUDGEMENTS).write_text(json.dumps({"name": "small", "judgmentRatings": queries}))
    text = b""
    for line in PRODUCTS if lines is None else lines:
        named = {"color": None, **line} if isinstance(line, dict) else line
        text += b'{"index": {"_id": "any"}}\n' + (json.dumps(named).encode() if isinstance(named, dict) else named) + b"\n"
    with zipfile.ZipFile(folder / esci_small.PRODUCTS, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("products.ndjson", text)
    return folder


def test_each_rating_is_a_label_and_no_split_is_given(tmp_path: Path) -> None:
    found = accepted(rows_of("esci_small", write(tmp_path), "relevance"))
    assert [(row.fields["query"], row.fields["title"], row.reference, row.split) for row in found] == [
        ("mug", "Acme Mug", "Exact", None),
        ("mug", "Tea", "Substitute", None),
        ("tea", "Acme Mug", "Complement", None),
        ("tea", "Tea", "Irrelevant", None),
    ]
    assert [row.group for row in found] == ["mug", "mug", "tea", "tea"]
    assert found[1].source == f"esci_small:{esci_small.JUDGEMENTS}:2"


def test_a_product_is_described_with_the_line_that_it_stands_on(tmp_path: Path) -> None:
    found = rows_of("esci_small", write(tmp_path), "description")
    (row,) = accepted(found)
    assert row.fields == {"title": "Acme Mug", "bullets": ["12 oz", "red"], "brand": "Acme"}
    assert (row.reference, row.source) == (["A mug for tea"], f"esci_small:{esci_small.PRODUCTS}:2")
    assert reasons(found) == {f"esci_small:{esci_small.PRODUCTS}:4": "the description is missing or empty"}


@pytest.mark.parametrize("rating", ["50.000", "", "E", None, [1], "nan"])
def test_a_rating_that_is_none_of_the_four_is_rejected(tmp_path: Path, rating: object) -> None:
    found = rows_of("esci_small", write(tmp_path, [("mug", "A1", rating)]), "relevance")
    assert list(reasons(found).values()) == ["the label is not one of E, S, C, I"]


def test_a_judgement_of_no_product_and_one_that_stands_twice_are_rejected(tmp_path: Path) -> None:
    ratings = [("mug", "A9", "1.000"), ("mug", "A1", "1.000"), ("mug", "A1", "10.000"), ("mug", None, "1.000")]
    missing, again = "its product is not among the products", "its query and product are those of an earlier row"
    found = rows_of("esci_small", write(tmp_path, ratings), "relevance")
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
    found = rows_of("esci_small", write(tmp_path, lines=[PRODUCTS[0], line]), "description")
    assert (len(accepted(found)), list(reasons(found).values())) == (1, [reason])


@pytest.mark.parametrize("how", [*SPOILT, "cut"])
@pytest.mark.parametrize("name", [esci_small.JUDGEMENTS, esci_small.PRODUCTS])
def test_a_spoilt_file_is_named(tmp_path: Path, name: str, how: str) -> None:
    spoil(write(tmp_path) / name, how)
    assert refusal("esci_small", tmp_path, "relevance").startswith(f"{tmp_path / name} ")


def test_a_zip_with_a_broken_byte_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, lines=[{**PRODUCTS[0], "asin": f"A{number}"} for number in range(500)]) / esci_small.PRODUCTS
    content = bytearray(path.read_bytes())
    content[200] ^= 255
    path.write_bytes(content)
    assert refusal("esci_small", tmp_path, "description").startswith(f"{path} is broken or cut off (")


@given(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4))
def test_damage_anywhere_in_a_zip_rejects_rows_or_is_told(
    tmp_path_factory: pytest.TempPathFactory, place: float, damage: bytes
) -> None:
    path = write(tmp_path_factory.mktemp("small")) / esci_small.PRODUCTS
    content = bytearray(path.read_bytes())
    start = int(place * len(content))
    content[start : start + len(damage)] = damage
    path.write_bytes(content)
    try:
        assert len(rows_of("esci_small", path.parent, "relevance")) == len(RATINGS)
    except UserError as error:
        assert str(error).startswith(str(path))


def test_a_zip_that_unpacks_to_far_more_than_itself_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, lines=[b" " * (2**24 + 1)]) / esci_small.PRODUCTS
    for task in esci_small.TASKS:
        told = refusal("esci_small", tmp_path, task)
        assert told.startswith(f"{path} would unpack ") and told.endswith("it is made to fill the disk, so don't use it")


def test_products_with_other_columns_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, lines=[{"asin": "A1", "name": "Mug"}]) / esci_small.PRODUCTS
    assert refusal("esci_small", tmp_path, "description").startswith(f"{path} has no column 'title'; its columns are ")


@pytest.mark.parametrize(
    "content", [b"[]", b"{}", b'{"judgmentRatings": [{"query": 3, "ratings": [{}]}]}', b'{"judgmentRatings": 1}']
)
def test_judgements_of_another_shape_are_named(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path) / esci_small.JUDGEMENTS
    path.write_bytes(content)
    assert refusal("esci_small", tmp_path, "relevance").startswith(f"{path}")


def test_a_zip_without_products_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, lines=[]) / esci_small.PRODUCTS
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

"""AmaSum's products: the most helpful reviews by a fixed order, three parts to summarize, files read in place."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ecomtune.core.config import Dataset
from ecomtune.core.records import Rejected
from ecomtune.datasets import amasum
from tests.support.readers import accepted, mirrored, reasons, refusal, rows_of, screened
from tests.support.sample_data import AMASUM_REVIEWS, SUMMARY, amasum_product, amasum_review

TASK = "summarization"


def write(folder: Path, **files: bytes) -> Path:
    for name, content in (files or {"B1": amasum_product()}).items():
        path = folder / f"{name.replace('__', '/')}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("part", "reviews", "reference"),
    [
        ("verdict", ["warm", "fine", "big", "torn"], "A warm coat."),
        ("pros", ["warm", "big", "soft"], "Warm\nSoft & light"),
        ("cons", ["torn", "loud"], "Tears"),
    ],
)
def test_each_part_is_summarized_from_the_most_helpful_reviews_that_fit_it(
    tmp_path: Path, part: str, reviews: list[str], reference: str
) -> None:
    (row,) = accepted(rows_of("amasum", write(tmp_path), TASK, part=part))
    assert (row.fields["reviews"], row.reference) == (reviews, [reference])
    assert (row.group, row.split, row.source) == ("B1", None, "amasum:B1.json:1")


def test_the_verdict_is_the_default(tmp_path: Path) -> None:
    assert accepted(rows_of("amasum", write(tmp_path), TASK))[0].reference == ["A warm coat."]


def test_an_unknown_part_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValidationError, match="Input should be 'verdict', 'pros' or 'cons'"):
        Dataset.model_validate({"reader": "amasum", "part": "summary"})


def test_a_rejected_product_has_an_excerpt_of_its_file(tmp_path: Path) -> None:
    found = rows_of("amasum", write(tmp_path, B1=b'{"website_summaries": 1}', B2=b"<html>"), TASK)
    assert [row.text for row in found if isinstance(row, Rejected)] == ['{"website_summaries": 1}', "<html>"]


@given(st.permutations(range(12)), st.sampled_from(amasum.PARTS))
def test_the_order_of_reviews_changes_nothing(order: list[int], part: str) -> None:
    draw = random.Random(3)
    reviews = [amasum_review(f"text {number}", draw.choice([0, 0, 1, 5]), draw.choice([1.0, 3.0, 5.0])) for number in range(12)]
    assert amasum.most_helpful([reviews[number] for number in order], part) == amasum.most_helpful(reviews, part)


def test_several_summaries_of_a_product_are_references_and_the_first_is_the_target(tmp_path: Path) -> None:
    others = [{"verdict": ""}, {"verdict": None}, {"pros": ["x"]}, {"verdict": "Second."}]
    (row,) = accepted(rows_of("amasum", write(tmp_path, B1=amasum_product(AMASUM_REVIEWS, *others, SUMMARY)), TASK))
    assert row.reference == ["Second.", "A warm coat."]


@pytest.mark.parametrize(
    "strange", [amasum_review(None, 9), amasum_review("  ", 9), amasum_review("<br>", 9), {"helpful_votes": 9, "rating": 1.0}]
)
def test_a_review_without_a_text_is_left_out(tmp_path: Path, strange: dict[str, Any]) -> None:
    (row,) = accepted(rows_of("amasum", write(tmp_path, B1=amasum_product([strange, *AMASUM_REVIEWS])), TASK))
    assert row.fields["reviews"] == ["warm", "fine", "big", "torn"]


@pytest.mark.parametrize("strange", [None, "", "9", [], float("nan"), float("inf"), 10**400])
def test_votes_or_a_rating_that_is_not_a_number_counts_as_missing(strange: Any) -> None:
    reviews = [amasum_review("soft", 1), amasum_review("plain", strange, strange)]
    assert amasum.most_helpful(reviews, "verdict") == ["soft", "plain"]
    assert amasum.most_helpful(reviews, "pros") == ["soft"]
    assert amasum.most_helpful(reviews, "cons") == []


def test_a_folder_determines_the_split(tmp_path: Path) -> None:
    names = ["raw__train__B1", "raw__valid__B2", "raw__val__B3", "raw__test__B4", "B5"]
    found = accepted(rows_of("amasum", write(tmp_path, **dict.fromkeys(names, amasum_product())), TASK))
    assert {row.group: row.split for row in found} == {
        "B1": "train",
        "B2": "validation",
        "B3": "validation",
        "B4": "test",
        "B5": None,
    }


def test_a_zip_is_read_in_place_like_the_folder_that_it_holds(tmp_path: Path) -> None:
    files = {
        "train/B1.json": amasum_product(),
        "test/B2.json": amasum_product(),
        "__MACOSX/train/._B1.json": b"\0",
        "README.txt": b"any",
    }
    with zipfile.ZipFile(tmp_path / "raw.zip", "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    found = accepted(rows_of("amasum", tmp_path, TASK))
    assert [(row.group, row.split, row.source) for row in found] == [
        ("B2", "test", "amasum:raw.zip/test/B2.json:1"),
        ("B1", "train", "amasum:raw.zip/train/B1.json:1"),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["raw.zip"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "invalid JSON"),
        (b"<html></html>", "invalid JSON"),
        (amasum_product()[:-20], "invalid JSON"),
        (b'"text"', "not a JSON object"),
        (amasum_product().replace(b"soft", b"gr\xf6\xdfe"), "broken UTF-8"),
        (b"{}", "website_summaries or customer_reviews is not a list of objects"),
        (amasum_product("reviews"), "website_summaries or customer_reviews is not a list of objects"),
        (amasum_product(["review"]), "website_summaries or customer_reviews is not a list of objects"),
        (amasum_product([]), "no review fits verdict"),
        (amasum_product(AMASUM_REVIEWS, {"verdict": " "}), "verdict is missing or empty"),
        (amasum_product([amasum_review("word " * 5000)]), "reviews is over-long, more than 20000 characters"),
        (amasum_product([amasum_review("half \ud83d")]), "reviews holds broken UTF-8"),
        (amasum_product(AMASUM_REVIEWS, {"verdict": "half \ud83d"}), "verdict holds broken UTF-8"),
    ],
)
def test_a_broken_product_is_rejected_alone(tmp_path: Path, content: bytes, reason: str) -> None:
    found = rows_of("amasum", write(tmp_path, B1=amasum_product(), B2=content, B3=amasum_product()), TASK)
    assert reasons(found) == {"amasum:B2.json:1": reason}
    assert len(accepted(found)) == 2


def test_the_second_file_of_a_product_is_rejected(tmp_path: Path) -> None:
    found = rows_of("amasum", write(tmp_path, a__B1=amasum_product(), b__B1=amasum_product()), TASK)
    assert reasons(found) == {"amasum:b/B1.json:1": "its product is that of an earlier file"}


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=["deflate", "bzip2", "lzma"]
)
def test_a_zip_with_a_damaged_member_is_named(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "raw.zip", "w", compression=method) as opened:
        opened.writestr("B1.json", amasum_product() * 50)
        start = opened.infolist()[0].header_offset
    content = bytearray((tmp_path / "raw.zip").read_bytes())
    for place in range(start + 55, start + 75):
        content[place] ^= 0xFF
    (tmp_path / "raw.zip").write_bytes(content)
    assert refusal("amasum", tmp_path, TASK).startswith(f"{tmp_path / 'raw.zip'} is broken or cut off (")


@pytest.mark.parametrize("folder", [".", "nothing"])
def test_a_folder_without_products_is_named(tmp_path: Path, folder: str) -> None:
    sentence = f"{tmp_path / folder} holds no .json file, nor a .zip of them; name one under files of its data set"
    assert refusal("amasum", tmp_path / folder, TASK) == sentence


VALUE: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("<b>"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["text", "rating", "helpful_votes", *amasum.PARTS]), inner, max_size=5)
    ),
    max_leaves=12,
)


@given(VALUE, VALUE, st.sampled_from(amasum.PARTS))
def test_any_product_becomes_an_example_or_a_reason(summaries: Any, reviews: Any, part: str) -> None:
    value = {"website_summaries": summaries, "customer_reviews": reviews}
    good, bad = screened(TASK, [amasum.as_row(value, part, amasum.PurePosixPath("B1.json"), "1")])
    assert len(good) + bad.total() == 1


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mirrored("amasum-example", tmp_path_factory.mktemp("amasum"))


@pytest.mark.mirror
@pytest.mark.parametrize(
    ("part", "used", "rejected"),
    [("verdict", [4, 4, 4, 4, 4], {}), ("pros", [4, 4, 4, 4, 4], {}), ("cons", [4, 1, 4, 4], {"no review fits cons": 1})],
)
def test_every_real_product_becomes_an_example_or_is_rejected_as_on_the_card(
    real: Path, part: str, used: list[int], rejected: dict[str, int]
) -> None:
    good, bad = screened(TASK, rows_of("amasum", real, TASK, part=part))
    assert [len(row.fields["reviews"]) for row in good] == used
    assert bad == rejected

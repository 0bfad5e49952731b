"""ESCI's two parquet files become rows of task 2 and of descriptions, and no judgement or product is lost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecomtune.core.config import Dataset
from ecomtune.core.records import Rejected
from ecomtune.datasets import esci
from ecomtune.datasets.reading import parquet
from ecomtune.datasets.reading.products import RawJudgement
from tests.support.readers import accepted, check_no_leak, reasons, refusal, rows_of, screened
from tests.support.sample_data import ESCI_JUDGEMENTS, ESCI_PRODUCTS, write_esci
from tests.support.tasks import definition


def test_a_judgement_is_joined_with_the_product_of_its_locale(tmp_path: Path) -> None:
    rows = accepted(rows_of("esci", write_esci(tmp_path), "relevance"))
    assert [(row.fields, row.reference, row.source.split(":")[2]) for row in rows] == [
        ({"query": "red mug", "title": "Acme Mug", "brand": "Acme", "color": "red"}, "Exact", "1"),
        ({"query": "red mug", "title": "Tea"}, "Substitute", "2"),
        ({"query": "taza", "title": "Taza Acme", "brand": "Acme"}, "Complement", "3"),
        ({"query": "tea", "title": "Tea"}, "Irrelevant", "4"),
    ]
    assert rows[0].source == f"esci:{esci.EXAMPLES}:1"


def test_only_the_large_version_is_task_2(tmp_path: Path) -> None:
    assert len(rows_of("esci", write_esci(tmp_path), "relevance")) == 4


def test_only_the_named_locales_are_read_and_rows_keep_their_number_in_the_file(tmp_path: Path) -> None:
    found = accepted(rows_of("esci", write_esci(tmp_path), "relevance", locales=("es",)))
    assert [(row.fields["query"], row.source) for row in found] == [("taza", f"esci:{esci.EXAMPLES}:3")]
    described = accepted(rows_of("esci", tmp_path, "description", locales=("es",)))
    assert [(row.fields["title"], row.source) for row in described] == [("Taza Acme", f"esci:{esci.PRODUCTS}:3")]


@pytest.mark.parametrize("task", ["relevance", "description"])
def test_a_locale_without_rows_is_named_with_the_others(tmp_path: Path, task: str) -> None:
    assert "has no rows of locale 'uk', only of es, us;" in refusal("esci", write_esci(tmp_path), task, locales=("us", "uk"))


def test_test_is_the_official_split_and_validation_a_tenth_of_the_train_queries(tmp_path: Path) -> None:
    judgements = [(f"query {n // 2}", "B1", "us", "E", 1, "test" if n // 2 % 4 == 0 else "train") for n in range(4000)]
    rows = accepted(rows_of("esci", write_esci(tmp_path, judgements), "relevance"))
    splits = Counter(row.split for row in rows)
    assert splits["test"] == 1000 and splits.total() == 4000
    assert 0.08 < splits["validation"] / 3000 < 0.12
    assert len({(row.group, row.split) for row in rows}) == 2000, "a query is in one split"


def test_a_train_judgement_of_a_test_query_in_any_locale_is_rejected(tmp_path: Path) -> None:
    judgements = [*ESCI_JUDGEMENTS, ("TEA!", "B1", "us", "E", 1, "train"), ("Taza", "B1", "us", "E", 1, "train")]
    found = rows_of("esci", write_esci(tmp_path, judgements), "relevance")
    reason = "its query, or a near copy, is in the official test split"
    assert reasons(found) == {f"esci:{esci.EXAMPLES}:6": reason, f"esci:{esci.EXAMPLES}:7": reason}
    check_no_leak("relevance", accepted(found), 7)


def test_a_faulty_row_is_rejected_alone(tmp_path: Path) -> None:
    judgements = [
        ("mug", "B1", "us", "E", 1, "train"),
        ("mug", "B9", "us", "E", 1, "train"),
        ("mug", None, "us", "E", 1, "train"),
        ("mug", "B1", "us", "exact", 1, "train"),
        ("mug", "B1", "us", None, 1, "train"),
        ("mug", "B1", "us", "E", 1, "dev"),
        ("mug", "B1", "us", "E", 1, None),
        ("x" * 20_001, "B1", "us", "E", 1, "train"),
        ("mug", "B1", "us", "E", 1, "train"),
        (None, "B1", "us", "E", 1, "train"),
    ]
    found = rows_of("esci", write_esci(tmp_path, judgements, example_id=[*range(8), 0, 9]), "relevance")
    assert [row.reason if isinstance(row, Rejected) else None for row in found] == [
        None,
        "its product is not among the products",
        "its product is not among the products",
        "the label is not one of E, S, C, I",
        "the label is not one of E, S, C, I",
        "the split is neither train nor test",
        "the split is neither train nor test",
        "query is over-long, more than 20000 characters",
        "its example_id is that of an earlier row",
        None,
    ]
    assert screened("relevance", found)[1]["field query is missing or empty"] == 1


def test_a_product_that_is_listed_twice_yields_each_judgement_once(tmp_path: Path) -> None:
    found = rows_of("esci", write_esci(tmp_path, products=[*ESCI_PRODUCTS, *ESCI_PRODUCTS]), "relevance")
    assert [row.source for row in found] == [f"esci:{esci.EXAMPLES}:{number}" for number in (1, 2, 3, 4)]


def test_products_of_every_locale_become_descriptions_without_an_official_split(tmp_path: Path) -> None:
    found = rows_of("esci", write_esci(tmp_path), "description")
    assert [(row.reference, row.split) for row in accepted(found)] == [
        (["A mug for hot tea"], None),
        (["Una taza para té"], None),
    ]
    assert reasons(found) == {f"esci:{esci.PRODUCTS}:2": "the description is missing or empty"}


def test_rows_of_several_batches_come_in_the_order_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "BATCH_ROWS", 7)
    judgements = [(f"query {number % 13}", f"B{1 + number % 2}", "us", "E", 1, "train") for number in range(200)]
    found = rows_of("esci", write_esci(tmp_path, judgements), "relevance")
    assert [row.source for row in found] == [f"esci:{esci.EXAMPLES}:{number}" for number in range(1, 201)]


def test_parts_together_give_the_rows_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judgements = [(f"query {number % 5}", f"B{1 + number % 3}", "us", "E", 1, "train") for number in range(23)]
    whole = rows_of("esci", write_esci(tmp_path, judgements), "relevance")
    monkeypatch.setattr(esci, "PART_ROWS", 1)
    assert len(esci.parts(tmp_path, definition("relevance"), Dataset(reader="esci"))) == esci.PARTS
    assert rows_of("esci", tmp_path, "relevance") == whole


def test_a_missing_column_is_named_with_the_others(tmp_path: Path) -> None:
    path = write_esci(tmp_path) / esci.PRODUCTS
    pl.read_parquet(path).rename({"product_title": "title"}).write_parquet(path)
    shown = ", ".join(map(repr, pl.read_parquet_schema(path)))
    sentence = f"{path} has no column 'product_title'; its columns are {shown}; correct the name or the file"
    assert refusal("esci", tmp_path, "relevance") == refusal("esci", tmp_path, "description") == sentence


def test_an_empty_table_has_no_rows(tmp_path: Path) -> None:
    assert rows_of("esci", write_esci(tmp_path, judgements=[], products=[]), "relevance") == []


JUDGEMENT = st.tuples(
    st.sampled_from(["red mug", "Red mug!", "tea", "", "<b>", "&"]) | st.none(),
    st.sampled_from(["Mug", "", "<i>Mug</i>", "&amp;"]) | st.none(),
    st.sampled_from(["Acme", ""]) | st.none(),
    st.sampled_from(["red"]) | st.none(),
    st.sampled_from("ESCIX") | st.none(),
)


@given(JUDGEMENT, st.sampled_from(["train", "test", "dev"]) | st.none())
def test_any_judgement_becomes_an_example_or_a_reason(texts: tuple[Any, ...], split: str | None) -> None:
    good, bad = screened("relevance", [esci.as_row("1", RawJudgement(*texts), split, {"tea"})])
    assert len(good) + bad.total() == 1
    assert all((row.split, row.group) != ("train", "tea") for row in good)

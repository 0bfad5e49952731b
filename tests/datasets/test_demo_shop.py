"""The demo shop keeps what its data card promises."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from ecomtune.core.config import Dataset
from ecomtune.core.records import Row
from ecomtune.datasets import demo_shop
from ecomtune.datasets.demo import vocabulary
from ecomtune.datasets.demo.schema import Product
from ecomtune.datasets.demo.searches import searches
from ecomtune.messages.errors import UserError
from tests.support.tasks import STUDY, definition

SHOP = Dataset(reader="demo_shop")

SPLITS = ("train", "validation", "test")
SIZES = {
    "relevance": (660, 80, 120),
    "ner": (640, 90, 130),
    "summarization": (210, 40, 60),
    "description": (210, 40, 60),
}
FILES = ("judgements.jsonl", "products.jsonl", "queries.jsonl", "reviews.jsonl")
#: The types of the public QueryNER data set.
QUERYNER_TYPES = {
    *("core_product_type", "product_name", "product_number", "modifier", "creator", "condition", "UoM", "department"),
    *("material", "time", "content", "color", "shape", "quantity", "occasion", "origin", "price"),
}


@pytest.fixture(scope="module", params=[7, 2024])
def raw(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        demo_shop.generate(folder / "raw", request.param)
    return folder / "raw"


def load(raw: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (raw / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def task_rows(raw: Path, task: str) -> list[Row]:
    return list(demo_shop.rows(raw, definition(task), SHOP))


def normal(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def generate_in_process(folder: Path, seed: int, hash_seed: str) -> dict[str, bytes]:
    """The files' bytes, written by a new Python process, whose sets are ordered by ``hash_seed``."""
    folder.mkdir()
    code = f"from pathlib import Path; from ecomtune.datasets import demo_shop; demo_shop.generate(Path('raw'), {seed})"
    source = str(Path(demo_shop.__file__).parents[2])
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": source}
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, check=True)
    return {path.name: path.read_bytes() for path in sorted((folder / "raw").iterdir())}


def test_equal_seeds_give_equal_bytes_and_another_seed_differs_in_every_file(tmp_path: Path) -> None:
    first = generate_in_process(tmp_path / "first", 3, "1")
    assert tuple(first) == FILES
    assert generate_in_process(tmp_path / "second", 3, "2") == first
    other = generate_in_process(tmp_path / "other", -3, "1")
    assert all(other[name] != content for name, content in first.items())


def test_files_are_sorted_json_lines_of_equal_form(raw: Path) -> None:
    keys = {"products": ["id"], "queries": ["id"], "judgements": ["query_id", "product_id"], "reviews": ["product_id"]}
    for name, fields in keys.items():
        records = load(raw, name)
        order = [[record[field] for field in fields] for record in records]
        assert order == sorted(order)
        assert len({tuple(key) for key in order}) == len(order)
        assert all(list(record) == list(records[0]) for record in records)
        lines = [json.dumps(record, ensure_ascii=False, separators=(",", ":")) for record in records]
        assert (raw / f"{name}.jsonl").read_text(encoding="utf-8") == "\n".join(lines) + "\n"


@pytest.mark.parametrize("task", STUDY)
def test_every_split_has_the_size_on_the_card(raw: Path, task: str) -> None:
    counts = Counter(row.split for row in task_rows(raw, task))
    assert tuple(counts[split] for split in SPLITS) == SIZES[task]
    assert set(counts) == set(SPLITS)


def test_the_card_states_the_sizes_of_the_files(raw: Path) -> None:
    products, judgements = load(raw, "products"), load(raw, "judgements")
    stated = {
        "brands": Counter(split for split, _ in {(product["split"], product["brand"]) for product in products}),
        "products": Counter(product["split"] for product in products),
        "queries": Counter(query["split"] for query in load(raw, "queries")),
        "which": Counter(split for split, _ in {(entry["split"], entry["query_id"]) for entry in judgements}),
        "with": Counter(entry["split"] for entry in judgements),
        "description:": Counter(review["split"] for review in load(raw, "reviews")),
    }
    card = " ".join((demo_shop.__doc__ or "").split())
    for word, counts in stated.items():
        assert re.search(rf"{word} (are )?{' / '.join(str(counts[split]) for split in SPLITS)}", card), word


def test_the_shop_has_variety(raw: Path) -> None:
    products = load(raw, "products")
    assert len({product["category"] for product in products}) >= 20
    assert len({product["brand"] for product in products}) >= 40
    forms = {tuple(re.sub("^[BI]-", "", tag) for tag in query["tags"]) for query in load(raw, "queries")}
    assert len(forms) >= 30
    assert {product["category"] for product in products if product["split"] == "test"} == set(vocabulary.CATEGORIES)


def splits_of(pairs: Iterable[tuple[str, str | None]]) -> dict[str, set[str | None]]:
    found: dict[str, set[str | None]] = defaultdict(set)
    for key, split in pairs:
        found[key].add(split)
    return found


def input_text(row: Row) -> str:
    """What identifies a row's input, without case and punctuation."""
    used = [name for name in ("query", "title", "words", "bullets", "reviews") if name in row.fields]
    values = [row.fields[name] for name in used]
    return normal(" ".join(value if isinstance(value, str) else " ".join(value) for value in values))


@pytest.mark.parametrize("task", STUDY)
@pytest.mark.parametrize("key", [input_text, lambda row: row.group, lambda row: normal(row.group)])
def test_no_group_and_no_input_is_in_two_splits(raw: Path, task: str, key: Callable[[Row], str]) -> None:
    found = splits_of((key(row), row.split) for row in task_rows(raw, task))
    assert found
    assert all(len(splits) == 1 for splits in found.values())


@pytest.mark.parametrize("task", STUDY)
def test_no_input_occurs_twice(raw: Path, task: str) -> None:
    inputs = Counter(input_text(row) for row in task_rows(raw, task))
    assert max(inputs.values()) == 1


@pytest.mark.parametrize("task", ["relevance", "description"])
@pytest.mark.parametrize("field", ["title", "brand"])
def test_no_product_or_brand_of_one_split_is_seen_in_another(raw: Path, task: str, field: str) -> None:
    found = splits_of((normal(str(row.fields[field])), row.split) for row in task_rows(raw, task))
    assert all(len(splits) == 1 for splits in found.values())
    assert {split for splits in found.values() for split in splits} == set(SPLITS)


def test_queries_and_products_of_a_judgement_are_in_one_split(raw: Path) -> None:
    products = {product["id"]: product for product in load(raw, "products")}
    queries = {query["id"]: query for query in load(raw, "queries")}
    brands = splits_of((product["brand"], product["split"]) for product in products.values())
    for entry in load(raw, "judgements"):
        assert entry["split"] == products[entry["product_id"]]["split"] == queries[entry["query_id"]]["split"]
    for query in queries.values():
        assert brands.get(query["attributes"].get("brand"), {query["split"]}) == {query["split"]}
    for review in load(raw, "reviews"):
        assert review["split"] == products[review["product_id"]]["split"]
    assert max(Counter(" ".join(sorted(query["words"])) for query in queries.values()).values()) == 1


def test_tags_are_valid_iob2_of_queryner_types_one_a_word(raw: Path) -> None:
    for row in task_rows(raw, "ner"):
        assert set(row.fields) == {"words"}
        assert len(row.reference) == len(row.fields["words"])
        before = "O"
        for tag in row.reference:
            prefix, _, kind = tag.partition("-")
            assert tag == "O" or (prefix in "BI" and kind in QUERYNER_TYPES)
            assert prefix != "I" or before[1:] == f"-{kind}"
            before = tag


def test_query_words_are_lower_case_without_spaces_and_the_group_is_their_text(raw: Path) -> None:
    for row in task_rows(raw, "ner"):
        assert all(word == word.lower() and word.split() == [word] for word in row.fields["words"])
        assert row.group == " ".join(row.fields["words"])


def spans(words: list[str], tags: list[str]) -> dict[str, str]:
    """The text of each entity type; a type occurs once in a query."""
    found: dict[str, str] = {}
    for word, tag in zip(words, tags, strict=True):
        if tag != "O":
            assert tag[2:] not in found or tag[0] == "I"
            found[tag[2:]] = f"{found[tag[2:]]} {word}" if tag[0] == "I" else word
    return found


def test_spans_are_the_attributes_of_the_query_and_the_other_words_are_no_entity(raw: Path) -> None:
    types = {
        "category": "core_product_type",
        "brand": "creator",
        "color": "color",
        "material": "material",
        "size": "UoM",
        "department": "department",
        "feature": "modifier",
        "pack": "quantity",
        "occasion": "occasion",
        "price": "price",
    }
    seen = set()
    for query in load(raw, "queries"):
        found = spans(query["words"], query["tags"])
        assert set(found) == {types[name] for name in query["attributes"]}
        for name, value in query["attributes"].items():
            said = found[types[name]]
            if name == "category":
                assert said in (value, vocabulary.CATEGORIES[value].alias)
            elif name == "price":
                assert re.findall(r"\d+", said) == [value]
                assert not said[0].isdigit()
            else:
                assert said == value.lower()
        outside = {word for word, tag in zip(query["words"], query["tags"], strict=True) if tag == "O"}
        assert outside <= {"for", "in", "by", "with", "from", "looking", "and", "please"}
        seen |= set(found)
    assert seen == set(types.values())


def test_every_query_fits_a_product_of_its_split(raw: Path) -> None:
    shelves = defaultdict(list)
    for product in load(raw, "products"):
        shelves[product["split"], product["category"]].append(product)
    for query in load(raw, "queries"):
        named = dict(query["attributes"])
        limit = float(named.pop("price", "inf"))
        shelf = shelves[query["split"], named["category"]]
        assert any(p["price"] <= limit and all(p[name] == value for name, value in named.items()) for p in shelf)


def expected_label(named: dict[str, str], product: dict[str, Any]) -> str:
    """The documented rule, implemented again without the generator's help."""
    wanted = named["category"]
    if product["category"] == wanted:
        wrong = [name for name, value in named.items() if product[name] != value]
        assert len(wrong) <= 1
        return "Substitute" if wrong else "Exact"
    goes_with = any({wanted, product["category"]} == set(pair) for pair in vocabulary.PAIRS)
    return "Complement" if goes_with else "Irrelevant"


def test_labels_follow_from_the_attributes(raw: Path) -> None:
    products = {product["id"]: product for product in load(raw, "products")}
    queries = {query["id"]: query for query in load(raw, "queries")}
    for entry in load(raw, "judgements"):
        named = queries[entry["query_id"]]["attributes"]
        assert entry["label"] == expected_label(named, products[entry["product_id"]])


def test_a_title_has_all_words_of_a_query_it_answers_exactly_and_lacks_some_of_a_substitute(raw: Path) -> None:
    named = {" ".join(query["words"]): query["attributes"] for query in load(raw, "queries")}
    for row in task_rows(raw, "relevance"):
        title = normal(str(row.fields["title"]))
        lacking = [value for value in named[row.group].values() if f" {normal(value)} " not in f" {title} "]
        if row.reference in ("Exact", "Substitute"):
            assert len(lacking) == (row.reference == "Substitute")


def test_titles_state_all_attributes_that_judged_queries_name(raw: Path) -> None:
    judged = {entry["query_id"] for entry in load(raw, "judgements")}
    named = {name for query in load(raw, "queries") if query["id"] in judged for name in query["attributes"]}
    assert not named & {"price", "occasion"}
    assert len(named) >= 7
    for product in load(raw, "products"):
        assert all(normal(product[name]) in normal(product["title"]) for name in named)


def test_complements_pair_every_category_with_one_other() -> None:
    assert sorted(name for pair in vocabulary.PAIRS for name in pair) == sorted(vocabulary.CATEGORIES)


def test_every_label_occurs_in_each_split_in_the_shares_on_the_card(raw: Path) -> None:
    found = task_rows(raw, "relevance")
    for split, size in zip(SPLITS, SIZES["relevance"], strict=True):
        counts = Counter(row.reference for row in found if row.split == split)
        shares = {"Exact": 0.35, "Substitute": 0.25, "Complement": 0.15, "Irrelevant": 0.25}
        assert {name: count / size for name, count in counts.items()} == pytest.approx(shares, abs=0.02)


def test_a_judged_query_has_four_to_six_products_and_one_is_exact(raw: Path) -> None:
    found = defaultdict(list)
    for row in task_rows(raw, "relevance"):
        found[row.group].append(row.reference)
    assert all(4 <= len(labels) <= 6 and "Exact" in labels for labels in found.values())


def opinions(reviews: list[str]) -> dict[str, tuple[int, int]]:
    """How many reviews praise and fault each part, read from their texts."""
    counts: dict[str, tuple[int, int]] = {}
    for part, aspect in (pair for aspects in vocabulary.ASPECTS.values() for pair in aspects.items()):
        good = sum(any(f"he {part} {said}" in text for said in aspect.praise) for text in reviews)
        bad = sum(any(f"he {part} {said}" in text for said in aspect.fault) for text in reviews)
        if good or bad:
            counts[part] = (good, bad)
    return counts


def kinds_of(summary: str, parts: dict[str, str]) -> list[str]:
    """The kinds whose wording, filled with these parts, is this summary."""
    return [
        kind
        for kind, wordings in vocabulary.SUMMARIES.items()
        if summary in [re.sub("LIKED|ALSO|FAULT", lambda slot: parts.get(slot[0], "?"), text) for text in wordings]
    ]


def test_summaries_follow_from_the_reviews(raw: Path) -> None:
    kind_by_fault = {(0, 0): "no fault", (0, 1): "one faults", (2, 2): "split", (0, 3): "most fault"}
    seen = set()
    for row in task_rows(raw, "summarization"):
        assert len(row.fields["reviews"]) == 4
        counts = opinions(list(row.fields["reviews"]))
        text = " ".join(row.fields["reviews"]).lower()
        liked = sorted((part for part, (good, _) in counts.items() if good >= 3), key=lambda p: text.index(f"the {p} "))
        faulted = [part for part, (_, bad) in counts.items() if bad] or [""]
        assert len(faulted) == 1
        kind = kind_by_fault[counts.get(faulted[0], (0, 0))]
        parts = {"LIKED": liked[0], "ALSO": liked[-1], "FAULT": faulted[0]}
        assert kinds_of(row.reference[0], parts) == [kind]
        assert len(liked) == (2 if kind in ("no fault", "one faults") else 1)
        seen.add(kind)
    assert seen == set(vocabulary.SUMMARIES)


def test_no_reviewer_has_two_opinions_about_a_part(raw: Path) -> None:
    for row in task_rows(raw, "summarization"):
        for text in row.fields["reviews"]:
            said = opinions([text])
            assert 1 <= len(said) <= 2
            assert all(sum(count) == 1 for count in said.values())


def test_reviews_and_summaries_have_the_promised_length(raw: Path) -> None:
    for row in task_rows(raw, "summarization"):
        assert len(row.reference) == 1
        assert 8 <= len(row.reference[0].split()) <= 18
        assert all(1 <= len(re.findall(r"[.](?: |$)", text)) <= 2 for text in row.fields["reviews"])
        assert all(re.match(r"[A-Z]", text) and "{" not in text for text in row.fields["reviews"])


def test_descriptions_follow_from_title_and_bullets(raw: Path) -> None:
    products = {product["id"]: product for product in load(raw, "products")}
    for row in task_rows(raw, "description"):
        product = products[row.group]
        assert len(row.reference) == 1
        text = row.reference[0]
        given = normal(" ".join([str(row.fields["title"]), *row.fields["bullets"]]))
        quality, benefit = vocabulary.MATERIALS[product["material"]], vocabulary.FEATURES[product["feature"]]
        stated = [product[name] for name in ("brand", "category", "color", "material", "size", "pack", "occasion")]
        for fact in (*stated, quality, benefit):
            assert normal(fact) in normal(text)
            assert normal(fact) in given
        unstated = set(vocabulary.MATERIALS) | set(vocabulary.BRANDS) | set(vocabulary.MATERIALS.values())
        assert not any(f" {normal(fact)} " in f" {normal(text)} " for fact in unstated - {*stated, quality})


def test_descriptions_have_the_promised_length(raw: Path) -> None:
    for row in task_rows(raw, "description"):
        assert len(row.reference) == 1
        text = row.reference[0]
        assert 2 <= len(re.findall(r"[.](?: |$)", text)) <= 3
        assert 20 <= len(text.split()) <= 40
        assert len(text) > len(str(row.fields["title"]))
        assert 3 <= len(row.fields["bullets"]) <= 4


@pytest.mark.parametrize(
    ("task", "name", "fields"),
    [
        ("relevance", "judgements", ["query", "title", "brand", "color"]),
        ("ner", "queries", ["words"]),
        ("summarization", "reviews", ["reviews"]),
        ("description", "products", ["title", "brand", "color", "bullets"]),
    ],
)
def test_a_row_names_its_inputs_and_the_line_it_comes_from(raw: Path, task: str, name: str, fields: list[str]) -> None:
    records = load(raw, name)
    queries = {query["id"]: " ".join(query["words"]) for query in load(raw, "queries")}
    for row in task_rows(raw, task):
        assert list(row.fields) == fields
        dataset, file, number = row.source.split(":")
        record = records[int(number) - 1]
        assert (dataset, file, row.split) == ("demo_shop", name, record["split"])
        key = record["query_id" if name == "judgements" else "product_id" if name == "reviews" else "id"]
        assert row.group == queries.get(key, key)
        answer = {"judgements": "label", "queries": "tags", "reviews": "summary", "products": "description"}[name]
        assert row.reference == ([record[answer]] if name in ("reviews", "products") else record[answer])


def test_rows_keep_the_order_of_the_file(raw: Path) -> None:
    for task in STUDY:
        numbers = [int(row.source.rsplit(":", 1)[1]) for row in task_rows(raw, task)]
        assert numbers == sorted(numbers)


def test_the_first_rows_of_a_split_are_a_fair_sample(raw: Path) -> None:
    first = [row for row in task_rows(raw, "ner") if row.split == "train"][:200]
    assert 60 <= sum("B-price" in row.reference or "B-occasion" in row.reference for row in first) <= 140


def test_a_judgement_of_an_unknown_product_is_refused_with_its_line(raw: Path, tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).write_bytes((raw / name).read_bytes())
    lines = load(raw, "judgements")
    lines[4]["product_id"] = "P9999"
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (tmp_path / "judgements.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"judgements\.jsonl line 5: P9999 is not in the shop"):
        task_rows(tmp_path, "relevance")


def test_a_shop_with_too_few_products_for_the_judgements_is_an_error_that_names_them(raw: Path) -> None:
    alone = Product.model_validate({**load(raw, "products")[0], "split": "train"})
    with pytest.raises(RuntimeError, match=r"finds no new query with the judgements \{'Exact': 2"):
        searches(random.Random(1), [alone])

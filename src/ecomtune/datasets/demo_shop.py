"""The demo shop: a small made-up shop, generated from a seed, so that the whole pipeline runs anywhere.

Source: this module and the vocabulary in ``demo_words``; nothing is downloaded. Licence: the project's own, Apache-2.0.
Language: English. Texts follow templates: results on them show that the pipeline works, not how good a method is.

Sizes (train / validation / test): brands 34 / 8 / 12; products 630 / 120 / 180 in 32 categories, three variants to a
family; queries 640 / 90 / 130 (ner), of which 132 / 16 / 24 are judged with 660 / 80 / 120 products (relevance); one
product of each family has four reviews with a summary, and a description: 210 / 40 / 60 (summarization, description).

Held out: every brand, hence every product, belongs to one split. No two queries are the same bag of words, so none is
in two splits. Categories, colors and the wording of templates are shared by all splits.

A query names a category and some attributes. Judged queries name only what a title states, and :func:`label` gives the
label of each judged product: Exact (same category, all named attributes match), Substitute (same category, exactly one
differs), Complement (the one category that goes with the query's), Irrelevant (any other category).
"""

from __future__ import annotations

import math
import random
import re
import string
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeVar

from ecomtune.datasets import demo_words as words
from ecomtune.errors import UserError
from ecomtune.records import Record, Row, read_records, write_records

TASKS: Final = ("relevance", "ner", "summarization", "description")

Split = Literal["train", "validation", "test"]
Label = Literal["Exact", "Substitute", "Complement", "Irrelevant"]
Item = TypeVar("Item")


class Product(Record):
    """One article of the shop. Only the first of a family has a description (and reviews)."""

    id: str
    title: str
    brand: str
    color: str
    material: str
    category: str
    department: str
    feature: str
    size: str
    pack: str
    occasion: str
    price: float
    bullets: list[str]
    description: str | None
    split: Split


class Query(Record):
    """A search: its words, their IOB2 tags, and the attributes that it names."""

    id: str
    words: list[str]
    tags: list[str]
    attributes: dict[str, str]
    split: Split


class Judgement(Record):
    """How well a product answers a query."""

    query_id: str
    product_id: str
    label: Label
    split: Split


class Reviews(Record):
    """What four shoppers say about a product, and the gist of it."""

    product_id: str
    reviews: list[str]
    summary: str
    split: Split


class Size(NamedTuple):
    """How much a split holds; ``judged`` counts queries and is a multiple of the judging plans."""

    brands: int
    families: int
    queries: int
    judged: int


SIZES: Final[dict[Split, Size]] = {
    "train": Size(34, 210, 640, 132),
    "validation": Size(8, 40, 90, 16),
    "test": Size(12, 60, 130, 24),
}
#: How many products of each label a judged query gets, in turn: together 35, 25, 15 and 25 %.
PLANS: Final[tuple[dict[Label, int], ...]] = (
    {"Exact": 2, "Substitute": 1, "Complement": 1, "Irrelevant": 1},
    {"Exact": 2, "Substitute": 2, "Irrelevant": 1},
    {"Exact": 1, "Substitute": 1, "Complement": 1, "Irrelevant": 2},
    {"Exact": 2, "Substitute": 1, "Complement": 1, "Irrelevant": 1},
)


def generate(target: Path, seed: int) -> None:
    """Write the shop's four files into ``target``: equal seeds give equal bytes, on any machine and Python."""
    rng = random.Random(f"demo shop {seed}")
    products = _catalogue(rng)
    queries, judgements = _searches(rng, products)
    write_records(target / "products.jsonl", products)
    write_records(target / "queries.jsonl", queries)
    write_records(target / "judgements.jsonl", judgements)
    write_records(target / "reviews.jsonl", _all_reviews(rng, products))


def rows(raw: Path, task: str) -> Iterator[Row]:
    """Rows of one task from the files in ``raw``, in file order. Raises UserError for what it can't read."""
    if task not in READERS:
        raise UserError(f"the demo shop has no task {task!r}; choose one of {', '.join(TASKS)}")
    return iter(list(READERS[task](raw)))


def label(attributes: Mapping[str, str], product: Product) -> Label | None:
    """The label of a product for a query that names ``attributes``; None where two or more differ (never judged)."""
    category = attributes["category"]
    if product.category == words.COMPLEMENTS[category]:
        return "Complement"
    if product.category != category:
        return "Irrelevant"
    differing = len(attributes) - _agreeing(attributes, product)
    if differing > 1:
        return None
    return "Substitute" if differing else "Exact"


def _pick(rng: random.Random, options: Sequence[Item]) -> Item:
    """One of ``options``, by random() alone: nothing else keeps its sequence in every version of Python."""
    return options[int(rng.random() * len(options))]


def _shuffled(rng: random.Random, items: Iterable[Item]) -> list[Item]:
    return sorted(items, key=lambda _: rng.random())


def _catalogue(rng: random.Random) -> list[Product]:
    """All products, numbered in shuffled order."""
    brands = _shuffled(rng, words.BRANDS)
    products: list[Product] = []
    for split, size in SIZES.items():
        own, brands = brands[: size.brands], brands[size.brands :]
        for category, brand in _families(rng, own, size.families):
            products += _family(rng, split, category, brand)
    return [
        product.model_copy(update={"id": f"P{number:04d}"}) for number, product in enumerate(_shuffled(rng, products), start=1)
    ]


def _families(rng: random.Random, brands: Sequence[str], count: int) -> Iterator[tuple[str, str]]:
    """``count`` different pairs of a category and a brand, over all categories in turn."""
    turns = [(category, _shuffled(rng, brands)) for category in _shuffled(rng, words.CATEGORIES)]
    for number in range(count):
        category, order = turns[number % len(turns)]
        yield category, order[number // len(turns)]


def _family(rng: random.Random, split: Split, category: str, brand: str) -> list[Product]:
    """A product and two variants, one in another color, one that differs in something else."""
    options = _options(category)
    lead = {"category": category, "brand": brand} | {name: _pick(rng, values) for name, values in options.items()}
    changes = ("color", _pick(rng, ("size", "material", "feature")))
    variants = [lead | {name: _pick(rng, [v for v in options[name] if v != lead[name]])} for name in changes]
    return [_product(rng, split, values, is_lead=values is lead) for values in (lead, *variants)]


def _options(category: str) -> dict[str, list[str]]:
    """What each attribute of a category's products may be."""
    spec = words.CATEGORIES[category]
    texts = {
        "department": spec.departments,
        "feature": spec.features,
        "material": spec.materials,
        "size": spec.sizes,
        "color": words.SHELF_COLORS[spec.shelf],
        "occasion": words.SHELF_OCCASIONS[spec.shelf],
    }
    packs = ["", *filter(None, spec.packs.split(", "))]
    return {name: text.split(", ") for name, text in texts.items()} | {"pack": packs}


def _product(rng: random.Random, split: Split, values: dict[str, str], *, is_lead: bool) -> Product:
    low, high = words.CATEGORIES[values["category"]].prices
    return Product(
        id="",
        title=_title(rng, values),
        price=int(low + rng.random() * (high - low)) + 0.99,
        bullets=_bullets(rng, values),
        description=_description(rng, values) if is_lead else None,
        split=split,
        **values,
    )


def _title(rng: random.Random, values: Mapping[str, str]) -> str:
    segments = (_title_segment(segment, values) for segment in _pick(rng, words.TITLES))
    return ", ".join(segment for segment in segments if segment)


def _title_segment(segment: str, values: Mapping[str, str]) -> str:
    """A segment with its slots filled and capitalized."""
    pieces = (_capitalized(values[slot.lower()]) if slot.isupper() else slot for slot in segment.split())
    return " ".join(piece for piece in pieces if piece)


def _capitalized(value: str) -> str:
    """``Navy Blue``, ``Set of 2``, ``32 oz``."""
    return value if value[:1].isdigit() else string.capwords(value).replace(" Of ", " of ")


def _texts(values: Mapping[str, str]) -> dict[str, str]:
    """What the templates of bullets and descriptions may mention."""
    return {
        **values,
        "quality": words.MATERIALS[values["material"]],
        "benefit": words.FEATURES[values["feature"]],
        "amount": ", ".join(filter(None, (values["size"], values["pack"]))),
    }


def _bullets(rng: random.Random, values: Mapping[str, str]) -> list[str]:
    """Three or four bullets in any order; only the last kind, which repeats the title, may be left out."""
    kinds = words.BULLETS if rng.random() < 0.7 else words.BULLETS[:-1]
    return [_sentence(_pick(rng, kind).format(**_texts(values))) for kind in _shuffled(rng, kinds)]


def _description(rng: random.Random, values: Mapping[str, str]) -> str:
    return " ".join(_pick(rng, wordings).format(**_texts(values)) for wordings in words.DESCRIPTIONS)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _searches(rng: random.Random, products: Sequence[Product]) -> tuple[list[Query], list[Judgement]]:
    """All queries, numbered in shuffled order, and the judgements of those that are judged."""
    seen: set[str] = set()
    drafts: list[tuple[Query, list[tuple[Product, Label]]]] = []
    for split, size in SIZES.items():
        shop = [product for product in products if product.split == split]
        drafts += [_judged_query(rng, shop, PLANS[number % len(PLANS)], seen) for number in range(size.judged)]
        drafts += [(_new_query(rng, shop, seen), []) for _ in range(size.queries - size.judged)]
    queries: list[Query] = []
    judgements: list[Judgement] = []
    for number, (draft, picks) in enumerate(_shuffled(rng, drafts), start=1):
        query = draft.model_copy(update={"id": f"Q{number:04d}"})
        queries.append(query)
        for product, verdict in sorted(picks, key=lambda pick: pick[0].id):
            judgements.append(Judgement(query_id=query.id, product_id=product.id, label=verdict, split=query.split))
    return queries, judgements


def _judged_query(
    rng: random.Random, shop: Sequence[Product], plan: Mapping[Label, int], seen: set[str]
) -> tuple[Query, list[tuple[Product, Label]]]:
    """A new query for which ``shop`` has as many products of each label as ``plan`` asks for."""
    while True:
        query = _draft(rng, _pick(rng, shop), words.TITLE_QUERIES, alias=0.0)
        if query and _bag(query) not in seen and (picks := _picks(rng, query.attributes, shop, plan)):
            seen.add(_bag(query))
            return query, picks


def _new_query(rng: random.Random, shop: Sequence[Product], seen: set[str]) -> Query:
    """A new query of any form."""
    while True:
        forms = words.OTHER_QUERIES if rng.random() < 0.7 else words.TITLE_QUERIES
        query = _draft(rng, _pick(rng, shop), forms, alias=0.4)
        if query and _bag(query) not in seen:
            seen.add(_bag(query))
            return query


def _draft(rng: random.Random, product: Product, forms: Sequence[str], alias: float) -> Query | None:
    """A query for ``product``, or None where the chosen form names what the product lacks."""
    query = Query(id="", words=[], tags=[], attributes={}, split=product.split)
    for part in _pick(rng, forms).split():
        if part not in words.TAG_TYPES:
            query.words.append(part)
            query.tags.append("O")
            continue
        value = _query_value(product, part)
        if not value:
            return None
        said = _said(rng, part, value, alias).lower().split()
        query.words.extend(said)
        query.tags.extend(("I-" if place else "B-") + words.TAG_TYPES[part] for place in range(len(said)))
        query.attributes[part.lower()] = value
    return query


def _query_value(product: Product, slot: str) -> str:
    """What a query asks for in a slot: the product's attribute, or a round price at or above its price."""
    if slot != "PRICE":
        return str(getattr(product, slot.lower()))
    step = 5 if product.price < 50 else 10 if product.price < 200 else 50
    return str(math.ceil(product.price / step) * step)


def _said(rng: random.Random, slot: str, value: str, alias: float) -> str:
    """How a shopper says a value."""
    if slot == "PRICE":
        return _pick(rng, words.PRICE_PHRASES).format(value)
    return words.CATEGORIES[value].alias if slot == "CATEGORY" and rng.random() < alias else value


def _bag(query: Query) -> str:
    """The words of a query without order and punctuation."""
    return " ".join(sorted(_plain(query.words).split()))


def _plain(texts: Sequence[str]) -> str:
    """Texts without case and punctuation."""
    return re.sub(r"[\W_]+", " ", " ".join(texts).lower()).strip()


def _picks(
    rng: random.Random, attributes: Mapping[str, str], shop: Sequence[Product], plan: Mapping[Label, int]
) -> list[tuple[Product, Label]]:
    """As many products of each label as ``plan`` asks for, half the time those most like the query; [] if any lack."""
    found: dict[Label | None, list[Product]] = defaultdict(list)
    for product in _shuffled(rng, shop):
        found[label(attributes, product)].append(product)
    if any(len(found[verdict]) < count for verdict, count in plan.items()):
        return []
    if rng.random() < 0.5:
        for candidates in found.values():
            candidates.sort(key=lambda product: -_agreeing(attributes, product))
    return [(product, verdict) for verdict, count in plan.items() for product in found[verdict][:count]]


def _agreeing(attributes: Mapping[str, str], product: Product) -> int:
    """How many named attributes the product has."""
    return sum(getattr(product, name) == value for name, value in attributes.items())


def _all_reviews(rng: random.Random, products: Sequence[Product]) -> Iterator[Reviews]:
    """Reviews of each product that has a description, no two with the same wording."""
    seen: set[str] = set()
    for product in products:
        if product.description is None:
            continue
        reviews = _reviews(rng, product)
        while _plain(reviews.reviews) in seen:
            reviews = _reviews(rng, product)
        seen.add(_plain(reviews.reviews))
        yield reviews


def _reviews(rng: random.Random, product: Product) -> Reviews:
    """Four reviews about up to three parts of a product, and their summary."""
    kind = _pick(rng, list(words.OPINIONS))
    aspects = words.ASPECTS[words.CATEGORIES[product.category].shelf]
    parts = dict(zip(("LIKED", "ALSO", "FAULT"), _shuffled(rng, aspects), strict=False))
    reviews = [_review(rng, product, [(parts[role], praised) for role, praised in said]) for said in _speakers(rng, kind)]
    return Reviews(product_id=product.id, reviews=reviews, summary=_summary(rng, kind, parts, reviews), split=product.split)


def _speakers(rng: random.Random, kind: str) -> list[list[tuple[str, bool]]]:
    """Who says what: each of four reviewers has one or two opinions, never two about the same part."""
    while True:
        said: list[list[tuple[str, bool]]] = [[], [], [], []]
        for role, praised, count in words.OPINIONS[kind]:
            for reviewer in _shuffled(rng, said)[:count]:
                reviewer.append((role, praised))
        if all(0 < len(opinions) <= 2 and len({role for role, _ in opinions}) == len(opinions) for opinions in said):
            return [_shuffled(rng, opinions) for opinions in said]


def _review(rng: random.Random, product: Product, opinions: Sequence[tuple[str, bool]]) -> str:
    """One or two sentences."""
    opening = _pick(rng, words.REVIEW_OPENINGS).format(**product.model_dump())
    claims = [_claim(rng, product, part, praised) for part, praised in opinions]
    full_sentence = opening.endswith(". ")
    if not full_sentence and rng.random() < 0.5:
        body = ". ".join([claims[0], *map(_sentence, claims[1:])])
    else:
        body = (", and " if len({praised for _, praised in opinions}) == 1 else ", but ").join(claims)
    return opening + (_sentence(body) if full_sentence or not opening else body) + "."


def _claim(rng: random.Random, product: Product, part: str, praised: bool) -> str:
    aspect = words.ASPECTS[words.CATEGORIES[product.category].shelf][part]
    return f"the {part} {_pick(rng, aspect.praise if praised else aspect.fault)}"


def _summary(rng: random.Random, kind: str, parts: Mapping[str, str], reviews: Sequence[str]) -> str:
    """The summary of a kind; of two parts that are praised alike, the one mentioned first comes first."""
    text = " ".join(reviews).lower()
    names = dict(parts)
    if kind in ("one faults", "no fault"):
        alike = (parts["LIKED"], parts["ALSO"])
        names["LIKED"], names["ALSO"] = sorted(alike, key=lambda part: text.find(f"the {part} "))
    return re.sub(r"[A-Z]{4,}", lambda match: names[match[0]], _pick(rng, words.SUMMARIES[kind]))


def _relevance(raw: Path) -> Iterator[Row]:
    products = {product.id: product for product in read_records(raw / "products.jsonl", Product)}
    queries = {query.id: query for query in read_records(raw / "queries.jsonl", Query)}
    path = raw / "judgements.jsonl"
    for number, judgement in enumerate(read_records(path, Judgement), start=1):
        query = _find(queries, judgement.query_id, path, number)
        product = _find(products, judgement.product_id, path, number)
        text = " ".join(query.words)
        yield Row(
            fields={"query": text, "title": product.title, "brand": product.brand, "color": product.color},
            reference=judgement.label,
            group=text,
            split=judgement.split,
            source=f"demo_shop:judgements:{number}",
        )


def _ner(raw: Path) -> Iterator[Row]:
    for number, query in enumerate(read_records(raw / "queries.jsonl", Query), start=1):
        yield Row(
            fields={"words": query.words},
            reference=query.tags,
            group=" ".join(query.words),
            split=query.split,
            source=f"demo_shop:queries:{number}",
        )


def _summarization(raw: Path) -> Iterator[Row]:
    for number, reviews in enumerate(read_records(raw / "reviews.jsonl", Reviews), start=1):
        yield Row(
            fields={"reviews": reviews.reviews},
            reference=[reviews.summary],
            group=reviews.product_id,
            split=reviews.split,
            source=f"demo_shop:reviews:{number}",
        )


def _described(raw: Path) -> Iterator[Row]:
    for number, product in enumerate(read_records(raw / "products.jsonl", Product), start=1):
        if product.description is None:
            continue
        yield Row(
            fields={
                "title": product.title,
                "brand": product.brand,
                "color": product.color,
                "bullets": product.bullets,
            },
            reference=[product.description],
            group=product.id,
            split=product.split,
            source=f"demo_shop:products:{number}",
        )


def _find(index: Mapping[str, Item], key: str, path: Path, number: int) -> Item:
    if key not in index:
        raise UserError(f"{path} line {number}: {key} is not in the shop; delete {path.parent} and run dvc repro again")
    return index[key]


READERS: Final[Mapping[str, Callable[[Path], Iterable[Row]]]] = {
    "relevance": _relevance,
    "ner": _ner,
    "summarization": _summarization,
    "description": _described,
}

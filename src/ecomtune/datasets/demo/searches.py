"""The searches of the demo shop, and how well its products fit them."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from ecomtune.core.text import normalize
from ecomtune.datasets.demo import vocabulary
from ecomtune.datasets.demo.draws import first_fit, pick, shuffled
from ecomtune.datasets.demo.schema import SIZES, Judgement, Label, Product, Query

#: The number of products of each label that a judged query has, query by query in turn: overall 35, 25, 15 and 25 %.
PLANS: Final[tuple[dict[Label, int], ...]] = (
    {"Exact": 2, "Substitute": 1, "Complement": 1, "Irrelevant": 1},
    {"Exact": 2, "Substitute": 2, "Irrelevant": 1},
    {"Exact": 1, "Substitute": 1, "Complement": 1, "Irrelevant": 2},
    {"Exact": 2, "Substitute": 1, "Complement": 1, "Irrelevant": 1},
)


def searches(rng: random.Random, products: Sequence[Product]) -> tuple[list[Query], list[Judgement]]:
    """All queries, numbered in shuffled order, and the judgements of those that are judged."""
    seen: set[str] = set()
    drafts: list[tuple[Query, list[tuple[Product, Label]]]] = []
    for split, size in SIZES.items():
        shop = [product for product in products if product.split == split]
        drafts += [_judged_query(rng, shop, PLANS[number % len(PLANS)], seen) for number in range(size.judged)]
        drafts += [(_new_query(rng, shop, seen), []) for _ in range(size.queries - size.judged)]
    queries: list[Query] = []
    judgements: list[Judgement] = []
    for number, (draft, picks) in enumerate(shuffled(rng, drafts), start=1):
        query = draft.model_copy(update={"id": f"Q{number:04d}"})
        queries.append(query)
        for product, verdict in sorted(picks, key=lambda picked: picked[0].id):
            judgements.append(Judgement(query_id=query.id, product_id=product.id, label=verdict, split=query.split))
    return queries, judgements


def label(attributes: Mapping[str, str], product: Product) -> Label | None:
    """The label of a product for a query that names ``attributes``; None where two or more differ (never judged)."""
    category = attributes["category"]
    if product.category == vocabulary.COMPLEMENTS[category]:
        return "Complement"
    if product.category != category:
        return "Irrelevant"
    differing = len(attributes) - _agreeing(attributes, product)
    if differing > 1:
        return None
    return "Substitute" if differing else "Exact"


def _judged_query(
    rng: random.Random, shop: Sequence[Product], plan: Mapping[Label, int], seen: set[str]
) -> tuple[Query, list[tuple[Product, Label]]]:
    """A new query for which ``shop`` has as many products of each label as ``plan`` asks for."""

    def draw() -> tuple[Query, list[tuple[Product, Label]]] | None:
        query = _draft(rng, pick(rng, shop), vocabulary.TITLE_QUERIES, alias=0.0)
        if query and _bag(query) not in seen and (picks := _picks(rng, query.attributes, shop, plan)):
            return query, picks
        return None

    query, picks = first_fit(draw, f"new query with the judgements {dict(plan)}")
    seen.add(_bag(query))
    return query, picks


def _new_query(rng: random.Random, shop: Sequence[Product], seen: set[str]) -> Query:
    """A new query of any form."""

    def draw() -> Query | None:
        forms = vocabulary.OTHER_QUERIES if rng.random() < 0.7 else vocabulary.TITLE_QUERIES
        query = _draft(rng, pick(rng, shop), forms, alias=0.4)
        return query if query and _bag(query) not in seen else None

    query = first_fit(draw, "new query")
    seen.add(_bag(query))
    return query


def _draft(rng: random.Random, product: Product, forms: Sequence[str], alias: float) -> Query | None:
    """A query for ``product``, or None where the chosen form names what the product lacks."""
    query = Query(id="", words=[], tags=[], attributes={}, split=product.split)
    for part in pick(rng, forms).split():
        if part not in vocabulary.TAG_TYPES:
            query.words.append(part)
            query.tags.append("O")
            continue
        value = _query_value(product, part)
        if not value:
            return None
        phrase = _phrase(rng, part, value, alias).lower().split()
        query.words.extend(phrase)
        query.tags.extend(("I-" if place else "B-") + vocabulary.TAG_TYPES[part] for place in range(len(phrase)))
        query.attributes[part.lower()] = value
    return query


def _query_value(product: Product, slot: str) -> str:
    """The value that a query names in a slot: the product's attribute, or a round price at or above its price."""
    if slot != "PRICE":
        return str(getattr(product, slot.lower()))
    step = 5 if product.price < 50 else 10 if product.price < 200 else 50
    return str(math.ceil(product.price / step) * step)


def _phrase(rng: random.Random, slot: str, value: str, alias: float) -> str:
    """How a shopper words a value; ``alias`` is the probability of a category's other name."""
    if slot == "PRICE":
        return pick(rng, vocabulary.PRICE_PHRASES).format(value)
    return vocabulary.CATEGORIES[value].alias if slot == "CATEGORY" and rng.random() < alias else value


def _bag(query: Query) -> str:
    """The words of a query, regardless of order and punctuation."""
    return " ".join(sorted(normalize(" ".join(query.words)).split()))


def _picks(
    rng: random.Random, attributes: Mapping[str, str], shop: Sequence[Product], plan: Mapping[Label, int]
) -> list[tuple[Product, Label]]:
    """As many products of each label as ``plan`` asks for, half the time the most similar ones; [] if there are too few."""
    by_label: dict[Label | None, list[Product]] = defaultdict(list)
    for product in shuffled(rng, shop):
        by_label[label(attributes, product)].append(product)
    if any(len(by_label[verdict]) < count for verdict, count in plan.items()):
        return []
    if rng.random() < 0.5:
        for candidates in by_label.values():
            candidates.sort(key=lambda product: -_agreeing(attributes, product))
    return [(product, verdict) for verdict, count in plan.items() for product in by_label[verdict][:count]]


def _agreeing(attributes: Mapping[str, str], product: Product) -> int:
    """How many named attributes the product has."""
    return sum(getattr(product, name) == value for name, value in attributes.items())

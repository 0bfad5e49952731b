"""Generates the demo shop: its catalogue, then the searches in it, then the reviews of its products."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from ecomtune.core.records import write_records
from ecomtune.core.text import normalize
from ecomtune.datasets.demo import vocabulary
from ecomtune.datasets.demo.draws import first_fit, pick, shuffled
from ecomtune.datasets.demo.schema import SIZES, Product, Reviews, Split
from ecomtune.datasets.demo.searches import searches


def generate(target: Path, seed: int) -> None:
    """Write the shop's four files into ``target``: equal seeds give equal bytes, on any machine and version of Python."""
    rng = random.Random(f"demo shop {seed}")
    products = _catalogue(rng)
    queries, judgements = searches(rng, products)
    write_records(target / "products.jsonl", products)
    write_records(target / "queries.jsonl", queries)
    write_records(target / "judgements.jsonl", judgements)
    write_records(target / "reviews.jsonl", _all_reviews(rng, products))


def _catalogue(rng: random.Random) -> list[Product]:
    """All products, numbered in shuffled order."""
    brands = shuffled(rng, vocabulary.BRANDS)
    products: list[Product] = []
    for split, size in SIZES.items():
        own, brands = brands[: size.brands], brands[size.brands :]
        for category, brand in _families(rng, own, size.families):
            products += _family(rng, split, category, brand)
    return [
        product.model_copy(update={"id": f"P{number:04d}"}) for number, product in enumerate(shuffled(rng, products), start=1)
    ]


def _families(rng: random.Random, brands: Sequence[str], count: int) -> Iterator[tuple[str, str]]:
    """``count`` different pairs of a category and a brand, over all categories in turn."""
    turns = [(category, shuffled(rng, brands)) for category in shuffled(rng, vocabulary.CATEGORIES)]
    for number in range(count):
        category, order = turns[number % len(turns)]
        yield category, order[number // len(turns)]


def _family(rng: random.Random, split: Split, category: str, brand: str) -> list[Product]:
    """A product and two variants, one in another color, one that differs in something else."""
    options = _options(category)
    first = {"category": category, "brand": brand} | {name: pick(rng, values) for name, values in options.items()}
    changes = ("color", pick(rng, ("size", "material", "feature")))
    variants = [first | {name: pick(rng, [v for v in options[name] if v != first[name]])} for name in changes]
    return [_product(rng, split, values, has_description=values is first) for values in (first, *variants)]


def _options(category: str) -> dict[str, list[str]]:
    """The values that each attribute of a category's products may have."""
    spec = vocabulary.CATEGORIES[category]
    texts = {
        "department": spec.departments,
        "feature": spec.features,
        "material": spec.materials,
        "size": spec.sizes,
        "color": vocabulary.SHELF_COLORS[spec.shelf],
        "occasion": vocabulary.SHELF_OCCASIONS[spec.shelf],
    }
    packs = ["", *filter(None, spec.packs.split(", "))]
    return {name: text.split(", ") for name, text in texts.items()} | {"pack": packs}


def _product(rng: random.Random, split: Split, values: dict[str, str], *, has_description: bool) -> Product:
    low, high = vocabulary.CATEGORIES[values["category"]].prices
    return Product(
        id="",
        title=_title(rng, values),
        price=int(low + rng.random() * (high - low)) + 0.99,
        bullets=_bullets(rng, values),
        description=_description(rng, values) if has_description else None,
        split=split,
        **values,
    )


def _title(rng: random.Random, values: Mapping[str, str]) -> str:
    segments = (_title_segment(segment, values) for segment in pick(rng, vocabulary.TITLES))
    return ", ".join(segment for segment in segments if segment)


def _title_segment(segment: str, values: Mapping[str, str]) -> str:
    """A segment with its slots filled and capitalized."""
    pieces = (_capitalized(values[slot.lower()]) if slot.isupper() else slot for slot in segment.split())
    return " ".join(piece for piece in pieces if piece)


def _capitalized(value: str) -> str:
    """``Navy Blue``, ``Set of 2``, ``32 oz``."""
    return value if value[:1].isdigit() else string.capwords(value).replace(" Of ", " of ")


def _texts(values: Mapping[str, str]) -> dict[str, str]:
    """The values that the templates of bullets and descriptions may mention."""
    return {
        **values,
        "quality": vocabulary.MATERIALS[values["material"]],
        "benefit": vocabulary.FEATURES[values["feature"]],
        "amount": ", ".join(filter(None, (values["size"], values["pack"]))),
    }


def _bullets(rng: random.Random, values: Mapping[str, str]) -> list[str]:
    """Three or four bullets in any order; only the last kind, which repeats the title, may be left out."""
    kinds = vocabulary.BULLETS if rng.random() < 0.7 else vocabulary.BULLETS[:-1]
    return [_sentence(pick(rng, kind).format(**_texts(values))) for kind in shuffled(rng, kinds)]


def _description(rng: random.Random, values: Mapping[str, str]) -> str:
    return " ".join(pick(rng, wordings).format(**_texts(values)) for wordings in vocabulary.DESCRIPTIONS)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _all_reviews(rng: random.Random, products: Sequence[Product]) -> Iterator[Reviews]:
    """Reviews of each product that has a description, all worded differently."""
    seen: set[str] = set()

    def draw(product: Product) -> Reviews | None:
        reviews = _reviews(rng, product)
        return reviews if _wording(reviews) not in seen else None

    for product in products:
        if product.description is not None:
            reviews = first_fit(partial(draw, product), f"new reviews of {product.category}")
            seen.add(_wording(reviews))
            yield reviews


def _wording(reviews: Reviews) -> str:
    return normalize(" ".join(reviews.reviews))


def _reviews(rng: random.Random, product: Product) -> Reviews:
    """Four reviews about up to three parts of a product, and their summary."""
    kind = pick(rng, list(vocabulary.OPINIONS))
    aspects = vocabulary.ASPECTS[vocabulary.CATEGORIES[product.category].shelf]
    parts = dict(zip(("LIKED", "ALSO", "FAULT"), shuffled(rng, aspects), strict=False))
    reviews = [
        _review(rng, product, [(parts[role], praised) for role, praised in opinions])
        for opinions in _opinions_by_reviewer(rng, kind)
    ]
    return Reviews(product_id=product.id, reviews=reviews, summary=_summary(rng, kind, parts, reviews), split=product.split)


def _opinions_by_reviewer(rng: random.Random, kind: str) -> list[list[tuple[str, bool]]]:
    """The opinions of four reviewers (part, praised): one or two each, never two about the same part."""

    def draw() -> list[list[tuple[str, bool]]] | None:
        reviewers: list[list[tuple[str, bool]]] = [[], [], [], []]
        for role, praised, count in vocabulary.OPINIONS[kind]:
            for reviewer in shuffled(rng, reviewers)[:count]:
                reviewer.append((role, praised))
        fits = all(0 < len(opinions) <= 2 and len({role for role, _ in opinions}) == len(opinions) for opinions in reviewers)
        return reviewers if fits else None

    return [shuffled(rng, opinions) for opinions in first_fit(draw, f"four reviewers for {kind!r}")]


def _review(rng: random.Random, product: Product, opinions: Sequence[tuple[str, bool]]) -> str:
    """A review of one or two sentences."""
    opening = pick(rng, vocabulary.REVIEW_OPENINGS).format(**product.model_dump())
    claims = [_claim(rng, product, part, praised) for part, praised in opinions]
    full_sentence = opening.endswith(". ")
    if not full_sentence and rng.random() < 0.5:
        body = ". ".join([claims[0], *map(_sentence, claims[1:])])
    else:
        body = (", and " if len({praised for _, praised in opinions}) == 1 else ", but ").join(claims)
    return opening + (_sentence(body) if full_sentence or not opening else body) + "."


def _claim(rng: random.Random, product: Product, part: str, praised: bool) -> str:
    aspect = vocabulary.ASPECTS[vocabulary.CATEGORIES[product.category].shelf][part]
    return f"the {part} {pick(rng, aspect.praise if praised else aspect.fault)}"


def _summary(rng: random.Random, kind: str, parts: Mapping[str, str], reviews: Sequence[str]) -> str:
    """A summary of this kind; of two parts that are praised equally, the one mentioned first comes first."""
    text = " ".join(reviews).lower()
    names = dict(parts)
    if kind in ("one faults", "no fault"):
        praised = (parts["LIKED"], parts["ALSO"])
        names["LIKED"], names["ALSO"] = sorted(praised, key=lambda part: text.find(f"the {part} "))
    return re.sub(r"[A-Z]{4,}", lambda match: names[match[0]], pick(rng, vocabulary.SUMMARIES[kind]))

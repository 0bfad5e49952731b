"""How the demo shop is made: its catalogue, then what is searched for in it, then what shoppers say of it."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from ecomtune.core.records import write_records
from ecomtune.core.text import normalize
from ecomtune.datasets.demo import vocabulary as words
from ecomtune.datasets.demo.draws import first_fit, pick, shuffled
from ecomtune.datasets.demo.schema import SIZES, Product, Reviews, Split
from ecomtune.datasets.demo.searches import searches


def generate(target: Path, seed: int) -> None:
    """Write the shop's four files into ``target``: equal seeds give equal bytes, on any machine and Python."""
    rng = random.Random(f"demo shop {seed}")
    products = _catalogue(rng)
    queries, judgements = searches(rng, products)
    write_records(target / "products.jsonl", products)
    write_records(target / "queries.jsonl", queries)
    write_records(target / "judgements.jsonl", judgements)
    write_records(target / "reviews.jsonl", _all_reviews(rng, products))


def _catalogue(rng: random.Random) -> list[Product]:
    """All products, numbered in shuffled order."""
    brands = shuffled(rng, words.BRANDS)
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
    turns = [(category, shuffled(rng, brands)) for category in shuffled(rng, words.CATEGORIES)]
    for number in range(count):
        category, order = turns[number % len(turns)]
        yield category, order[number // len(turns)]


def _family(rng: random.Random, split: Split, category: str, brand: str) -> list[Product]:
    """A product and two variants, one in another color, one that differs in something else."""
    options = _options(category)
    lead = {"category": category, "brand": brand} | {name: pick(rng, values) for name, values in options.items()}
    changes = ("color", pick(rng, ("size", "material", "feature")))
    variants = [lead | {name: pick(rng, [v for v in options[name] if v != lead[name]])} for name in changes]
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
    segments = (_title_segment(segment, values) for segment in pick(rng, words.TITLES))
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
    return [_sentence(pick(rng, kind).format(**_texts(values))) for kind in shuffled(rng, kinds)]


def _description(rng: random.Random, values: Mapping[str, str]) -> str:
    return " ".join(pick(rng, wordings).format(**_texts(values)) for wordings in words.DESCRIPTIONS)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _all_reviews(rng: random.Random, products: Sequence[Product]) -> Iterator[Reviews]:
    """Reviews of each product that has a description, no two with the same wording."""
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
    kind = pick(rng, list(words.OPINIONS))
    aspects = words.ASPECTS[words.CATEGORIES[product.category].shelf]
    parts = dict(zip(("LIKED", "ALSO", "FAULT"), shuffled(rng, aspects), strict=False))
    reviews = [_review(rng, product, [(parts[role], praised) for role, praised in said]) for said in _speakers(rng, kind)]
    return Reviews(product_id=product.id, reviews=reviews, summary=_summary(rng, kind, parts, reviews), split=product.split)


def _speakers(rng: random.Random, kind: str) -> list[list[tuple[str, bool]]]:
    """Who says what: each of four reviewers has one or two opinions, never two about the same part."""

    def draw() -> list[list[tuple[str, bool]]] | None:
        said: list[list[tuple[str, bool]]] = [[], [], [], []]
        for role, praised, count in words.OPINIONS[kind]:
            for reviewer in shuffled(rng, said)[:count]:
                reviewer.append((role, praised))
        fits = all(0 < len(opinions) <= 2 and len({role for role, _ in opinions}) == len(opinions) for opinions in said)
        return said if fits else None

    return [shuffled(rng, opinions) for opinions in first_fit(draw, f"four reviewers for {kind!r}")]


def _review(rng: random.Random, product: Product, opinions: Sequence[tuple[str, bool]]) -> str:
    """One or two sentences."""
    opening = pick(rng, words.REVIEW_OPENINGS).format(**product.model_dump())
    claims = [_claim(rng, product, part, praised) for part, praised in opinions]
    full_sentence = opening.endswith(". ")
    if not full_sentence and rng.random() < 0.5:
        body = ". ".join([claims[0], *map(_sentence, claims[1:])])
    else:
        body = (", and " if len({praised for _, praised in opinions}) == 1 else ", but ").join(claims)
    return opening + (_sentence(body) if full_sentence or not opening else body) + "."


def _claim(rng: random.Random, product: Product, part: str, praised: bool) -> str:
    aspect = words.ASPECTS[words.CATEGORIES[product.category].shelf][part]
    return f"the {part} {pick(rng, aspect.praise if praised else aspect.fault)}"


def _summary(rng: random.Random, kind: str, parts: Mapping[str, str], reviews: Sequence[str]) -> str:
    """The summary of a kind; of two parts that are praised alike, the one mentioned first comes first."""
    text = " ".join(reviews).lower()
    names = dict(parts)
    if kind in ("one faults", "no fault"):
        alike = (parts["LIKED"], parts["ALSO"])
        names["LIKED"], names["ALSO"] = sorted(alike, key=lambda part: text.find(f"the {part} "))
    return re.sub(r"[A-Z]{4,}", lambda match: names[match[0]], pick(rng, words.SUMMARIES[kind]))

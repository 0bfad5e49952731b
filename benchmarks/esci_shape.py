"""Files of ESCI's shape and size with made-up words: 2.6 million judgements of 130,652 queries over 1.8 million products."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ecomtune.datasets.esci import EXAMPLES, PRODUCTS

SEED: Final = 7
#: How often each label is given: about the shares of ESCI's US part.
LABELS: Final = {"E": 0.65, "S": 0.22, "C": 0.03, "I": 0.10}
TEST_SHARE: Final = 0.24
SYLLABLES: Final = ("ba", "do", "fen", "gri", "hal", "jun", "ka", "lor", "mi", "nor", "pel", "qui", "ros", "tam", "vel", "zu")
COLORS: Final = ("black", "white", "navy blue", "forest green", "crimson", "teal", "olive", "")
PIECE: Final = 200_000

Places = NDArray[np.int64]


@dataclass(frozen=True)
class Shape:
    """How many there are of each; the defaults are ESCI's own numbers, about 1.8 million products."""

    judgements: int = 2_621_288
    queries: int = 130_652
    products: int = 1_814_924


def write(folder: Path, shape: Shape) -> None:
    """Write both parquet files into ``folder``; the same shape gives the same rows."""
    rng = np.random.default_rng(SEED)
    words = np.array(["".join(rng.choice(SYLLABLES, size)) for size in rng.integers(2, 4, 4_000)])
    sentences = np.array([" ".join(rng.choice(words, 12)).capitalize() + "." for _ in range(4_000)])
    folder.mkdir(parents=True, exist_ok=True)
    pl.concat(
        [
            _products(start, min(start + PIECE, shape.products), words, sentences, rng)
            for start in range(0, shape.products, PIECE)
        ]
    ).write_parquet(folder / PRODUCTS)
    _examples(shape, words, rng).write_parquet(folder / EXAMPLES)


def _joined(choices: NDArray[np.str_], rng: np.random.Generator, rows: int, size: int, by: str = " ") -> pl.Series:
    """``rows`` texts of ``size`` choices each."""
    picked = pl.Series(choices).gather(rng.integers(len(choices), size=rows * size))
    return picked.reshape((rows, size)).arr.join(by)


def _products(
    start: int, stop: int, words: NDArray[np.str_], sentences: NDArray[np.str_], rng: np.random.Generator
) -> pl.DataFrame:
    rows = stop - start
    brand = _joined(words[:400], rng, rows, 1).str.to_titlecase()
    described = pl.Series(rng.random(rows) < 0.5)
    return pl.DataFrame(
        {
            "product_id": _identities(np.arange(start, stop)),
            "product_title": brand + " " + _joined(words, rng, rows, 14),
            "product_description": _joined(sentences, rng, rows, 6).set(~described, None),
            "product_bullet_point": _joined(sentences, rng, rows, 5, "\n").set(~pl.Series(rng.random(rows) < 0.85), None),
            "product_brand": brand,
            "product_color": _joined(np.array(COLORS), rng, rows, 1),
            "product_locale": ["us"] * rows,
        }
    )


def _identities(places: Places) -> pl.Series:
    return "B" + pl.Series(places).cast(pl.String).str.zfill(9)


def _examples(shape: Shape, words: NDArray[np.str_], rng: np.random.Generator) -> pl.DataFrame:
    query = np.sort(rng.integers(shape.queries, size=shape.judgements))
    texts = _joined(words, rng, shape.queries, 4) + " " + pl.Series(np.arange(shape.queries)).cast(pl.String)  # all different
    test = rng.random(shape.queries) < TEST_SHARE
    return pl.DataFrame(
        {
            "example_id": np.arange(shape.judgements),
            "query": texts.gather(query),
            "query_id": query,
            "product_id": _identities(rng.integers(shape.products, size=shape.judgements)),
            "product_locale": ["us"] * shape.judgements,
            "esci_label": pl.Series(list(LABELS)).gather(rng.choice(len(LABELS), shape.judgements, p=list(LABELS.values()))),
            "small_version": rng.integers(2, size=shape.judgements),
            "large_version": np.ones(shape.judgements, dtype=np.int64),
            "split": pl.Series(["train", "test"]).gather(test[query].astype(np.int64)),
        }
    )

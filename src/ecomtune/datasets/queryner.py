"""QueryNER: search queries of the Amazon Shopping Queries data set with entity spans (arXiv 2405.09507).

Source: github.com/bltlab/query-ner, three CoNLL files (token TAB tag, a blank line after each query). Licence: annotations
MIT, queries Apache-2.0 (ESCI). Size: 7,841 / 871 / 993 queries; 17,507 / 1,930 / 2,319 entities of 17 types. Known
faults: two pairs of training queries differ only in punctuation; none crosses a split. Test queries 151 and 413 have an
I- tag after another type, which is no IOB2: it is read as B-, so that no gold tag and no query is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ecomtune.errors import UserError
from ecomtune.records import Row
from ecomtune.sections import Dataset
from ecomtune.text import normalize

TASKS: Final = ("ner",)
SPLITS: Final = {"train": "train.txt", "validation": "dev.txt", "test": "test.txt"}


def rows(raw: Path, task: str, dataset: Dataset) -> Iterator[Row]:
    """Rows of the official splits, in file order. Raises UserError naming the file and line that can't be read."""
    for split, name in SPLITS.items():
        for number, (words, tags) in enumerate(read_conll(raw / name), start=1):
            query = " ".join(words)
            yield Row(
                fields={"words": words},
                reference=as_iob2(tags),
                group=normalize(query) or query,
                split=split,
                source=f"queryner:{name}:{number}",
            )


def as_iob2(tags: Sequence[str]) -> list[str]:
    """``tags`` with B- in place of each I- that continues no entity of its type."""
    before = ["O", *tags]
    return [
        f"B-{tag[2:]}" if tag.startswith("I-") and previous[2:] != tag[2:] else tag
        for previous, tag in zip(before, tags, strict=False)
    ]


def read_conll(path: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Words and tags of each query in a CoNLL file of two tab-separated columns."""
    words: list[str] = []
    tags: list[str] = []
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                parts = line.rstrip("\n").split("\t")
                if parts == [""]:
                    if words:
                        yield words, tags
                    words, tags = [], []
                elif len(parts) == 2 and all(parts):
                    words.append(parts[0])
                    tags.append(parts[1])
                else:
                    raise UserError(f"{path} line {number}: expected a word, a tab and a tag; download the file again")
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read as UTF-8 text ({error}); download it again (dvc repro download)") from error
    if words:
        yield words, tags

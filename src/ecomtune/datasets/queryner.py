"""QueryNER: search queries of the Amazon Shopping Queries data set with entity spans (arXiv 2405.09507).

Source: github.com/bltlab/query-ner, three CoNLL files. Licence: annotations MIT, queries Apache-2.0 (ESCI). Size: 7,841 / 871
/ 993 queries; 17,507 / 1,930 / 2,319 entities of 17 types. Columns: token and tag, separated by a tab; a blank line ends a
query. Known faults: two pairs of training queries differ only in punctuation; none crosses a split. Test queries 151 and 413
have an I- tag after another type, which is not valid IOB2: it is read as B-, so that no gold tag and no query is lost.

Two more files are optional: ``offsets.jsonl`` (offset-splits/test.jsonl of the source: the ESCI example of each test query)
and ``annotator-1.jsonl`` to 3 (individual_annotator_offsets, MIT: each annotator's own labels of 1,000 examples, before they
were reconciled into gold). With them, test rows hold the answers of annotator_1 to 3, the human ceiling, for systems of kind
recorded. The annotators' type obscure, which the released data don't have, is read as O.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from ecomtune.core.config import Dataset
from ecomtune.core.config.definition import TaskDefinition
from ecomtune.core.records import Reference, Row
from ecomtune.core.text import normalize
from ecomtune.datasets.reading.raw_files import PIN_ADVICE, check_file, json_object
from ecomtune.messages.errors import UserError

KINDS: Final = {"ner": ("words",)}
#: Tokens of a typical row, of its inputs and target without the instruction: the mean of 200 rows (3.5 characters a token).
ROW_TOKENS: Final = {"ner": 20}
SPLITS: Final = {"train": "train.txt", "validation": "dev.txt", "test": "test.txt"}
#: The files of annotators' own labels.
ANNOTATORS: Final = "annotator-*.jsonl"
#: The tags of words whose meaning the annotators didn't know.
OBSCURE: Final = ("B-obscure", "I-obscure")
#: Gold labels of a test query, and each annotator's.
Annotated = tuple[list[str], dict[str, list[str]]]


def rows(raw: Path, task: TaskDefinition, dataset: Dataset) -> Iterator[Row]:
    """Rows of the official splits, in file order. Raises UserError naming the file and line that can't be read."""
    annotated = read_annotators(raw)
    for split, name in SPLITS.items():
        for number, (words, tags) in enumerate(read_conll(raw / name), start=1):
            query, gold = " ".join(words), as_iob2(tags)
            yield Row(
                fields={"words": words},
                reference=gold,
                group=normalize(query) or query,
                split=split,
                source=f"queryner:{name}:{number}",
                answers=_answers_to(number, gold, annotated) if split == "test" and annotated else {},
            )


def answerers(dataset: Dataset) -> list[str]:
    """annotator_1 and so on, for each annotator's file of the data set."""
    names = [Path(file.path).name for file in dataset.files if fnmatch(file.path, ANNOTATORS)]
    return sorted(_annotator(name) for name in names)


def _annotator(file: str) -> str:
    """The name of the annotator whose labels a file holds."""
    return file.removesuffix(".jsonl").replace("-", "_")


def _answers_to(number: int, gold: list[str], annotated: Sequence[Annotated]) -> dict[str, Reference]:
    """The annotators' tags of the test query of that number. Raises UserError where theirs are of another query."""
    offsets, answers = annotated[number - 1] if number <= len(annotated) else ([], {})
    if as_iob2(offsets) != gold or any(len(labels) != len(gold) for labels in answers.values()):
        raise UserError(
            f"queryner: test query {number} has other labels in offsets.jsonl or an annotator's file than in test.txt; use "
            "files of one release"
        )
    return {annotator: as_iob2(["O" if tag in OBSCURE else tag for tag in labels]) for annotator, labels in answers.items()}


def read_annotators(raw: Path) -> list[Annotated]:
    """The gold labels of each test query and each annotator's own; empty where ``raw`` has no annotators' files.

    Raises UserError where a file doesn't consist of such JSON lines, or lacks a test query.
    """
    files = sorted(raw.glob(ANNOTATORS))
    labels_of = {file: dict(_labelled(file)) for file in files}
    found = []
    for example, gold in _labelled(raw / "offsets.jsonl") if files else ():
        if lacking := [file for file in files if example not in labels_of[file]]:
            raise UserError(f"{lacking[0]} has no labels for example {example}; download it again (dvc repro download)")
        found.append((gold, {_annotator(file.name): labels_of[file][example] for file in files}))
    return found


def _labelled(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The example and the labels of each line."""
    check_file(path)
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            value = json_object(line)
            example, labels = (value.get("example_id"), value.get("labels")) if isinstance(value, dict) else (None, None)
            if not isinstance(example, int) or not isinstance(labels, list) or not all(isinstance(tag, str) for tag in labels):
                raise UserError(f"{path} line {number} is not an object with an example_id and labels; {PIN_ADVICE}")
            yield example, labels


def as_iob2(tags: Sequence[str]) -> list[str]:
    """``tags`` with B- in place of each I- that doesn't continue an entity of its type."""
    previous_tags = ["O", *tags]
    return [
        f"B-{tag[2:]}" if tag.startswith("I-") and previous[2:] != tag[2:] else tag
        for previous, tag in zip(previous_tags, tags, strict=False)
    ]


def read_conll(path: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Words and tags of each query in a CoNLL file of two tab-separated columns."""
    check_file(path)
    words: list[str] = []
    tags: list[str] = []
    try:
        with path.open(encoding="utf-8-sig") as file:
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
    except UnicodeDecodeError as error:
        again = f"download it again (dvc repro download@{path.parent.name})"
        raise UserError(f"{path} can't be read as UTF-8 text ({error}); {again}") from error
    if words:
        yield words, tags

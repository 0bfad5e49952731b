"""Relevance classification: how well a product fits a search query (ESCI task 2, Apache-2.0).

The four labels and their meaning are ESCI's (arXiv 2206.06588); the wording is ours.
"""

from __future__ import annotations

from typing import Final

from ecomtune.core.records import Reference
from ecomtune.core.task_inputs import TASK_INPUTS
from ecomtune.core.text import normalize
from ecomtune.tasks.base import Fields, Task, text_of

LABELS: Final = ("Exact", "Substitute", "Complement", "Irrelevant")


def missing_words(fields: Fields) -> str:
    """The query's words that the product's text lacks, which small models don't find reliably by comparing the two texts."""
    product = {word for name in ("title", "brand", "color") for word in normalize(text_of(fields, name)).split()}
    return " ".join(word for word in normalize(text_of(fields, "query")).split() if word not in product) or "none"


class Relevance(Task):
    """Inputs: ``query``, ``title`` and, where known, ``brand`` and ``color``. Reference: one of LABELS."""

    name = "relevance"
    version = 1
    required_fields = TASK_INPUTS["relevance"].required
    decoder = TASK_INPUTS["relevance"].answer
    labels = LABELS
    metric = "classification"
    main_metric = "macro_f1"
    instructions = {
        "compact": (
            "How well does the product fit the search query? Exact: all that was asked for. Substitute: the right kind, "
            "but something differs. Complement: goes with what was asked for. Irrelevant: none of these. Answer with one word."
        ),
        "long": (
            "You are an expert judge of search results in an online shop. Read the customer's query and the product, and "
            "decide how well the product fits.\n"
            "Exact: the product is what was asked for and meets every wish in the query.\n"
            "Substitute: the product misses at least one wish, but could serve in its place.\n"
            "Complement: the product is not what was asked for, but is used together with it.\n"
            "Irrelevant: the product has nothing to do with the query, or misses what matters most in it.\n"
            "Output only one word: Exact, Substitute, Complement or Irrelevant.\n"
            "Example\nQuery: red phone case\nProduct: Acme Slim Case for Phones, Blue\nMissing: red phone\nFit: Substitute"
        ),
    }

    def body(self, fields: Fields) -> str:
        title = text_of(fields, "title")
        words = f" {normalize(title)} "
        others = [text_of(fields, name) for name in ("brand", "color")]
        added = [text for text in others if normalize(text) and f" {normalize(text)} " not in words]
        product = ", ".join([title, *added])
        return f"Query: {text_of(fields, 'query')}\nProduct: {product}\nMissing: {missing_words(fields)}\nFit:"

    def target(self, fields: Fields, reference: Reference) -> str:
        if reference not in LABELS:
            raise ValueError(f"label {reference!r} is not one of {', '.join(LABELS)}")
        return str(reference)

    def parse(self, answer: str, fields: Fields) -> str | None:
        word = answer.strip().rstrip(".").capitalize()
        return word if word in LABELS else None


TASK = Relevance()

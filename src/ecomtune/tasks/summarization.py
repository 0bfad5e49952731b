"""Review summarization: one short text that says what the reviews of a product agree on.

Scored by ROUGE against one or more references; the wording of the prompt is ours.
"""

from __future__ import annotations

from ecomtune.core.records import Reference
from ecomtune.core.task_inputs import TASK_INPUTS
from ecomtune.tasks.base import Fields, Task, as_texts, first_text, texts_of


class Summarization(Task):
    """Inputs: ``reviews`` (texts). Reference: one or more summaries, the first of which is the target."""

    name = "summarization"
    version = 1
    required_fields = TASK_INPUTS["summarization"].required
    decoder = TASK_INPUTS["summarization"].answer
    metric = "rouge"
    main_metric = "rougeL"
    instructions = {
        "compact": "Summarize what the reviews of a product agree on, in one or two sentences.",
        "long": (
            "You are an editor who writes short verdicts for shoppers. Read the customer reviews of one product and write "
            "what they agree on: first what is liked, then what is not. Do not invent anything, do not count reviews, "
            "and do not speak of yourself.\n"
            "Output only the verdict, in plain sentences.\n"
            "Example\nReviews:\n- Warm and soft, but the zip broke.\n- Lovely fabric. Zip feels cheap.\n"
            "Summary: Warm, soft fabric that buyers love, let down by a weak zip."
        ),
    }

    def body(self, fields: Fields) -> str:
        reviews = "\n".join(f"- {review}" for review in texts_of(fields, "reviews"))
        return f"Reviews:\n{reviews}\nSummary:"

    def target(self, fields: Fields, reference: Reference) -> str:
        return first_text(reference)

    def parse(self, answer: str, fields: Fields) -> list[str] | None:
        return as_texts(answer)


TASK = Summarization()

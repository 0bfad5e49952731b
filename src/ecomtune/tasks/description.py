"""Product description generation: a selling text from a product's title, brand, color and bullet points.

Scored by ROUGE; the inputs are the study's, the wording of the prompt is ours.
"""

from __future__ import annotations

from ecomtune.core.records import Reference
from ecomtune.core.task_inputs import TASK_INPUTS
from ecomtune.tasks.base import Fields, Task, as_texts, first_text, text_of, texts_of


class Description(Task):
    """Inputs: ``title``, ``bullets`` and, where known, ``brand`` and ``color``. Reference: one or more descriptions."""

    name = "description"
    version = 1
    required_fields = TASK_INPUTS["description"].required
    decoder = TASK_INPUTS["description"].answer
    metric = "rouge"
    main_metric = "rougeL"
    instructions = {
        "compact": "Write the product description for a shop page from the product's data, in two or three sentences.",
        "long": (
            "You are a copywriter of an online shop. Write the description of one product for its page from the data "
            "below: say what it is, what it offers and for whom it is made. Use only what the data say, and do not "
            "repeat the title word for word.\n"
            "Output only the description, in plain sentences.\n"
            "Example\nTitle: Acme Travel Mug 12 oz, Black\nBrand: Acme\nColor: black\nFeatures:\n"
            "- Keeps drinks hot for 6 hours\n- Leak-proof lid\n"
            "Description: Take your coffee along: this black 12 oz mug keeps it hot for six hours, and its lid never leaks."
        ),
    }

    def body(self, fields: Fields) -> str:
        known = [f"{name.capitalize()}: {text_of(fields, name)}" for name in ("brand", "color") if text_of(fields, name)]
        bullets = [f"- {bullet}" for bullet in texts_of(fields, "bullets")]
        return "\n".join([f"Title: {text_of(fields, 'title')}", *known, "Features:", *bullets, "Description:"])

    def target(self, fields: Fields, reference: Reference) -> str:
        return first_text(reference)

    def parse(self, answer: str, fields: Fields) -> list[str] | None:
        return as_texts(answer)


TASK = Description()

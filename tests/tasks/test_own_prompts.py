"""What a task's definition makes of rows: prompts, targets and meanings of answers, for labels and types of one's own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecomtune.core.config.definition import TaskDefinition
from ecomtune.tasks.base import Task
from ecomtune.tasks.ner import Ner
from ecomtune.tasks.registry import task_from

DEPARTMENT: dict[str, Any] = {
    "kind": "classification",
    "inputs": {"title": "Product", "brand": "Brand", "text": "Description"},
    "optional": ["brand", "text"],
    "append": {"title": ["brand"]},
    "labels": ["Kitchen", "Home & Garden", "No. 5", "3"],
    "instruction": {"compact": "Which department?", "long": "Say which department the product belongs to."},
}
BRANDS: dict[str, Any] = {
    "kind": "ner",
    "inputs": {"text": "Text"},
    "types": ["BRAND", "SIZE"],
    "instruction": "Find them.",
}


def task(values: dict[str, Any], **changes: Any) -> Task:
    return task_from("own", TaskDefinition.model_validate({**values, **changes}))


def test_labels_that_the_instruction_does_not_name_are_listed_behind_it() -> None:
    assert task(DEPARTMENT).instruction("compact") == "Which department?\nLabels: Kitchen, Home & Garden, No. 5, 3."
    named = task(DEPARTMENT, instruction="Kitchen, Home & Garden, No. 5 or 3?")
    assert named.instruction("compact") == "Kitchen, Home & Garden, No. 5 or 3?" == named.instruction("long")
    meant = task(DEPARTMENT, labels={"Kitchen": "to cook", "Office": ""})
    assert meant.instruction("long").endswith("belongs to.\nLabels:\n- Kitchen: to cook\n- Office")


def test_a_prompt_has_a_line_for_each_input_that_a_row_has() -> None:
    own = task(DEPARTMENT)
    assert (
        own.body({"title": "Acme pan", "brand": "Acme", "text": "Fries."}) == "Product: Acme pan\nDescription: Fries.\nLabel:"
    )
    assert own.body({"title": "Pan", "brand": "Acme"}) == "Product: Pan, Acme\nLabel:"
    assert own.prompt({"title": "Pan"}, "long", [({"title": "Mug"}, "3")]).endswith(
        "\n\nProduct: Mug\nLabel: 3\n\nProduct: Pan\nLabel:"
    )


@pytest.mark.parametrize("label", DEPARTMENT["labels"])
def test_a_label_of_any_form_parses_back_in_any_case_and_with_a_full_stop(label: str) -> None:
    own = task(DEPARTMENT)
    assert own.target({}, label) == label
    assert [own.parse(text, {}) for text in (label, label.upper(), f" {label.lower()}.\n")] == [label] * 3


def test_an_unknown_label_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ValueError, match=r"^label 'Kitchn' is not one of Kitchen, Home .*, 3; the nearest is Kitchen$"):
        task(DEPARTMENT).target({}, "Kitchn")
    many = task(DEPARTMENT, labels=[f"label {number:03}" for number in range(110)])
    with pytest.raises(ValueError, match=r"^label 'x' is not one of label 000, .*, label 007 and 102 others$"):
        many.target({}, "x")


def test_the_form_of_tags_is_explained_where_the_instruction_does_not() -> None:
    shown = task(BRANDS).instruction("compact")
    assert shown.startswith("Find them.\nTypes: brand, size.\nWrite one line a word:") and "+" in shown and "none" in shown
    complete = "Types: brand, size. Write + to continue, none for others."
    assert task(BRANDS, instruction=complete).instruction("compact") == complete


def test_tags_of_own_types_parse_back() -> None:
    own, fields = task(BRANDS), {"text": ["Acme", "mug", "12", "oz"]}
    tags = ["B-BRAND", "O", "B-SIZE", "I-SIZE"]
    assert (
        own.target(fields, tags) == "Acme brand\nmug none\n12 size\noz +"
        and own.parse(own.target(fields, tags), fields) == tags
    )
    assert list(own.answer_choices("brand")) == ["brand", "size", "none", "+"]


@pytest.mark.parametrize(
    ("pairs", "tags"),
    [
        ([["BRAND", "Acme"], ["SIZE", "12 oz"]], ["B-BRAND", "O", "O", "B-SIZE", "I-SIZE"]),
        ([["SIZE", "12oz"]], ["O", "O", "O", "B-SIZE", "I-SIZE"]),
        ([["BRAND", "mug/"], ["SIZE", "mug"]], ["O", "B-BRAND", "I-BRAND", "O", "O"]),
        ([["BRAND", "Other"], ["COLOR", "mug"]], ["O", "O", "O", "O", "O"]),
        ([], ["O", "O", "O", "O", "O"]),
    ],
)
def test_recorded_pairs_are_tags_where_the_words_spell_them(pairs: list[list[str]], tags: list[str]) -> None:
    own, fields = task(BRANDS), {"text": ["Acme", "mug", "/", "12", "oz"]}
    assert own.parse(json.dumps(pairs), fields) == tags
    assert isinstance(own, Ner) and own.recorded_pairs(json.dumps(pairs)) == [tuple(pair) for pair in pairs]


@pytest.mark.parametrize("answer", ["[", "[1]", '[["BRAND"]]', '{"BRAND": "Acme"}', '["BRAND", "Acme"]', "Acme brand"])
def test_what_is_no_list_of_pairs_is_none(answer: str) -> None:
    own, fields = task(BRANDS), {"text": ["Acme", "mug"]}
    assert isinstance(own, Ner) and own.recorded_pairs(answer) is None and own.parse(answer, fields) is None


def test_texts_without_blanks_are_compared_by_character() -> None:
    pair = task(DEPARTMENT, inputs={"query": "Q", "title": "T"}, optional=[], append={}, hints=["missing_words"])
    assert "\nMissing: 赤\n" in pair.body({"query": "赤いマグ", "title": "白いマグカップ"})

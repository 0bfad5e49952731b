"""A task's file is read as it is written, and what is wrong with it is said in one sentence with the file and the key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ecomtune.core.config.definition import MAIN_METRICS, TaskDefinition
from ecomtune.core.definitions import dump_definition, formatted_task_definition, read_definition
from ecomtune.core.files import write_text
from ecomtune.core.paths import formatted_definition
from ecomtune.messages.errors import UserError
from tests.support.tasks import STUDY, definition, load_task

LABELS: dict[str, Any] = {
    "kind": "classification",
    "inputs": {"title": "Product", "text": "Description"},
    "optional": ["text"],
    "labels": ["Kitchen", "Outdoor", "Office"],
    "instruction": "Which department does the product belong to?",
}
TYPES: dict[str, Any] = {
    "kind": "ner",
    "inputs": {"text": "Text"},
    "types": ["BRAND", "SIZE"],
    "instruction": "Label the words.",
}
TEXT: dict[str, Any] = {"kind": "summarization", "inputs": {"review": "Review"}, "instruction": "Write a headline."}


def read(folder: Path, values: Any) -> TaskDefinition:
    write_text(folder / "tasks/own.yaml", values if isinstance(values, str) else yaml.safe_dump(values, sort_keys=False))
    return read_definition("own", folder)


@pytest.mark.parametrize(
    ("given", "changes", "sentence"),
    [
        (LABELS, {"kind": "sentiment"}, "kind: Input should be 'classification', 'ner', 'summarization' or 'generation'"),
        (LABELS, {"inputs": {}}, "inputs: "),
        (LABELS, {"inputs": {"title": " "}}, "inputs.title: "),
        (
            LABELS,
            {"optional": ["color"]},
            "optional: 'color' is not one of inputs (title, text); add it there or correct the name",
        ),
        (LABELS, {"optional": ["title", "text"]}, "optional: every input is optional; leave at least one out of it"),
        (LABELS, {"lists": ["bullets"]}, "lists: 'bullets' is not one of inputs"),
        (LABELS, {"append": {"title": ["brand"]}}, "append: 'brand' is not one of inputs"),
        (LABELS, {"append": {"text": ["title"]}}, "append: title must be one of optional"),
        (LABELS, {"labels": ["Kitchen"]}, "labels: there must be 2 to 500, not 1"),
        (LABELS, {"labels": [f"label {n:03}" for n in range(501)]}, "labels: there must be 2 to 500, not 501"),
        (LABELS, {"labels": []}, "labels: a classification task needs them; list what an answer may name"),
        (LABELS, {"labels": ["A", "A"]}, "labels: the same name is listed twice; remove one"),
        (LABELS, {"labels": [True, False]}, "labels: True is not text; put it in quotes"),
        (LABELS, {"labels": ["Yes", "YES."]}, "labels: 'Yes' and 'YES.' differ only in case or a full stop; rename one"),
        (
            LABELS,
            {"labels": ["Home", "Home Office"]},
            "labels: 'Home' is the beginning of 'Home Office', so that an answer could",
        ),
        (LABELS, {"labels": ["a  b", "c"]}, "labels: 'a b' must be one line of text"),
        (LABELS, {"types": ["BRAND"]}, "types: a classification task has none; remove the key, or set kind to ner"),
        (LABELS, {"instruction": ""}, "instruction.compact: "),
        (LABELS, {"instruction": {"long": "x"}}, "instruction.compact: this key is missing; add it"),
        (LABELS, {"metric": "rougeL"}, "metric: 'rougeL' is not one of macro_f1, micro_f1, weighted_f1, accuracy"),
        (
            LABELS,
            {"metric": "macro_f1", "f1_of": "Kitchen"},
            "f1_of: the label's F1 is the main metric, and metric names another",
        ),
        (LABELS, {"f1_of": "Garden"}, "f1_of: 'Garden' is not one of labels (Kitchen, Outdoor, Office); correct the name"),
        (LABELS, {"hint": ["missing_words"]}, "hint: unknown key; remove it or correct its spelling to hints"),
        (LABELS, {"tokenizer": "unicode"}, "tokenizer: ROUGE has one, and a classification task isn't scored by ROUGE"),
        (
            TYPES,
            {"types": {"BRAND": "brand", "SIZE": "brand"}},
            "types.SIZE: 'brand' is also the word of BRAND; choose another",
        ),
        (TYPES, {"types": {"BRAND": "brand name"}}, "types.BRAND: 'brand name' must be one word"),
        (
            TYPES,
            {"types": {"BRAND": "none"}},
            "types.BRAND: 'none' must be one word, by which answers name the type, and not none",
        ),
        (TYPES, {"types": ["Sport Type"]}, "types: 'Sport Type' must be one word, as in the tags B-Sport"),
        (TYPES, {"inputs": {"text": "Text", "title": "Title"}}, "inputs: a ner task has one input"),
        (TYPES, {"hints": ["missing_words"]}, "hints: missing_words compares the first input with others"),
        (TEXT, {"labels": ["A", "B"]}, "labels: a summarization task has none; remove the key, or set kind to classification"),
    ],
)
def test_a_wrong_definition_is_refused_by_file_key_and_remedy(
    tmp_path: Path, given: dict[str, Any], changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, {**given, **changes})
    assert str(caught.value).startswith(f"tasks/own.yaml: {sentence}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "kind", "- kind: ner", "42"])
def test_a_definition_that_is_no_mapping_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(
        UserError, match=r"^tasks/own.yaml: it must be a mapping of keys to values; begin with kind, inputs and"
    ):
        read(tmp_path, content)


def test_a_missing_definition_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    read(tmp_path, TEXT)
    with pytest.raises(UserError) as caught:
        read_definition("owm", tmp_path)
    assert str(caught.value) == (
        "tasks/owm.yaml is missing (did you mean own?); write the task's definition there, or name another one (there: own) in "
        "tasks.owm.definition"
    )


def test_labels_may_be_numbers_and_carry_meanings(tmp_path: Path) -> None:
    assert list(read(tmp_path, {**LABELS, "labels": [1, 2, 3]}).labels) == ["1", "2", "3"]
    meant = read(tmp_path, {**LABELS, "labels": {"Kitchen": "for cooking", "Office": "for work"}})
    assert meant.labels == {"Kitchen": "for cooking", "Office": "for work"}


def test_types_have_their_names_in_lower_case_as_words(tmp_path: Path) -> None:
    assert read(tmp_path, TYPES).type_words == {"BRAND": "brand", "SIZE": "size"}


@pytest.mark.parametrize("given", [LABELS, TYPES, TEXT])
def test_the_first_metric_of_a_kind_is_its_main_one(given: dict[str, Any]) -> None:
    assert TaskDefinition.model_validate(given).main_metric == MAIN_METRICS[given["kind"]][0]


def test_the_f1_of_a_label_is_the_main_metric() -> None:
    assert TaskDefinition.model_validate({**LABELS, "f1_of": "Office"}).main_metric == "f1"


@pytest.mark.parametrize("form", ["compact", "long"])
@pytest.mark.parametrize("name", STUDY)
def test_the_copy_next_to_examples_gives_the_same_prompts(workplace: Path, name: str, form: Any) -> None:
    write_text(formatted_definition(name), dump_definition(definition(name), form))
    copy = formatted_task_definition(name)
    assert copy.instruction.compact == load_task(name).definition.instruction.model_dump()[form]
    assert [*copy.inputs.items(), *copy.labels, *copy.types.items()] == [
        *definition(name).inputs.items(), *definition(name).labels, *definition(name).types.items()
    ]  # fmt: skip


@pytest.mark.parametrize("name", STUDY)
def test_what_only_scoring_reads_is_no_part_of_the_copy(name: str) -> None:
    given = definition(name)
    other = given.model_copy(update={"metric": MAIN_METRICS[given.kind][1], "version": 2})
    assert dump_definition(other, "compact") == dump_definition(given, "compact")
    reworded = given.model_copy(update={"instruction": given.instruction.model_copy(update={"compact": "Other."})})
    assert dump_definition(reworded, "compact") != dump_definition(given, "compact")
    assert dump_definition(reworded, "long") == dump_definition(given, "long")
    assert not {"metric", "version", "f1_of"} & json.loads(dump_definition(given, "compact")).keys()


@given(st.lists(st.text(alphabet="ab. C", max_size=4), max_size=5))
def test_no_accepted_label_is_the_beginning_of_another(labels: list[str]) -> None:
    try:
        accepted = list(TaskDefinition.model_validate({**LABELS, "labels": labels}).labels)
    except ValidationError:
        return
    folded = [label.casefold() for label in accepted]
    assert not [(one, other) for one in folded for other in folded if one is not other and other.startswith(one)]

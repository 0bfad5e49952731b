"""Each task's targets parse back, its parser takes any text, and its prompts have one shape."""

from __future__ import annotations

import re
import time
import unicodedata
from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ecomtune.core.config.definition import CONTINUE, OUTSIDE
from ecomtune.core.records import Reference, Row
from ecomtune.core.text import normalize
from ecomtune.examples.screening import rejection_reason
from ecomtune.tasks.base import PromptForm, Task
from ecomtune.tasks.ner import Ner
from tests.support.tasks import STUDY, definition, load_task

#: The words of QueryNER's entity types.
TYPE_WORDS = definition("ner").type_words
NER = Ner("ner", definition("ner"))

NAMES = STUDY
FORMS: tuple[PromptForm, ...] = ("compact", "long")
CUES = {"relevance": "\nFit:", "ner": "\nTags:", "summarization": "\nSummary:", "description": "\nDescription:"}
FIELDS: dict[str, dict[str, str | list[str]]] = {
    "relevance": {"query": "red mug", "title": "Acme Mug", "brand": "Acme", "color": "red"},
    "ner": {"words": ["acme", "red", "mug"]},
    "summarization": {"reviews": ["Good lid.", "Fine handle."]},
    "description": {"title": "Acme Mug", "brand": "Acme", "color": "red", "bullets": ["Holds 12 oz", "Keeps warm"]},
}
REFERENCES: dict[str, Reference] = {
    "relevance": "Substitute",
    "ner": ["B-creator", "B-color", "B-core_product_type"],
    "summarization": ["A good mug.", "Fine."],
    "description": ["Enjoy tea."],
}
TAGS = {"O", *(f"{prefix}-{kind}" for prefix in "BI" for kind in TYPE_WORDS)}
#: Words of a query that is split at white space.
WORD = st.one_of(
    st.text(min_size=1, max_size=8).filter(lambda text: text.split() == [text]),
    st.sampled_from(
        ["&", '"32"', "(large)", "a,b", "+", "none", "brand", "'", "-", "größe", "漢字", "50%", "\u200b", "a\x00", "😀"]
    ),
)
TYPES = st.sampled_from(sorted(TYPE_WORDS))
ANSWER_WORDS = [*TYPE_WORDS.values(), OUTSIDE, CONTINUE]
#: Texts close to and far from valid answers.
ANSWER = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from([*ANSWER_WORDS, "acme", "red", "mug", "exact", "Irrelevant", ".", " ", "\n", "\t", "\u2028"])).map(
        "".join
    ),
    st.lists(
        st.tuples(st.sampled_from(["acme ", "red ", "mug ", "mug"]), st.sampled_from([*ANSWER_WORDS, "", "None", "++"])).map(
            "".join
        ),
        min_size=2,
        max_size=4,
    ).map("\n".join),
)


def is_iob2(tags: list[str]) -> bool:
    """The definition, implemented without the task's help."""
    return all(
        tag == "O" or tag[0] == "B" or (before != "O" and before[2:] == tag[2:])
        for before, tag in zip(["O", *tags], tags, strict=False)
    )


@st.composite
def tagged(draw: st.DrawFn, words: st.SearchStrategy[str] = WORD) -> tuple[list[str], list[str]]:
    """Words and valid IOB2 tags."""
    tags: list[str] = []
    chosen = draw(st.lists(words, min_size=1, max_size=6))
    for _ in chosen:
        kinds = ["O", "B"] if not tags or tags[-1] == "O" else ["O", "B", "I"]
        prefix = draw(st.sampled_from(kinds))
        tags.append({"O": "O", "I": f"I-{tags[-1][2:] if tags else ''}"}.get(prefix) or f"B-{draw(TYPES)}")
    return chosen, tags


@settings(deadline=None)
@given(sample=tagged())
@example(sample=(["+", "none", "&", "(a,", '"b")', "brand"], ["B-UoM", "I-UoM", "O", "B-price", "I-price", "B-price"]))
def test_a_ner_target_parses_back_to_its_tags(sample: tuple[list[str], list[str]]) -> None:
    words, tags = sample
    task = load_task("ner")
    assert task.parse(task.target({"words": words}, tags), {"words": words}) == tags


@settings(deadline=None)
@given(sample=tagged())
def test_a_ner_target_has_one_line_per_word_with_the_word_first(sample: tuple[list[str], list[str]]) -> None:
    words, tags = sample
    lines = load_task("ner").target({"words": words}, tags).split("\n")
    assert [line.rpartition(" ")[0] for line in lines] == words
    assert [line.rpartition(" ")[2] for line in lines] == NER.tag_words(tags)


@settings(deadline=None, max_examples=100)
@given(sample=tagged(st.text(alphabet="ab \n\t\r\u00a0\u2028\x85\x1c\u3000+", max_size=4)))
@example(sample=(["\u00a0red", "mug"], ["O", "O"]))
@example(sample=(["red\n", "mug"], ["O", "O"]))
@example(sample=(["", ""], ["O", "O"]))
def test_words_with_white_space_parse_back_or_the_row_is_rejected(sample: tuple[list[str], list[str]]) -> None:
    words, tags = sample
    task = load_task("ner")
    row = Row(fields={"words": words}, reference=tags, group="g", split=None, source="s")
    parsed = task.parse(task.target(row.fields, tags), row.fields)
    reason = rejection_reason(task, row)
    assert (reason is None) == (parsed == tags and any(word.strip() for word in words))


@pytest.mark.parametrize("word", ["a\nb", "\u00a0a", "\u2028a", " a", "\x85a", "\n"])
def test_a_word_that_would_be_stripped_from_its_line_is_rejected(word: str) -> None:
    row = Row(fields={"words": [word, "mug"]}, reference=["O", "O"], group="g", split=None, source="s")
    assert rejection_reason(load_task("ner"), row) == "its target doesn't parse back to its reference"


@pytest.mark.parametrize("word", ["a\u00a0b", "a\u2028b", "a b", "a\u00a0", "a\tb"])
def test_white_space_inside_or_after_a_word_is_kept(word: str) -> None:
    row = Row(fields={"words": [word, "mug"]}, reference=["B-color", "I-color"], group="g", split=None, source="s")
    assert rejection_reason(load_task("ner"), row) is None


@pytest.mark.parametrize("name", NAMES)
def test_a_target_parses_back_to_its_reference(name: str) -> None:
    task, reference = load_task(name), REFERENCES[name]
    expected = [reference[0]] if task.decoder == "text" else reference
    assert task.parse(task.target(FIELDS[name], reference), FIELDS[name]) == expected


@pytest.mark.parametrize("label", load_task("relevance").labels)
def test_every_label_is_its_own_target(label: str) -> None:
    task = load_task("relevance")
    assert task.target({}, label) == label
    assert [task.parse(text, {}) for text in (label, label.lower(), f" {label}.\n", label.upper())] == [label] * 4


@settings(deadline=None)
@given(text=st.text())
def test_a_text_target_is_the_first_reference_without_outer_space(text: str) -> None:
    for name in ("summarization", "description"):
        task = load_task(name)
        if text.strip():
            assert task.target(FIELDS[name], [text, "other"]) == task.target(FIELDS[name], text) == text.strip()
            assert task.parse(text, FIELDS[name]) == [text.strip()]
        else:
            assert task.parse(text, FIELDS[name]) is None


@pytest.mark.parametrize(
    ("name", "reference", "reason"),
    [
        ("relevance", "Good", "label 'Good' is not one of Exact, Substitute, Complement, Irrelevant"),
        ("relevance", ["Exact"], "is not one of"),
        ("ner", ["O", "O"], "3 words but 2 tags"),
        ("ner", "OOO", "3 words but 3 tags"),
        (
            "ner",
            ["O", "I-color", "O"],
            "tag 'I-color' after 'O' is not valid IOB2: it continues no entity of its type; write B-color",
        ),
        ("ner", ["B-price", "I-color", "O"], "tag 'I-color' after 'B-price' is not valid IOB2"),
        ("ner", ["I-color", "O", "O"], "tag 'I-color' after 'O' is not valid IOB2"),
        ("ner", ["B-brand", "O", "O"], "the type of tag 'B-brand' is not one of UoM, color, condition,"),
        ("ner", ["", "B-", "b-color"], "tag '' is not an IOB2 tag: these are O, B-TYPE and I-TYPE"),
        ("summarization", [], "the reference text is empty"),
        ("summarization", [" \n", "Fine."], "the reference text is empty"),
        ("description", "", "the reference text is empty"),
    ],
)
def test_a_reference_that_does_not_fit_is_refused_with_the_reason(name: str, reference: Any, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        load_task(name).target(FIELDS[name], reference)
    assert reason in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=100)
@given(answer=ANSWER)
def test_any_answer_parses_to_a_meaning_of_the_task_or_to_none(name: str, answer: str) -> None:
    task = load_task(name)
    for fields in (FIELDS[name], {}):
        parsed = task.parse(answer, fields)
        if parsed is None:
            continue
        if task.decoder == "label":
            assert parsed in task.labels
        elif task.decoder == "tags":
            assert isinstance(parsed, list)
            assert len(parsed) == len(fields.get("words", []))
            assert set(parsed) <= TAGS
            assert is_iob2(parsed)
        else:
            assert parsed == [answer.strip()] != [""]


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "Exactly",
        "Exact match",
        "Exact, Substitute",
        "Exact Exact",
        "E",
        "none",
        "Exact\nExact",
        "Fit: Exact",
        ". Exact",
        "Ex act",
    ],
)
def test_an_answer_that_is_not_a_label_has_no_meaning(answer: str) -> None:
    assert load_task("relevance").parse(answer, {}) is None


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "acme brand\nred color",
        "acme brand\nred color\nmug product\nmug product",
        "red color\nacme brand\nmug product",
        "acme brand\nred color\nmug mug",
        "acme brand\nred color\nmug B-core_product_type",
        "acme +\nred color\nmug product",
        "acme none\nred +\nmug product",
        "acme brand\nred\nmug product",
        "Acme brand\nred color\nmug product",
        "acme  brand\nred color\nmug product",
        "acme brand\n\nred color\nmug product",
        "acme brand red color mug product",
    ],
)
def test_an_answer_that_misses_adds_or_changes_a_word_has_no_tags(answer: str) -> None:
    assert load_task("ner").parse(answer, FIELDS["ner"]) is None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("piece", ["a", "\n", " ", "Exact.", "acme brand\n", "\u2028", " \n"])
def test_a_megabyte_is_parsed_in_less_than_a_second(name: str, piece: str) -> None:
    answer = piece * (1_000_000 // len(piece))
    fields: dict[str, str | list[str]] = {"words": ["acme"] * answer.count("\n")} if piece == "acme brand\n" else FIELDS[name]
    start = time.process_time()
    load_task(name).parse(answer, fields)
    assert time.process_time() - start < 1


@settings(deadline=None)
@given(choices=st.lists(st.integers(0, 30), max_size=8))
def test_every_walk_through_the_answer_choices_is_valid_and_no_other_word_may_follow(choices: list[int]) -> None:
    task = load_task("ner")
    words: list[str] = []
    for number in choices:
        allowed = task.answer_choices(words[-1] if words else None)
        refused = [word for word in ANSWER_WORDS if word not in allowed]
        assert all(NER.tags_of([*words, word]) is None for word in refused)
        words.append(allowed[number % len(allowed)])
        tags = NER.tags_of(words)
        assert tags is not None
        assert is_iob2(tags)
        assert NER.tag_words(tags) == words


def test_seventeen_types_have_different_words_without_spaces() -> None:
    assert len(TYPE_WORDS) == len(set(ANSWER_WORDS)) - 2 == 17
    assert all(word.split() == [word] for word in ANSWER_WORDS)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_holds_the_instruction_first_the_row_next_and_ends_with_the_cue(name: str, form: PromptForm) -> None:
    task = load_task(name)
    prompt = task.prompt(FIELDS[name], form)
    assert prompt == f"{task.instruction(form)}\n\n{task.body(FIELDS[name])}"
    assert prompt.endswith(CUES[name])
    texts = [text for value in FIELDS[name].values() for text in ([value] if isinstance(value, str) else value)]
    assert all(text in task.body(FIELDS[name]) for text in texts)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_demonstrations_are_in_order_between_instruction_and_row(name: str, form: PromptForm) -> None:
    task = load_task(name)
    first, second = (
        {key: f"{mark} {value}" if isinstance(value, str) else [mark, *value] for key, value in FIELDS[name].items()}
        for mark in ("one", "two")
    )
    prompt = task.prompt(FIELDS[name], form, [(first, "answer 1"), (second, "answer 2")])
    assert prompt.split("\n\n") == [
        *task.instruction(form).split("\n\n"),
        f"{task.body(first)} answer 1",
        f"{task.body(second)} answer 2",
        task.body(FIELDS[name]),
    ]


def test_a_description_has_no_line_for_an_unknown_input() -> None:
    task = load_task("description")
    body = task.body({**FIELDS["description"], "brand": "", "color": ""})
    assert body == "Title: Acme Mug\nFeatures:\n- Holds 12 oz\n- Keeps warm\nDescription:"
    assert "\nBrand: Acme\nColor: red\n" in task.body(FIELDS["description"])


@pytest.mark.parametrize(
    ("title", "product"),
    [
        ("Mug", "Mug, Acme, red"),
        ("Acme Mug", "Acme Mug, red"),
        ("ACME mug (Red)", "ACME mug (Red)"),
        ("Acmes Predator Mug", "Acmes Predator Mug, Acme, red"),
    ],
)
def test_a_product_is_its_title_and_what_brand_and_color_add(title: str, product: str) -> None:
    body = load_task("relevance").body({**FIELDS["relevance"], "title": title})
    assert f"\nProduct: {product}\n" in body
    unknown = load_task("relevance").body({"query": "mug", "title": title, "brand": ""})
    assert f"\nProduct: {title}\n" in unknown


@pytest.mark.parametrize(
    ("query", "missing"),
    [
        ("red mug", "none"),
        ("Red, MUG!", "none"),
        ("blue acme mugs", "blue mugs"),
        ("tea tea", "tea tea"),
        ("re", "re"),
        ("&", "none"),
    ],
)
def test_the_words_of_the_query_that_the_product_lacks_are_named(query: str, missing: str) -> None:
    body = load_task("relevance").body({**FIELDS["relevance"], "query": query})
    assert body == f"Query: {query}\nProduct: Acme Mug, red\nMissing: {missing}\nFit:"


def near_copy(task: Task, change: dict[str, str | list[str]]) -> bool:
    return task.input_key({**FIELDS[task.name], **change}) == task.input_key(FIELDS[task.name])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("relevance", {"query": "RED  mug!", "title": "acme - mug"}),
        ("relevance", {"brand": "Other", "color": ""}),
        ("ner", {"words": ["Acme", "Red", "(mug)"]}),
        ("ner", {"words": ["acme", "red,", "-", "mug"]}),
        ("summarization", {"reviews": ["good lid", "fine\nhandle"]}),
        ("description", {"title": "ACME MUG!", "bullets": ["holds 12-oz;", "Keeps warm."]}),
    ],
)
def test_near_copies_have_one_input_key(name: str, change: dict[str, str | list[str]]) -> None:
    assert near_copy(load_task(name), change)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("relevance", {"query": "red mugs"}),
        ("relevance", {"title": "Acme Mug 2"}),
        ("ner", {"words": ["acme", "red"]}),
        ("summarization", {"reviews": ["Fine handle.", "Good lid."]}),
        ("description", {"bullets": ["Holds 12 oz"]}),
    ],
)
def test_other_inputs_have_other_keys(name: str, change: dict[str, str | list[str]]) -> None:
    assert not near_copy(load_task(name), change)


def test_inputs_of_punctuation_alone_are_no_copies_of_each_other() -> None:
    task = load_task("ner")
    assert task.input_key({"words": ["+++"]}) != task.input_key({"words": ["???"]})


@settings(deadline=None)
@given(
    words=st.lists(st.from_regex(r"[a-z0-9]{1,4}", fullmatch=True), min_size=1, max_size=5), mark=st.sampled_from("!?.,;-_ \n")
)
def test_case_punctuation_and_space_never_change_a_key(words: list[str], mark: str) -> None:
    task = load_task("ner")
    changed = [f"{mark}{word.upper()}{mark}" for word in words]
    assert task.input_key({"words": changed}) == task.input_key({"words": words}) == " ".join(words)


def test_a_word_that_moves_from_one_input_to_the_next_changes_the_key() -> None:
    task = load_task("relevance")
    assert task.input_key({"query": "red", "title": "mug blue"}) != task.input_key({"query": "red mug", "title": "blue"})


@given(text=st.text(max_size=20) | st.text(alphabet="aZ9 _-.\x1c\t\u00df\u0130\u4e2d", max_size=20))
def test_normalizing_takes_the_same_words_from_ascii_as_from_any_text(text: str) -> None:
    plain = re.sub("[\uff01-\uffee]+", lambda forms: unicodedata.normalize("NFKC", forms[0]), text)
    composed = unicodedata.normalize("NFC", plain)
    words: list[str] = [""]
    for sign in composed.lower():
        is_mark = unicodedata.category(sign) in ("Mn", "Mc") and not "\ufe00" <= sign <= "\ufe0f" and sign < "\U0001f000"
        if re.match(r"[^\W_]", sign) or (is_mark and words[-1]):
            words[-1] += sign
        elif words[-1]:
            words.append("")
    assert normalize(text) == " ".join(filter(None, words))


@given(
    text=st.text(max_size=20) | st.text(alphabet="cafeé\u0301ñ\u0303Åö한が\u3099 ", max_size=20),
    form=st.sampled_from(["NFC", "NFD"]),
)
def test_how_accents_are_written_changes_no_key(text: str, form: Literal["NFC", "NFD"]) -> None:
    assert normalize(unicodedata.normalize(form, text)) == normalize(text)


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("５００ＭＬ　マグ", "500ml マグ"),
        ("ﾏｸﾞ 500ml", "マグ 500ml"),
        ("ｃａｆｅ\u0301", "café"),
        ("Acme™ mug", "Acme mug"),
    ],
)
def test_full_and_half_width_forms_are_the_plain_ones(written: str, plain: str) -> None:
    assert normalize(written) == normalize(plain)


@pytest.mark.parametrize(
    ("one", "other"),
    [("दिन", "दान"), ("ที่ดี", "ทาดา"), ("مُحَمَّد", "مِحِمِد"), ("x\u0302", "x\u0303")],
    ids=["hindi", "thai", "arabic", "latin"],
)
def test_words_that_differ_in_their_vowel_signs_are_different(one: str, other: str) -> None:
    """Python doesn't count the marks on letters as part of a word."""
    assert normalize(one) != normalize(other) and " " not in normalize(one)


def test_variation_selectors_are_not_words() -> None:
    assert normalize("Mug \u2764\ufe0f 1\ufe0f\u20e3") == normalize("mug \u2764 1")


def test_other_accents_fractions_and_powers_are_other_words() -> None:
    assert len({normalize(text) for text in ("cafe", "café", "cafè")}) == 3
    assert len({normalize(text) for text in ("5½ in", "51/2 in", "5 in", "10²", "102")}) == 5

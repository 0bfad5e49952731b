"""Demonstrations are training examples, each of a different group, in the order that serves the question."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecomtune.core.config import System, TaskSettings
from ecomtune.core.records import Example
from ecomtune.core.text import words_of
from ecomtune.inference.decoding.demonstrations import choose_demonstrations, demonstrations_for
from ecomtune.inference.decoding.local_answers import answer_task
from ecomtune.inference.decoding.local_model import LocalModel
from ecomtune.inference.decoding.prompts import Prompt, PromptedTask
from ecomtune.messages.errors import UserError
from ecomtune.models.embeddings import embed
from ecomtune.models.tokenization import encode_prompt
from tests.support.tasks import load_task

RELEVANCE = load_task("relevance")


def example(number: int, group: str, target: str) -> Example:
    return Example(
        id=str(number), task="relevance", prompt="p", target=target, reference=target, fields={}, group=group, source="shop"
    )


def examples(*pairs: tuple[str, str]) -> list[Example]:
    return [example(number, *pair) for number, pair in enumerate(pairs)]


def test_no_two_demonstrations_share_a_group_and_targets_differ_first() -> None:
    rows = examples(
        ("a", "Exact"), ("a", "Irrelevant"), ("b", "Exact"), ("b", "Substitute"), ("c", "Exact"), ("d", "Irrelevant")
    )
    assert [row.id for row in choose_demonstrations(rows, 3)] == ["0", "3", "5"]
    assert [row.id for row in choose_demonstrations(rows, 4)] == ["0", "3", "5", "4"]


def test_rows_of_different_targets_and_groups_are_shown_in_their_order() -> None:
    rows = examples(("a", "1"), ("b", "2"), ("c", "3"))
    assert choose_demonstrations(rows, 2) == rows[:2]
    assert choose_demonstrations(rows, 0) == []


def test_more_shots_than_groups_are_refused() -> None:
    with pytest.raises(UserError, match=r"3 shots need as many groups of training examples, but there are 2; lower"):
        choose_demonstrations(examples(("a", "1"), ("a", "2"), ("b", "3")), 3)


PAIRS = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("xyz")), min_size=1)


@given(pairs=PAIRS, data=st.data())
def test_as_many_as_asked_each_of_another_group(pairs: list[tuple[str, str]], data: st.DataObject) -> None:
    rows = examples(*pairs)
    shots = data.draw(st.integers(0, len({group for group, _ in pairs})))
    chosen = choose_demonstrations(rows, shots)
    assert len(chosen) == shots == len({row.group for row in chosen})


# Demonstrations for each row.

#: How demonstrations are chosen without a model.
CHOICES = ["fixed", "random", "bm25"]


def shop(*queries: str, split: str = "train", groups: str = "") -> list[Example]:
    """Rows of one query and a title each, of the named groups or each of its own."""
    return [
        example(number, groups[number] if groups else f"{split} {number}", "Exact").model_copy(
            update={"id": f"{split}-{number:02}", "fields": {"query": query, "title": query}}
        )
        for number, query in enumerate(queries)
    ]


def system(how: str, shots: int, **changes: Any) -> System:
    given = {"kind": "prompt", "reads": "models/pretrained/x", "tasks": ["relevance"], "demonstrations": how, "shots": shots}
    return System.model_validate({**given, **changes})


def shown_ids(
    rows: list[Example], train: list[Example], how: str, shots: int, seed: int = 7, **changes: Any
) -> list[list[str]]:
    chosen = demonstrations_for(rows, train, RELEVANCE, system(how, shots, **changes), seed)
    return [[each.id for each in row] for row in chosen]


TRAIN = shop("red running shoes", "blue mug", "red mug", "wool hat", "tea kettle", "mug", "green scarf")
ROWS = shop("big red mug", "running shoes for men", split="test")


def test_fixed_demonstrations_are_the_same_for_all_rows() -> None:
    assert shown_ids(ROWS, TRAIN, "fixed", 3) == [["train-00", "train-01", "train-02"]] * 2


def test_bm25_shows_the_inputs_with_the_most_shared_words_the_most_similar_last() -> None:
    assert shown_ids(ROWS, TRAIN, "bm25", 2)[0][-1] == "train-02"
    assert shown_ids(ROWS, TRAIN, "bm25", 1) == [["train-02"], ["train-00"]]
    three = shown_ids(ROWS, TRAIN, "bm25", 3)[0]
    assert three[-1] == "train-02" and set(three) < {"train-00", "train-01", "train-02", "train-05"}


def test_words_match_whatever_their_case() -> None:
    assert shown_ids(shop("Red MUG", split="test"), shop("wool hat", "RED mug", "Hat"), "bm25", 1) == [["train-01"]]


def test_equally_similar_inputs_are_ordered_by_id() -> None:
    alike = shop("red mug", "red mug", "red mug", "hat")
    for order in (alike, alike[::-1], [alike[place] for place in (2, 3, 0, 1)]):
        assert shown_ids(ROWS[:1], order, "bm25", 2) == [["train-01", "train-00"]]
    many = shop(*["red mug", "hat"] * 40)  # more than a sort takes that is stable by chance
    assert shown_ids(ROWS[:1], many, "bm25", 3) == [["train-04", "train-02", "train-00"]]


@pytest.mark.parametrize("how", CHOICES[1:])
def test_no_demonstration_is_of_the_rows_own_group_nor_of_anothers(how: str) -> None:
    train = shop(*["red mug"] * 6, groups="aabbcc")
    row = shop("red mug", split="test", groups="b")
    for seed in range(20):
        (ids,) = shown_ids(row, train, how, 2, seed)
        groups = {each.group for each in train if each.id in ids}
        assert groups == {"a", "c"} and len(ids) == 2
    with pytest.raises(UserError, match=r"^3 shots need .*, but there are 2; lower the system's shots"):
        shown_ids(row, train, how, 3)
    with pytest.raises(UserError, match=r"^4 shots need .*, but there are 3; lower the system's shots"):
        shown_ids(row, train, how, 4)


def test_random_demonstrations_depend_on_the_seed_and_the_row_alone() -> None:
    rows = shop(*["x"] * 8, split="test")
    train = shop(*map(str, range(30)))
    found = dict(zip([row.id for row in rows], shown_ids(rows, train, "random", 3), strict=True))
    assert len({tuple(ids) for ids in found.values()}) > 1
    shuffled, others = list(rows), list(train)
    random.Random(1).shuffle(shuffled)
    random.Random(2).shuffle(others)
    again = shown_ids(shuffled[:5], others, "random", 3)
    assert again == [found[row.id] for row in shuffled[:5]]
    assert shown_ids(rows, train, "random", 3, seed=8) != list(found.values())


@given(queries=st.lists(st.text(max_size=6), min_size=1, max_size=6), asked=st.text(max_size=6), data=st.data())
def test_any_texts_give_as_many_demonstrations_as_asked(queries: list[str], asked: str, data: st.DataObject) -> None:
    shots = data.draw(st.integers(1, len(queries)))
    how = data.draw(st.sampled_from(CHOICES))
    ((*ids,),) = shown_ids(shop(asked, split="test"), shop(*queries), how, shots)
    assert len(set(ids)) == shots


# Nearest by an encoder.


def test_nearest_shows_the_inputs_of_the_highest_cosine_the_most_similar_last(workplace: Path, pico_encoder: Path) -> None:
    (workplace / "models/pretrained").mkdir(parents=True)
    (workplace / "models/pretrained/small").symlink_to(pico_encoder)
    found = shown_ids(ROWS, TRAIN, "nearest", 3, encoder="small")
    texts = [" ".join([str(each.fields["query"])] * 2) for each in (*TRAIN, *ROWS)]
    vectors = embed(pico_encoder, texts)
    for row, ids in enumerate(found):
        cosines = vectors[: len(TRAIN)] @ vectors[len(TRAIN) + row]
        best = sorted(range(len(TRAIN)), key=lambda place: float(cosines[place]))[-3:]
        assert ids == [TRAIN[place].id for place in best]


def test_the_same_input_is_nearest_to_itself(workplace: Path, pico_encoder: Path) -> None:
    (workplace / "models/pretrained").mkdir(parents=True)
    (workplace / "models/pretrained/small").symlink_to(pico_encoder)
    rows = [each.model_copy(update={"id": f"test {each.id}", "group": "other"}) for each in TRAIN]
    assert [ids[-1] for ids in shown_ids(rows, TRAIN, "nearest", 2, encoder="small")] == [each.id for each in TRAIN]


@pytest.mark.usefixtures("workplace")
def test_a_missing_encoder_is_named() -> None:
    with pytest.raises(UserError, match="models/pretrained/small is missing; run dvc repro"):
        shown_ids(ROWS, TRAIN, "nearest", 1, encoder="small")


# As many as fit the context.

SETTINGS = TaskSettings(dataset="shop", train_size=1, validation_size=0, test_size=1, max_new_tokens=6)


def asked_of(folder: Path, **changes: Any) -> PromptedTask:
    return PromptedTask(RELEVANCE, SETTINGS.model_copy(update=changes), LocalModel(folder))


def demonstration(number: int, query: str) -> Example:
    return example(number, str(number), "Exact").model_copy(update={"fields": {"query": query, "title": f"mug {number}"}})


def test_demonstrations_that_fit_are_all_kept_in_silence(pico_causal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = demonstrations_for(ROWS, TRAIN, RELEVANCE, system("bm25", 3), 7)
    prompts = asked_of(pico_causal).prompts(ROWS, shown)
    assert [prompt.demonstrations for prompt in prompts] == shown
    assert capsys.readouterr().out == ""


def test_a_prompt_holds_its_text_and_the_ids_of_its_tokens(pico_causal: Path) -> None:
    asked = asked_of(pico_causal)
    shown = [demonstration(1, "blue mug")]
    (prompt,) = asked.prompts(ROWS[:1], [shown])
    text = RELEVANCE.prompt(ROWS[0].fields, "compact", [(shown[0].fields, "Exact")])
    assert prompt == Prompt(text, encode_prompt(asked.model.tokenizer, text), shown)


def test_a_prompt_that_fits_is_encoded_once(pico_causal: Path, monkeypatch: pytest.MonkeyPatch, workplace: Path) -> None:
    """From fitting the context to counting tokens: only a prompt that is too long is made again, with fewer demonstrations."""
    encoded: list[str] = []

    def counting(tokenizer: Any, prompt: str) -> tuple[int, ...]:
        encoded.append(prompt)
        return encode_prompt(tokenizer, prompt)

    for module in ("prompts", "local_answers"):
        monkeypatch.setattr(f"ecomtune.inference.decoding.{module}.encode_prompt", counting)
    for labels, extra in (("greedy", 0), ("sum", 0), ("calibrated", 1)):
        encoded.clear()
        asked = asked_of(pico_causal, labels=labels)
        prompts = asked.prompts(ROWS, [TRAIN[:2]] * 2)
        answer_task(asked, ROWS, prompts)
        assert encoded[:2] == [prompt.text for prompt in prompts] and len(encoded) == 2 + extra


def test_the_farthest_demonstrations_give_way_and_the_rows_are_counted(
    pico_causal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = asked_of(pico_causal)
    long = [demonstration(number, "red mug " * 150) for number in range(9)]
    short = [demonstration(1, "red")] * 3
    shortened, complete = asked.prompts(ROWS, [long, short])
    kept = shortened.demonstrations
    assert 1 < len(kept) < 9 and list(kept) == long[-len(kept) :] and complete.demonstrations == short
    more = RELEVANCE.prompt(ROWS[0].fields, "compact", [(each.fields, each.target) for each in long[-len(kept) - 1 :]])
    lengths = [len(shortened.ids), len(encode_prompt(asked.model.tokenizer, more))]
    assert lengths[0] + SETTINGS.max_new_tokens <= 2048 < lengths[1] + SETTINGS.max_new_tokens
    printed = "relevance: 1 of 2 test rows show fewer demonstrations than the system's shots: "
    assert capsys.readouterr().out.startswith(printed)


def test_a_context_too_small_for_one_demonstration_is_refused(pico_causal: Path) -> None:
    long = [demonstration(number, "red mug " * 2000) for number in range(2)]
    message = (
        r"^example test-00: with one demonstration its prompt and answer need up to \d+ tokens, the model's context has 2048; "
    )
    with pytest.raises(UserError, match=message):
        asked_of(pico_causal).prompts(ROWS, [long, []])


# Answers behind demonstrations for each row.


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("labels", ["greedy", "sum", "calibrated"])
def test_a_row_is_answered_the_same_alone_and_among_rows_with_other_demonstrations(pico_causal: Path, labels: str) -> None:
    asked = asked_of(pico_causal, labels=labels)
    rows = shop("big red mug", "running shoes for men", "hat", "kettle of tea", split="test")
    train = [each.model_copy(update={"target": label}) for each, label in zip(TRAIN, RELEVANCE.labels * 2, strict=False)]
    prompts = asked.prompts(rows, demonstrations_for(rows, train, RELEVANCE, system("bm25", 2), 7))
    assert len({str(prompt.demonstrations) for prompt in prompts}) > 1

    def answers(places: list[int]) -> list[str]:
        return answer_task(asked, [rows[place] for place in places], [prompts[place] for place in places])

    together = answers([0, 1, 2, 3])
    assert together == [answer for place in range(4) for answer in answers([place])]


@pytest.mark.usefixtures("workplace")
def test_other_demonstrations_are_another_question(pico_causal: Path) -> None:
    asked = asked_of(pico_causal)
    for shots in (1, 2):
        prompts = asked.prompts(ROWS, demonstrations_for(ROWS, TRAIN, RELEVANCE, system("bm25", shots), 7))
        answer_task(asked, ROWS, prompts)
    assert len(list(Path(".scratch/answers").iterdir())) == 2


def test_words_have_no_punctuation_and_a_script_without_blanks_is_split_by_character() -> None:
    assert words_of("?!") == [] and words_of("Red, MUG") == ["red", "mug"]
    assert words_of("赤いMug マグ") == ["赤", "い", "mug", "マ", "グ"]

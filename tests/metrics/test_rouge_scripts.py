"""ROUGE of texts in any script, by the tokenizer unicode."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecomtune.messages.errors import UserError
from ecomtune.metrics.bootstrap import Resampling
from ecomtune.metrics.registry import load_metric
from ecomtune.metrics.rouge import UnicodeTokenizer

#: Letters and marks of scripts with and without spaces between words.
SCRIPTS = {
    "latin": "abcABCßéğđ",
    "greek": "αβγΣςάΐ",
    "cyrillic": "абвЖЯёй",
    "arabic": "ابتثحـَُ",
    "hebrew": "אבגדִּ",
    "devanagari": "कखगलािीु्",
    "tamil": "கஙசாிு்",
    "hangul": "가나다빨간컵",
    "han": "赤茶碗𠮷々〇",
    "kana": "あいがアイガー",
    "half-width kana": "ｱｲｶﾞｰ",
    "thai": "กขแดง้ัำ",
    "lao": "ກຂຄແດງ້ໍ",
    "khmer": "កខគា្ៃ",
    "myanmar": "ကခဂာ်ို",
    "georgian": "აბგდ",
    "amharic": "ሀሁሂ",
}
VALUES = ("rouge1", "rougeL", "rougeLsum")


def score(answer: str, gold: str, **options: Any) -> dict[str, Any]:
    return load_metric("rouge", **options).score([[answer]], [[gold]], ["a"], Resampling(100))


def tokens(text: str) -> list[str]:
    return UnicodeTokenizer().tokenize(text)


@pytest.mark.parametrize("script", SCRIPTS)
@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_equal_texts_score_one_in_every_script(script: str, data: st.DataObject) -> None:
    letter = SCRIPTS[script][0]
    text = letter + data.draw(st.text(alphabet=f"{SCRIPTS[script]} .!。、7", max_size=25)) + letter
    found = score(text, text, tokenizer="unicode")
    assert [found[name] for name in VALUES] == [1, 1, 1]
    assert found["rouge2"] == (len(tokens(text)) > 1)
    other = score("7q", text.replace("7", ""), tokenizer="unicode")
    assert [other[name] for name in VALUES] == [0, 0, 0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("赤いマグ。", ["赤", "い", "マ", "グ"]),
        ("Nike の靴 250ml", ["nike", "の", "靴", "250ml"]),
        ("ＮＩＫＥ ﾏｸﾞ", ["nike", "マ", "グ"]),
        ("แก้วแดง", ["แ", "ก้", "ว", "แ", "ด", "ง"]),
        ("ກ້ວ", ["ກ້", "ວ"]),
        ("ខ្មែ", ["ខ្", "មែ"]),
        ("မြန်", ["မြ", "န်"]),
        ("빨간 컵!", ["빨간", "컵"]),
        ("लाल कपड़ा", ["लाल", "कपड़ा"]),
        ("КРАСНАЯ кружка-термос", ["красная", "кружка", "термос"]),
        ("cafe\u0301 GROSS_größe", ["café", "gross", "größe"]),
        ("𠮷𠮟々〇㐂", ["𠮷", "𠮟", "々", "〇", "㐂"]),
        ("\ufa0e\ufa0f", ["\ufa0e", "\ufa0f"]),
        ("ㇰㇱ𛀁𛀂", ["ㇰ", "ㇱ", "𛀁", "𛀂"]),
        ("ꧠꧢꩠꩡ", ["ꧠ", "ꧢ", "ꩠ", "ꩡ"]),
        ("½ ★ 5", ["½", "5"]),
        ("… ★ !", []),
    ],
)
def test_words_are_letters_with_marks_and_characters_of_a_script_without_spaces(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


def test_the_parts_that_two_texts_share_are_counted() -> None:
    found = score("赤いカップ", "赤いマグ", tokenizer="unicode")
    assert found["rouge1"] == found["rougeL"] == pytest.approx(4 / 9, abs=5e-5)
    assert found["rouge2"] == pytest.approx(2 / 7, abs=5e-5)


def test_capital_letters_count_as_small_ones_and_words_are_not_stemmed() -> None:
    assert score("КРАСНАЯ Leaking", "красная leaking", tokenizer="unicode")["rouge1"] == 1
    assert score("leaking lids", "leaks lid", tokenizer="unicode")["rouge1"] == 0
    assert score("leaking lids", "leaks lid")["rouge1"] == 1


@pytest.mark.parametrize(
    "texts", [("赤い皿。青い碗！白い匙", "白い匙。赤い皿！青い碗"), ("लाल कप। नीला कप", "नीला कप। लाल कप")]
)
def test_rouge_lsum_knows_where_a_sentence_of_another_script_ends(texts: tuple[str, str]) -> None:
    found = score(*texts, tokenizer="unicode")
    assert found["rougeLsum"] == 1 > found["rougeL"]


def test_by_default_only_a_to_z_and_digits_are_words() -> None:
    assert score("赤いマグ", "赤いマグ")["rouge1"] == 0
    assert score("größe", "gr e")["rouge1"] == 1
    assert score("größe a", "größe a", tokenizer="latin") == score("größe a", "größe a")
    assert score("a. b。c d", "c d。b. a") == score("a. b。c d", "c d。b. a", tokenizer="latin")


def test_the_scores_name_a_tokenizer_that_is_not_the_usual_one() -> None:
    assert "tokenizer" not in score("a", "a")
    assert score("a", "a", tokenizer="unicode")["tokenizer"] == "unicode"


def test_an_unknown_tokenizer_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UserError, match=r"^metric rouge has no tokenizer 'japanese'; write latin or unicode$"):
        load_metric("rouge", tokenizer="japanese")


def test_both_tokenizers_score_in_one_process() -> None:
    """Each has a scorer of its own, which is kept."""
    metrics = [load_metric("rouge", tokenizer=name) for name in ("latin", "unicode", "latin", "unicode")]
    assert [metric.row_values([["赤い"]], [["赤い"]])["rouge1"].tolist() for metric in metrics] == [[0], [1], [0], [1]]

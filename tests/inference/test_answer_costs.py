"""An answer costs what the models count, and a system is called unbeaten only where none is better for less."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from ecomtune.baselines import token_counts
from ecomtune.baselines.inputs import input_pair, input_text
from ecomtune.core.config import Baseline
from ecomtune.inference import answer_costs as costs
from ecomtune.messages.errors import UserError
from ecomtune.report.quality_cost import HEADER, compute, costs_section, costs_table, plot_costs, remarks, rows, total, unbeaten
from ecomtune.tasks.registry import load_task
from tests.baselines.test_baselines import baseline, examples

KNOWN = {"parameters": 1000, "trained_parameters": 10, "trained_tokens": 500, "input_tokens": 8.0, "output_tokens": 2.0}


@pytest.mark.parametrize("max_length", [256, 6], ids=["whole", "cut"])
@pytest.mark.parametrize(
    ("family", "task"), [("encoder", "relevance"), ("encoder", "ner"), ("seq2seq", "summarization"), ("seq2seq", "description")]
)
def test_a_baselines_tokens_are_those_that_its_model_reads_and_writes(
    pico_encoder: Path, family: str, task: str, max_length: int
) -> None:
    settings = baseline(family, task, max_length=max_length)
    tokenizer, asked = AutoTokenizer.from_pretrained(pico_encoder), examples(task)
    cut: dict[str, Any] = {"truncation": True, "max_length": max_length}
    if family == "seq2seq":
        read = [tokenizer(input_text(each, load_task(task)), **cut) for each in asked]
    elif task == "ner":
        read = [tokenizer(each.fields["words"], is_split_into_words=True, **cut) for each in asked]
    else:
        read = [tokenizer(*input_pair(each, load_task(task)), **cut) for each in asked]
    answers = ["running shoes for men, 12 pack, red"] * len(asked)  # longer than inputs may be
    written = sum(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in answers)
    counted = token_counts.count(settings, load_task(task), pico_encoder, asked, answers)
    assert counted == (sum(len(each["input_ids"]) for each in read), written if family == "seq2seq" else 0)
    assert counted[0] > 8 and written > 6 * len(asked)


def test_padding_that_a_tokenizer_brings_is_no_token(pico_encoder: Path, tmp_path: Path) -> None:
    """That of MiniLM pads to 128."""
    tokenizer = Tokenizer.from_file(str(pico_encoder / "tokenizer.json"))
    tokenizer.enable_padding(length=64)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    given = baseline("encoder", "relevance"), load_task("relevance")
    plain, padded = (
        token_counts.count(*given, folder, examples("relevance"), ["O"] * 8) for folder in (pico_encoder, tmp_path)
    )
    assert plain == padded


def test_a_floor_reads_no_tokens(tmp_path: Path) -> None:
    settings = Baseline.model_validate({"family": "floor", "task": "relevance", "out": "floor/relevance"})
    assert token_counts.count(settings, load_task("relevance"), tmp_path, examples("relevance"), ["Exact"] * 8) == (0, 0)


def test_a_broken_tokenizer_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"tokenizer\.json is missing or broken"):
        token_counts.count(baseline("encoder", "ner"), load_task("ner"), tmp_path, examples("ner"), ["O"] * 8)


def test_weights_are_counted_from_the_files_of_the_model_that_computes(pico_causal: Path, workplace: Path) -> None:
    from transformers import AutoModelForCausalLM

    weights = sum(weight.numel() for weight in AutoModelForCausalLM.from_pretrained(pico_causal).parameters())
    assert costs.count_weights(pico_causal) == weights
    shutil.copytree(pico_causal, "models/pretrained/pico")
    adapter = Path("models/adapters/one")
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "models/pretrained/pico"}))
    (adapter / "training.json").write_text(json.dumps({"tokens": 70, "trained_parameters": 5, "rows": 3}))
    answered = costs.Answered("ner", examples("ner"), ["O"] * 8, tokens=(100, 20))
    told = {"parameters": weights, "trained_parameters": 5, "trained_tokens": 70, "input_tokens": 12.5, "output_tokens": 2.5}
    assert costs.costs_of(adapter, answered) == told


@pytest.mark.parametrize("note", ["models/adapters/merged/all/recipe.json", "models/baselines/encoder/ner/training.json"])
def test_what_weights_have_learnt_is_told_by_training_or_merging(workplace: Path, note: str) -> None:
    Path(note).parent.mkdir(parents=True)
    Path(note).write_text(json.dumps({"method": "cat", "tokens": 70, "trained_parameters": 5}))
    told = {"parameters": 0, "trained_parameters": 5, "trained_tokens": 70}
    assert costs.costs_of(Path(note).parent, costs.Answered("ner", examples("ner"), ["O"] * 8)) == told


@pytest.mark.parametrize("content", ["{", "[]", '{"tokens": 70}', '{"tokens": 70, "trained_parameters": -1}'])
@pytest.mark.parametrize(
    ("note", "stage"),
    [
        ("models/adapters/single/ner/training.json", "train"),
        ("models/adapters/merged/all/recipe.json", "merge@all"),
        ("models/baselines/encoder/ner/training.json", "baseline"),
    ],
)
def test_a_broken_note_of_what_was_learnt_is_told_with_its_stage(workplace: Path, note: str, stage: str, content: str) -> None:
    Path(note).parent.mkdir(parents=True)
    Path(note).write_text(content)
    with pytest.raises(UserError, match=rf"^{note} is missing or broken \(.*\); remove it and run dvc repro {stage}$"):
        costs.costs_of(Path(note).parent, costs.Answered("ner", examples("ner"), ["O"] * 8))


def test_tokens_are_those_of_whole_prompts_in_chat_form_and_of_answers_alone(pico_causal: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(pico_causal)
    prompts, answers = ["red running shoes", "mug"], ["Exact", "12 pack for men"]
    forms = [f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n" for prompt in prompts]
    read, written = (
        sum(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts) for texts in (forms, answers)
    )
    assert costs.count_tokens(tokenizer, prompts, answers) == (read, written)
    assert min(read, written) > 2


def test_weights_taken_as_they_are_have_learnt_nothing(workplace: Path) -> None:
    (workplace / "pretrained/pico").mkdir(parents=True)
    answered = costs.Answered("ner", examples("ner"), ["O"] * 8)
    told = {"parameters": 0, "trained_parameters": 0, "trained_tokens": 0}
    assert costs.costs_of(workplace / "pretrained/pico", answered) == told


def test_what_nobody_counted_is_left_out(workplace: Path) -> None:
    answered = costs.Answered("ner", examples("ner"), ["O"] * 8)
    assert costs.costs_of(None, answered) == {}
    (workplace / "merged").mkdir()
    (workplace / "merged/recipe.json").write_text(json.dumps({"method": "cat"}))  # of parts that don't say what they learnt
    assert costs.costs_of(workplace / "merged", answered) == {"parameters": 0}


def test_only_those_that_no_other_beats_are_bold() -> None:
    grid = costs_table(summary_of({"small": (5, 40), "large": (50, 60), "poor": (60, 30)}))
    bold = {name: row.style == "bold" for name, row in zip(grid.columns[1].cells, grid.rows, strict=True)}
    assert bold == {"small": True, "large": True, "poor": False}


def test_an_answer_takes_two_operations_for_each_weight_and_token() -> None:
    assert compute(KNOWN) == 2 * 1000 * 10
    for key in ("parameters", "input_tokens", "output_tokens"):
        assert compute({name: value for name, value in KNOWN.items() if name != key}) is None


Points = dict[str, tuple[int, int]]


def summary_of(points: Points) -> dict[str, Any]:
    """Systems of one task by their tokens and quality in percent."""
    systems = {
        name: {"ner": cell(name, **{**KNOWN, "input_tokens": float(tokens)}) | {"value": quality / 100}}
        for name, (tokens, quality) in points.items()
    }
    return {"main_metric": {"ner": "f1"}, "systems": systems}


@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1))
def test_unbeaten_are_exactly_the_systems_that_none_beats(points: Points) -> None:
    def beats(other: str, name: str) -> bool:
        (less, better), (tokens, quality) = points[other], points[name]
        return less <= tokens and better >= quality and (less, better) != (tokens, quality)

    found = unbeaten(summary_of(points), "ner")
    assert set(found) == {name for name in points if not any(beats(other, name) for other in points)}
    assert [points[name][0] for name in found] == sorted(points[name][0] for name in found)


def cell(model: str, **costs: float) -> dict[str, Any]:
    return {"value": 0.5, "ci": [0.4, 0.6], "model": model, "costs": costs}


def test_a_model_that_answers_several_tasks_is_counted_once() -> None:
    one = {"trained_parameters": 5, "trained_tokens": 70}
    assert total({"ner": cell("a", **one), "relevance": cell("a", **one)}, "trained_tokens") == "70"
    assert total({"ner": cell("a", **one), "relevance": cell("b", trained_tokens=80)}, "trained_tokens") == "150"
    assert total({"ner": cell("a")}, "trained_tokens") == "–"


def test_two_models_of_the_same_size_and_tokens_are_two() -> None:
    one = {"trained_parameters": 5, "trained_tokens": 70}
    assert total({"ner": cell("shards/1", **one), "relevance": cell("shards/2", **one)}, "trained_tokens") == "140"


#: A floor that reads nothing, two adapters of one size, and people, of whom nothing is known.
TABLED: dict[str, Any] = {
    "main_metric": {"relevance": "f1", "ner": "f1"},
    "systems": {
        "floor": {"relevance": cell("floor", parameters=2754, input_tokens=0.0, output_tokens=0.0)},
        "single": {
            "relevance": cell("a", **KNOWN) | {"value": 0.8},
            "ner": cell("b", **KNOWN) | {"value": 0.6},
        },
        "people": {"ner": cell("data/examples/ner")},
    },
}


def test_each_cost_has_a_column_of_its_own_and_nothing_is_shown_for_what_is_not_known() -> None:
    assert rows(TABLED) == [
        ["relevance", "floor", "0", "0", "0", "–", "–"],
        ["relevance", "single", "2.0e+04", "8", "2", "10", "500"],
        ["ner", "single", "2.0e+04", "8", "2", "10", "500"],
        ["ner", "people", "–", "–", "–", "–", "–"],
    ]
    assert all(len(row) == len(HEADER) for row in rows(TABLED))


def test_words_name_the_unbeaten_sums_over_models_and_why_a_floor_takes_nothing() -> None:
    assert remarks(TABLED) == [
        "relevance: no other system is at least as good for no more operations than floor, single",
        "ner: no other system is at least as good for no more operations than single",
        "single is 2 models, in all 20 trained weights on 1,000 tokens",
        "floor: 0 operations where no tokens run through a network (a floor looks words up)",
    ]


def test_the_table_of_costs_fits_100_columns_and_has_the_unbeaten_in_bold() -> None:
    long = {"parameters": 7e9, "trained_parameters": 1e9, "trained_tokens": 1e8, "input_tokens": 1e4, "output_tokens": 999.0}
    summary = {
        "main_metric": dict.fromkeys(("relevance", "summarization"), "f1"),
        "systems": {"merged_shards": {"summarization": cell("a", **long)}, **TABLED["systems"]},
    }
    console = Console(width=100, force_terminal=True)
    with console.capture() as captured:
        console.print(costs_table(summary))
    lines = captured.get().splitlines()
    (row,) = [line for line in lines if "merged_shards" in line]
    assert all(text in row for text in ("1.5e+14", "10,000", "999", "1,000,000,000", "100,000,000"))
    bold = [line for line in lines if "\x1b[1m" in line and "│" in line]
    assert [any(name in line for line in bold) for name in ("merged_shards", "floor", "single")] == [True] * 3
    beaten = {**TABLED["systems"]["single"]["relevance"], "value": 0.1}
    summary["systems"]["single"] = {"relevance": beaten}
    with console.capture() as captured:
        console.print(costs_table(summary))
    (row,) = [line for line in captured.get().splitlines() if "single" in line]
    assert "\x1b[1m" not in row


def test_the_names_of_a_picture_stand_in_its_legend_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Systems that cost and score the same would have their names one over the other at the points."""
    from matplotlib import pyplot

    drawn: list[Any] = []
    monkeypatch.setattr(pyplot, "close", drawn.append)
    plot_costs(TABLED, tmp_path / "costs.png")
    (figure,) = drawn
    assert [text.get_text() for axis in figure.axes for text in axis.texts] == []
    shown = figure.axes[-1].get_legend()
    assert [text.get_text() for text in shown.get_texts()] == ["floor", "single", "people"]
    looks = {(line.get_color(), line.get_marker()) for line in shown.get_lines()}
    assert len(looks) == 3
    filled = {line.get_markerfacecolor() for line in figure.axes[1].lines if line.get_marker() != "None"}
    assert filled == {"C1"}


def test_a_system_of_unknown_cost_takes_no_part(tmp_path: Path) -> None:
    summary = summary_of({"small": (5, 40), "large": (50, 60), "poor": (60, 30)})
    summary["systems"]["people"] = {"ner": cell("people") | {"value": 0.9}}
    section = costs_section(summary)["ner"]
    assert section["unbeaten"] == ["small", "large"]
    assert section["compute"]["people"] is None and section["compute"]["small"] == 2 * 1000 * 7
    for name in ("first", "second"):
        plot_costs(summary, tmp_path / f"{name}.png")
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()

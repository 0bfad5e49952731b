"""An answer costs the tokens that its model reads and writes, and the weights that compute it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from ecomtune.baselines.inputs import input_pair, input_text
from ecomtune.baselines.token_counts import count_baseline_tokens
from ecomtune.core.config import Baseline
from ecomtune.inference.answer_costs import Answered, costs_of, count_tokens, count_weights
from ecomtune.messages.errors import UserError
from ecomtune.models.tokenization import encode_prompt
from tests.support.baselines import baseline, examples
from tests.support.tasks import load_task


@pytest.mark.parametrize("max_length", [256, 6], ids=["complete", "truncated"])
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
    counted = count_baseline_tokens(settings, load_task(task), pico_encoder, asked, answers)
    assert counted == (sum(len(each["input_ids"]) for each in read), written if family == "seq2seq" else 0)
    assert counted[0] > 8 and written > 6 * len(asked)


def test_padding_counts_as_no_token(pico_encoder: Path, tmp_path: Path) -> None:
    """MiniLM's tokenizer pads to 128."""
    tokenizer = Tokenizer.from_file(str(pico_encoder / "tokenizer.json"))
    tokenizer.enable_padding(length=64)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    given = baseline("encoder", "relevance"), load_task("relevance")
    plain, padded = (
        count_baseline_tokens(*given, folder, examples("relevance"), ["O"] * 8) for folder in (pico_encoder, tmp_path)
    )
    assert plain == padded


def test_a_floor_reads_no_tokens(tmp_path: Path) -> None:
    settings = Baseline.model_validate({"family": "floor", "task": "relevance", "out": "floor/relevance"})
    assert count_baseline_tokens(settings, load_task("relevance"), tmp_path, examples("relevance"), ["Exact"] * 8) == (0, 0)


def test_a_broken_tokenizer_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"tokenizer\.json is missing or broken"):
        count_baseline_tokens(baseline("encoder", "ner"), load_task("ner"), tmp_path, examples("ner"), ["O"] * 8)


def test_weights_are_counted_from_the_files_of_the_model_that_computes(pico_causal: Path, workplace: Path) -> None:
    from transformers import AutoModelForCausalLM

    weights = sum(weight.numel() for weight in AutoModelForCausalLM.from_pretrained(pico_causal).parameters())
    assert count_weights(pico_causal) == weights
    shutil.copytree(pico_causal, "models/pretrained/pico")
    adapter = Path("models/adapters/one")
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "models/pretrained/pico"}))
    (adapter / "training.json").write_text(json.dumps({"tokens": 70, "trained_parameters": 5, "rows": 3}))
    answered = Answered("ner", examples("ner"), ["O"] * 8, tokens=(100, 20))
    expected = {
        "parameters": weights,
        "trained_parameters": 5,
        "trained_tokens": 70,
        "input_tokens": 12.5,
        "output_tokens": 2.5,
    }
    assert costs_of(adapter, answered) == expected


@pytest.mark.parametrize("record", ["models/adapters/merged/all/recipe.json", "models/baselines/encoder/ner/training.json"])
def test_training_totals_are_read_from_what_training_or_merging_wrote(workplace: Path, record: str) -> None:
    Path(record).parent.mkdir(parents=True)
    Path(record).write_text(json.dumps({"method": "cat", "tokens": 70, "trained_parameters": 5}))
    expected = {"parameters": 0, "trained_parameters": 5, "trained_tokens": 70}
    assert costs_of(Path(record).parent, Answered("ner", examples("ner"), ["O"] * 8)) == expected


@pytest.mark.parametrize("content", ["{", "[]", '{"tokens": 70}', '{"tokens": 70, "trained_parameters": -1}'])
@pytest.mark.parametrize(
    ("record", "stage"),
    [
        ("models/adapters/single/ner/training.json", "train"),
        ("models/adapters/merged/all/recipe.json", "merge@all"),
        ("models/baselines/encoder/ner/training.json", "baseline"),
    ],
)
def test_a_broken_training_record_is_named_with_its_stage(workplace: Path, record: str, stage: str, content: str) -> None:
    Path(record).parent.mkdir(parents=True)
    Path(record).write_text(content)
    with pytest.raises(UserError, match=rf"^{record} is missing or broken \(.*\); remove it and run dvc repro {stage}$"):
        costs_of(Path(record).parent, Answered("ner", examples("ner"), ["O"] * 8))


def test_tokens_are_those_of_complete_prompts_in_chat_form_and_of_answers_alone(pico_causal: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(pico_causal)
    prompts, answers = ["red running shoes", "mug"], ["Exact", "12 pack for men"]
    forms = [f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n" for prompt in prompts]
    read, written = (
        sum(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts) for texts in (forms, answers)
    )
    assert count_tokens(tokenizer, [encode_prompt(tokenizer, prompt) for prompt in prompts], answers) == (read, written)
    assert min(read, written) > 2


def test_pretrained_weights_count_as_untrained(workplace: Path) -> None:
    (workplace / "pretrained/pico").mkdir(parents=True)
    answered = Answered("ner", examples("ner"), ["O"] * 8)
    expected = {"parameters": 0, "trained_parameters": 0, "trained_tokens": 0}
    assert costs_of(workplace / "pretrained/pico", answered) == expected


def test_unknown_costs_are_left_out(workplace: Path) -> None:
    answered = Answered("ner", examples("ner"), ["O"] * 8)
    assert costs_of(None, answered) == {}
    (workplace / "merged").mkdir()
    (workplace / "merged/recipe.json").write_text(json.dumps({"method": "cat"}))  # of parts without a training record
    assert costs_of(workplace / "merged", answered) == {"parameters": 0}

"""Training and answering turn text into the same tokens, and nothing is ever truncated."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoTokenizer,
    CohereConfig,
    Gemma2Config,
    GptOssConfig,
    GraniteConfig,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
)

from ecomtune.core.records import Example
from ecomtune.messages.errors import UserError
from ecomtune.models.tokenization import (
    EncodedExample,
    common_prefix_length,
    context_of,
    encode_example,
    encode_prompt,
    encode_text,
    render_prompt,
)

PROMPT = "Query: red running shoes\nTags:"


@pytest.fixture(scope="module")
def chat(pico_causal: Path) -> Any:
    """A tokenizer with a chat template, which adds no special tokens to text."""
    return AutoTokenizer.from_pretrained(pico_causal)


@pytest.fixture(scope="module")
def plain(chat: Any) -> Any:
    """The same tokenizer without a chat template."""
    tokenizer = copy.deepcopy(chat)
    tokenizer.chat_template = None
    return tokenizer


def starting_with_bos(tokenizer: Any) -> Any:
    """A copy of ``tokenizer`` that puts BOS before text, as Llama's does."""
    tokenizer = copy.deepcopy(tokenizer)
    bos = (tokenizer.bos_token, tokenizer.bos_token_id)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"{bos[0]} $A", special_tokens=[bos])
    assert tokenizer("red")["input_ids"][0] == tokenizer.bos_token_id
    return tokenizer


def encode(tokenizer: Any, target: str, max_length: int = 1000) -> EncodedExample:
    empty: dict[str, Any] = {"reference": [], "fields": {}, "group": "g", "source": "made:1"}
    return encode_example(tokenizer, Example(id="ner-17", task="ner", prompt=PROMPT, target=target, **empty), max_length)


def test_a_prompt_is_rendered_by_the_chat_template(chat: Any) -> None:
    expected = f"<|im_start|>user\n{PROMPT}<|im_end|>\n<|im_start|>assistant\n"
    assert chat.decode(encode_prompt(chat, PROMPT)) == render_prompt(chat, PROMPT) == expected


def test_a_rendered_prompt_has_the_tokens_of_the_tokenizers_own_rendering(chat: Any) -> None:
    message = [{"role": "user", "content": PROMPT}]
    own = chat.apply_chat_template(message, add_generation_prompt=True, tokenize=True, return_dict=True)
    assert encode_prompt(chat, PROMPT) == tuple(own["input_ids"])


FAILING = {
    "reaches out": "{{ messages.__class__.__mro__[1].__subclasses__() }}",
    "reads a file": "{% include '/etc/passwd' %}",
    "is no valid template": "{% for message in messages %}",
    "raises an error": "{{ raise_exception('roles must alternate') }}",
    "never ends": "{% for number in range(10 ** 9) %}x{% endfor %}",
    "adds a number to a list": "{{ messages + 1 }}",
}


@pytest.mark.parametrize("template", FAILING)
def test_a_chat_template_that_fails_or_reaches_out_of_its_sandbox_is_refused_in_one_sentence(chat: Any, template: str) -> None:
    tokenizer = copy.deepcopy(chat)
    tokenizer.chat_template = FAILING[template]
    with pytest.raises(UserError, match=r"^the chat template of \S+ can't be used \(.+\); set chat: false under models"):
        render_prompt(tokenizer, PROMPT)


def test_a_prompt_that_looks_like_a_template_is_treated_as_text(chat: Any) -> None:
    hostile = "{{ 7 * 7 }} {% for x in y %} {{ messages.__class__ }}"
    assert hostile in render_prompt(chat, hostile)


def test_a_chat_template_gets_no_second_bos(chat: Any) -> None:
    assert encode_prompt(starting_with_bos(chat), PROMPT) == encode_prompt(chat, PROMPT)


def test_a_tokenizer_without_chat_template_puts_its_bos_before_the_plain_prompt(plain: Any) -> None:
    tokenizer = starting_with_bos(plain)
    assert tokenizer.decode(encode_prompt(tokenizer, PROMPT)) == f"<|im_start|>{PROMPT}\n"


def test_a_tokenizer_without_chat_template_and_bos_reads_the_plain_prompt_alone(plain: Any) -> None:
    assert plain.decode(encode_prompt(plain, PROMPT)) == f"{PROMPT}\n"


def test_text_alone_gets_no_special_tokens(chat: Any, plain: Any) -> None:
    for tokenizer in (chat, plain, starting_with_bos(plain)):
        assert tokenizer.decode(encode_text(tokenizer, " red shoes")) == " red shoes"


def test_an_example_has_the_tokens_that_answering_reads(chat: Any, plain: Any) -> None:
    for tokenizer in (chat, plain, starting_with_bos(plain)):
        assert encode(tokenizer, "red color").prompt_ids == encode_prompt(tokenizer, PROMPT)


def test_a_target_is_its_text_and_one_eos(chat: Any, plain: Any) -> None:
    for tokenizer in (chat, plain, starting_with_bos(plain)):
        target = encode(tokenizer, "red color\nshoes product").target_ids
        assert tokenizer.decode(target[:-1]) == "red color\nshoes product"
        assert target[-1] == tokenizer.eos_token_id
        assert target.count(tokenizer.eos_token_id) == 1


def test_an_example_keeps_its_id_and_its_task_as_group_and_counts_all_its_tokens(chat: Any) -> None:
    example = encode(chat, "red color")
    assert (example.id, example.group) == ("ner-17", "ner")
    assert len(example) == len(example.prompt_ids) + len(example.target_ids)


def test_an_example_of_exactly_the_maximum_length_is_complete(chat: Any) -> None:
    example = encode(chat, "red color")
    assert encode(chat, "red color", max_length=len(example)) == example


def test_a_longer_example_is_refused_with_its_id_and_both_lengths(chat: Any) -> None:
    length = len(encode(chat, "red color"))
    with pytest.raises(UserError, match=rf"ner-17: {length} tokens .*max_length {length - 1}; raise it, or remove the row"):
        encode(chat, "red color", max_length=length - 1)


def test_an_empty_target_is_refused_with_its_id(chat: Any) -> None:
    with pytest.raises(UserError, match="ner-17: its target is empty"):
        encode(chat, "")


def naive_prefix_length(sequences: Sequence[Sequence[int]]) -> int:
    length = 0
    while all(len(each) > length for each in sequences) and len({each[length] for each in sequences}) == 1:
        length += 1
    return length


TOKENS = st.lists(st.integers(0, 2), max_size=6)


@given(stem=TOKENS, tails=st.lists(TOKENS, min_size=1, max_size=5))
def test_the_common_prefix_is_as_long_as_a_naive_search_finds(stem: list[int], tails: list[list[int]]) -> None:
    sequences = [(*stem, *tail) for tail in tails]
    assert common_prefix_length(sequences) == naive_prefix_length(sequences) >= len(stem)


def test_no_sequences_have_no_common_prefix() -> None:
    assert common_prefix_length([]) == 0


@pytest.mark.parametrize(
    ("config", "context"),
    [
        (LlamaConfig(max_position_embeddings=512), 512),
        (MistralConfig(max_position_embeddings=512, sliding_window=64), 64),
        (MistralConfig(max_position_embeddings=512, sliding_window=None), 512),
        (Qwen2Config(max_position_embeddings=512, sliding_window=64, use_sliding_window=False), 512),
        (Qwen2Config(max_position_embeddings=512, sliding_window=64, use_sliding_window=True, max_window_layers=1), 64),
    ],
)
def test_the_context_is_what_every_layer_sees(config: Any, context: int) -> None:
    assert context_of(config) == context


@pytest.mark.parametrize(
    "config",
    [
        Gemma2Config(),
        Gemma2Config(attn_logit_softcapping=None),
        GraniteConfig(logits_scaling=8.0),
        CohereConfig(),
        GptOssConfig(),
    ],
)
def test_a_model_that_computes_what_shared_prefixes_do_not_is_refused(config: Any) -> None:
    with pytest.raises(UserError, match=f"model type {config.model_type} caps or scales its logits or attention scores, which"):
        context_of(config)

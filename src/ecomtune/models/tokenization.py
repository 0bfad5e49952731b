"""From text to token ids, in one way for training and answering, so that both see the same tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ecomtune.core.records import Example
from ecomtune.messages.errors import UserError

Tokenizer = Any  # transformers' tokenizers have no common public type

#: The label of a token for which no loss is computed (PyTorch's default ignore_index).
IGNORED = -100
#: Ordinary text with every letter, to see whether a tokenizer works.
PROBE = "Does it fit (350 ml)? It's red, and the quick brown fox jumps over the lazy dog on each of its sides."


@dataclass(frozen=True)
class EncodedExample:
    """Token ids of an example's prompt and of its target, which ends with EOS; rows of a ``group`` (a task) share a batch."""

    id: str
    group: str
    prompt_ids: tuple[int, ...]
    target_ids: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.target_ids)


def render_prompt(tokenizer: Tokenizer, prompt: str) -> str:
    """The text before an answer: the prompt in the tokenizer's chat template, or followed by a line break if it has none.

    Raises UserError where the template fails, or tries to leave the sandbox that it runs in.
    """
    if not getattr(tokenizer, "chat_template", None):
        return f"{prompt}\n"
    message = [{"role": "user", "content": prompt}]
    try:
        return str(tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True))
    except Exception as error:  # a template raises Jinja's errors and those of whatever it calls
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"the chat template of {tokenizer.name_or_path} can't be used ({reason}); set chat: false under models, or "
            "choose another model"
        ) from error


def check_tokenizer(tokenizer: Tokenizer, embeddings: int, causal: bool) -> None:
    """Raises ValueError where the tokenizer doesn't fit a model with this number of embeddings, UserError where its chat
    template fails.

    Special tokens that we never use may lie beyond the embeddings, as Gemma 3's image tokens do.
    """
    if causal and PROBE not in render_prompt(tokenizer, PROBE):
        raise ValueError("its chat template leaves out the message's text")
    if not encode_text(tokenizer, PROBE) or not tokenizer(PROBE)["input_ids"]:
        raise ValueError("its tokenizer makes no tokens of ordinary text")
    needed = "eos_token" if causal else "pad_token"
    if getattr(tokenizer, f"{needed}_id") is None:
        raise ValueError(f"its tokenizer has no {needed}")
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    used = {getattr(tokenizer, f"{name}_token_id") for name in ("bos", "cls", "eos", "pad", "sep")} - {None}
    last = max({*tokenizer.get_vocab().values()} - special | used)
    if last >= embeddings:
        raise ValueError(f"its tokenizer has a token of id {last}, and its weights have {embeddings} embeddings")


def encode_text(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    """Token ids of ``text`` alone, without special tokens."""
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def encode_prompt(tokenizer: Tokenizer, prompt: str) -> tuple[int, ...]:
    """Token ids of a rendered prompt; a tokenizer without a chat template puts its BOS token first, if it has one."""
    rendered = render_prompt(tokenizer, prompt)
    if getattr(tokenizer, "chat_template", None):
        return encode_text(tokenizer, rendered)
    return tuple(tokenizer(rendered)["input_ids"])


def encode_example(
    tokenizer: Tokenizer, example: Example, max_length: int, *, limit: str = "train.shared.max_length"
) -> EncodedExample:
    """Encode one training example. Nothing is ever truncated: raises UserError naming the row that is too long or empty.

    ``limit`` is the parameter that holds ``max_length``, for the error.
    """
    target_ids = encode_text(tokenizer, example.target)
    if not target_ids:
        raise UserError(f"example {example.id}: its target is empty; remove the row from the data set")
    prompt_ids = encode_prompt(tokenizer, example.prompt)
    encoded = EncodedExample(example.id, example.task, prompt_ids, (*target_ids, tokenizer.eos_token_id))
    if len(encoded) > max_length:
        raise UserError(
            f"example {example.id}: {len(encoded)} tokens are more than {limit} {max_length}; "
            "raise it, or remove the row from the data set"
        )
    return encoded


def context_of(config: Any) -> int:
    """The number of tokens that a prompt and its answer may have together.

    Where a sliding attention window is shorter than the context, it counts instead, since shared prefixes have no windows.
    Raises UserError for a model that computes what shared prefixes don't: attention scores that are capped or have sinks,
    logits that are capped or scaled.
    """
    capped = any(getattr(config, name, None) for name in ("attn_logit_softcapping", "final_logit_softcapping"))
    scaled = any(getattr(config, name, None) not in (None, 1) for name in ("logits_scaling", "logit_scale"))
    if capped or scaled or config.model_type == "gpt_oss":
        raise UserError(
            f"model type {config.model_type} caps or scales its logits or attention scores, which isn't supported; choose "
            "another model"
        )
    slides = "sliding_attention" in (getattr(config, "layer_types", None) or ["sliding_attention"])
    window = getattr(config, "sliding_window", None) if slides else None
    return min(int(config.max_position_embeddings), int(window or config.max_position_embeddings))


def common_prefix_length(sequences: Sequence[Sequence[int]]) -> int:
    """The number of leading tokens that all sequences share."""
    if not sequences:
        return 0
    first, last = min(map(list, sequences)), max(map(list, sequences))  # the first and last in sorted order differ earliest
    length = 0
    for left, right in zip(first, last, strict=False):
        if left != right:
            break
        length += 1
    return length

"""From text to token ids: one way for training and for answering, so that both see the same tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ecomtune.messages.errors import UserError

Tokenizer = Any  # transformers gives its tokenizers no common public type

#: The label of a token that no loss is computed for (PyTorch's default ignore_index).
IGNORED = -100
#: Ordinary text with every letter, on which a tokenizer shows whether it works.
PROBE = "Does it fit (350 ml)? It's red, and the quick brown fox jumps over the lazy dog on each of its sides."


@dataclass(frozen=True)
class EncodedExample:
    """Token ids of a prompt and of its target, which ends with EOS; ``group`` names the prompt's family (its task)."""

    id: str
    group: str
    prompt_ids: tuple[int, ...]
    target_ids: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.target_ids)


def render_prompt(tokenizer: Tokenizer, prompt: str) -> str:
    """The text that stands before an answer: the model's own chat form where its tokenizer has one, else a plain one.

    Raises UserError where that form can't be filled in, or would reach out of the sandbox that it runs in.
    """
    if not getattr(tokenizer, "chat_template", None):
        return f"{prompt}\n"
    message = [{"role": "user", "content": prompt}]
    try:
        return str(tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True))
    except Exception as error:  # a template raises Jinja's errors and whatever its own calls do
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"the chat template of {tokenizer.name_or_path} can't be used ({reason}); set chat: false under models, or take "
            "another model"
        ) from error


def check_tokenizer(tokenizer: Tokenizer, embeddings: int, causal: bool) -> None:
    """Raises ValueError where the tokenizer doesn't fit a model with so many embeddings, UserError for a chat form that fails.

    Special tokens that are never asked for may lie beyond the embeddings, as those of pictures do in Gemma 3's.
    """
    if causal and PROBE not in render_prompt(tokenizer, PROBE):
        raise ValueError("its chat template leaves out what the message says")
    if not encode_text(tokenizer, PROBE) or not tokenizer(PROBE)["input_ids"]:
        raise ValueError("its tokenizer makes no tokens of ordinary text")
    needed = "eos_token" if causal else "pad_token"
    if getattr(tokenizer, f"{needed}_id") is None:
        raise ValueError(f"its tokenizer has no {needed}")
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    asked_for = {getattr(tokenizer, f"{name}_token_id") for name in ("bos", "cls", "eos", "pad", "sep")} - {None}
    last = max({*tokenizer.get_vocab().values()} - special | asked_for)
    if last >= embeddings:
        raise ValueError(f"its tokenizer knows a token of number {last}, and its weights have {embeddings} embeddings")


def encode_text(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    """Token ids of ``text`` alone, nothing added before or after."""
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def encode_prompt(tokenizer: Tokenizer, prompt: str) -> tuple[int, ...]:
    """Token ids of a rendered prompt; a tokenizer without a chat form puts its own BOS token first."""
    rendered = render_prompt(tokenizer, prompt)
    if getattr(tokenizer, "chat_template", None):
        return encode_text(tokenizer, rendered)
    return tuple(tokenizer(rendered)["input_ids"])


def encode_example(
    tokenizer: Tokenizer,
    *,
    identity: str,
    group: str,
    prompt: str,
    target: str,
    max_length: int,
    limit: str = "train.shared.max_length",
) -> EncodedExample:
    """Encode one training example. Nothing is ever cut: raises UserError naming the row that is too long or empty.

    ``limit`` is the parameter that holds ``max_length``, as the error names it.
    """
    target_ids = encode_text(tokenizer, target)
    if not target_ids:
        raise UserError(f"example {identity}: its target is empty, which teaches nothing; take the row out of the data set")
    example = EncodedExample(identity, group, encode_prompt(tokenizer, prompt), (*target_ids, tokenizer.eos_token_id))
    if len(example) > max_length:
        raise UserError(
            f"example {identity}: {len(example)} tokens are more than {limit} {max_length}; "
            "raise it, or take the row out of the data set"
        )
    return example


def context_of(config: Any) -> int:
    """The number of tokens that a prompt and its answer may have: all of them see each other, and none is cut.

    A sliding attention window counts as the context where it is shorter, since shared prefixes have no windows.
    Raises UserError for a model that computes more than shared prefixes do: attention scores that are capped or have sinks,
    logits that are capped or scaled.
    """
    capped = any(getattr(config, name, None) for name in ("attn_logit_softcapping", "final_logit_softcapping"))
    scaled = any(getattr(config, name, None) not in (None, 1) for name in ("logits_scaling", "logit_scale"))
    if capped or scaled or config.model_type == "gpt_oss":
        raise UserError(
            f"model type {config.model_type} caps or scales its logits or attention scores, which isn't supported; choose "
            "another"
        )
    slides = "sliding_attention" in (getattr(config, "layer_types", None) or ["sliding_attention"])
    window = getattr(config, "sliding_window", None) if slides else None
    return min(int(config.max_position_embeddings), int(window or config.max_position_embeddings))


def common_prefix_length(sequences: Sequence[Sequence[int]]) -> int:
    """Number of leading tokens that all sequences share."""
    if not sequences:
        return 0
    first, last = min(map(list, sequences)), max(map(list, sequences))  # in sorted order the outermost two differ first
    length = 0
    for left, right in zip(first, last, strict=False):
        if left != right:
            break
        length += 1
    return length

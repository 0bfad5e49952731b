"""The three ways to answer: one label of a closed set, one tag a word, free text; each by all processes together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ecomtune.inference.decoding.processes import own, whole
from ecomtune.inference.decoding.session import Session, SharedPrefix, Tokens
from ecomtune.models.tokenization import Tokenizer, encode_prompt, encode_text

#: Called with the number of rows that are done.
Progress = Callable[[int], None]


def answer_labels(
    model: Any, tokenizer: Tokenizer, prompts: Sequence[str], labels: Sequence[str], batch_size: int, progress: Progress
) -> list[str]:
    """For each prompt one of ``labels``, greedily over the trie of their tokens: never a word outside the set."""
    options = {encode_text(tokenizer, label): label for label in labels}
    encoded = [encode_prompt(tokenizer, prompt) for prompt in prompts]
    prefix = SharedPrefix(model, encoded)
    answers = [""] * len(prompts)
    mine = own(batches([len(prompt) for prompt in encoded], batch_size))
    for rows in mine:
        session = started(model, prefix, [encoded[row] for row in rows], more=max(map(len, options)))
        chosen, _ = session.choose([list(options)] * len(rows))
        for row, option in zip(rows, chosen, strict=True):
            answers[row] = options[tuple(option)]
        progress(len(rows))
    return whole(answers, mine)


def answer_tags(
    model: Any,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    queries: Sequence[Sequence[str]],
    choices: Callable[[str | None], Sequence[str]],
    batch_size: int,
    progress: Progress,
) -> list[list[str]]:
    """For each prompt one tag word for each word of its query; the words themselves are forced.

    ``choices`` gives the tag words that may follow the one before (None at the start), so that every answer is valid.
    A tag's tokens, the line's end and the next word are read in one step together.
    """
    encoded = [encode_prompt(tokenizer, prompt) for prompt in prompts]
    prefix = SharedPrefix(model, encoded)
    tokens = {word: encode_text(tokenizer, f" {word}") for word in _all_choices(choices)}
    words_of = {ids: word for word, ids in tokens.items()}
    newline = encode_text(tokenizer, "\n")
    answers: list[list[str]] = [[] for _ in prompts]
    costs = [1000 * len(words) + len(prompt) for words, prompt in zip(queries, encoded, strict=True)]
    mine = own(batches(costs, batch_size))
    for rows in mine:
        words = {row: [encode_text(tokenizer, word) for word in queries[row]] for row in rows}
        more = max(sum(len(word) + 3 for word in words[row]) for row in rows)
        session = started(model, prefix, [(*encoded[row], *words[row][0]) for row in rows], more)
        active = list(rows)
        while active:
            before = [answers[row][-1] if answers[row] else None for row in active]
            chosen, unread = session.choose([[tokens[word] for word in choices(last)] for last in before])
            for row, option in zip(active, chosen, strict=True):
                answers[row].append(words_of[tuple(option)])
            going = [place for place, row in enumerate(active) if len(answers[row]) < len(queries[row])]
            progress(len(active) - len(going))
            if 0 < len(going) < len(active):
                session.keep(going)
            active = [active[place] for place in going]
            if active:
                following = [words[row][len(answers[row])] for row in active]
                session.feed([(*unread[p], *newline, *word) for p, word in zip(going, following, strict=True)])
    return whole(answers, mine)


def _all_choices(choices: Callable[[str | None], Sequence[str]]) -> list[str]:
    """Every tag word that can be reached from the start."""
    found = list(choices(None))
    for word in found:  # grows while it is walked
        found += [other for other in choices(word) if other not in found]
    return found


def answer_texts(
    model: Any,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    max_new_tokens: int,
    batch_size: int,
    progress: Progress,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[str]:
    """For each prompt the continuation up to EOS or ``max_new_tokens``; rows leave the batch as they end.

    Greedy at temperature 0, else sampled, each row from a random stream of its own, so that batches don't matter.
    """
    streams = [torch.Generator().manual_seed(seed * 1_000_003 + row) for row in range(len(prompts))]
    encoded = [encode_prompt(tokenizer, prompt) for prompt in prompts]
    prefix = SharedPrefix(model, encoded)
    answers: list[list[int]] = [[] for _ in prompts]
    mine = own(batches([len(prompt) for prompt in encoded], batch_size))
    for rows in mine:
        session = started(model, prefix, [encoded[row] for row in rows], max_new_tokens)
        active = list(rows)
        while active:
            following = next_tokens(session.logits(), temperature, [streams[row] for row in active])
            for row, token in zip(active, following, strict=True):
                answers[row].append(token)
            going = [
                place
                for place, row in enumerate(active)
                if answers[row][-1] != tokenizer.eos_token_id and len(answers[row]) < max_new_tokens
            ]
            progress(len(active) - len(going))
            if 0 < len(going) < len(active):
                session.keep(going)
            active = [active[place] for place in going]
            if active:
                session.feed([(answers[row][-1],) for row in active])
    return [tokenizer.decode(tokens, skip_special_tokens=True).strip() for tokens in whole(answers, mine)]


def next_tokens(logits: Tensor, temperature: float, streams: Sequence[torch.Generator]) -> list[int]:
    """One token for each row of ``logits`` [B, V]: the best, or a draw from softmax(logits / temperature)."""
    if temperature > 0:
        # the largest of logits plus Gumbel noise is such a draw (Maddison et al. 2014)
        uniform = torch.stack([torch.rand(logits.shape[1], generator=stream) for stream in streams])
        logits = logits / temperature - torch.log(-torch.log(uniform.clamp(min=1e-20))).to(logits.device)
    tokens: list[int] = logits.argmax(dim=-1).tolist()
    return tokens


def batches(costs: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Rows in batches of like cost, dearest first, so that memory is at its peak at the start."""
    order = sorted(range(len(costs)), key=lambda row: (-costs[row], row))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def started(model: Any, prefix: SharedPrefix, prompts: Sequence[Tokens], more: int) -> Session:
    """A session in which each row has read its own part of the prompt, with room for about ``more`` tokens."""
    own = [prompt[len(prefix.ids) :] for prompt in prompts]
    session = Session(model, prefix, len(own), max(map(len, own)) + more)
    session.feed(own)
    return session

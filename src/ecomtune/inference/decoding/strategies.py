"""The ways to decode an answer: one label of a closed set, one tag for each word, free text; processes share the batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ecomtune.inference.decoding.processes import gather, own_batches
from ecomtune.inference.decoding.session import Session, SharedPrefix, TokenIds
from ecomtune.models.tokenization import Tokenizer, encode_text


@dataclass(frozen=True)
class Decoder:
    """A loaded causal model with its tokenizer, the rows in a batch, and what to call with the number of rows just done."""

    model: Any
    tokenizer: Tokenizer
    batch_size: int
    progress: Callable[[int], None] = lambda rows: None

    def batches(self, costs: Sequence[int]) -> list[list[int]]:
        """The batches of rows that this process answers.

        A batch holds rows of similar cost, and the most expensive ones come first, so that memory use peaks at the start.
        """
        order = sorted(range(len(costs)), key=lambda row: (-costs[row], row))
        return own_batches(order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size))

    def start(self, prefix: SharedPrefix, prompts: Sequence[TokenIds], more: int) -> Session:
        """A session in which each row has read its own part of its prompt, with room for about ``more`` tokens."""
        rest = [prompt[len(prefix.ids) :] for prompt in prompts]
        session = Session(self.model, prefix, len(rest), max(map(len, rest)) + more)
        session.feed(rest)
        return session


def answer_labels(decoder: Decoder, prompts: Sequence[TokenIds], labels: Sequence[str]) -> list[str]:
    """For each prompt one of ``labels``, greedily over the trie of their tokens: never a word outside the set."""
    options = {encode_text(decoder.tokenizer, label): label for label in labels}
    prefix = SharedPrefix(decoder.model, prompts)
    answers = [""] * len(prompts)
    batches = decoder.batches([len(prompt) for prompt in prompts])
    for rows in batches:
        session = decoder.start(prefix, [prompts[row] for row in rows], more=max(map(len, options)))
        chosen, _ = session.choose([list(options)] * len(rows))
        for row, option in zip(rows, chosen, strict=True):
            answers[row] = options[tuple(option)]
        decoder.progress(len(rows))
    return gather(answers, batches)


def answer_tags(
    decoder: Decoder,
    prompts: Sequence[TokenIds],
    queries: Sequence[Sequence[str]],
    choices: Callable[[str | None], Sequence[str]],
) -> list[list[str]]:
    """For each prompt one tag word for each word of its query; the words themselves are forced.

    ``choices`` returns the tag words that may follow a tag word (None at the start), so that every answer is valid.
    A tag's tokens, the line break and the next word are read in a single step.
    """
    tokenizer = decoder.tokenizer
    prefix = SharedPrefix(decoder.model, prompts)
    tokens = {word: encode_text(tokenizer, f" {word}") for word in _reachable(choices)}
    words_of = {ids: word for word, ids in tokens.items()}
    newline = encode_text(tokenizer, "\n")
    answers: list[list[str]] = [[] for _ in prompts]
    batches = decoder.batches([1000 * len(words) + len(prompt) for words, prompt in zip(queries, prompts, strict=True)])
    for rows in batches:
        words = {row: [encode_text(tokenizer, word) for word in queries[row]] for row in rows}
        more = max(sum(len(word) + 3 for word in words[row]) for row in rows)
        session = decoder.start(prefix, [(*prompts[row], *words[row][0]) for row in rows], more)
        active = list(rows)
        while active:
            before = [answers[row][-1] if answers[row] else None for row in active]
            chosen, unread = session.choose([[tokens[word] for word in choices(last)] for last in before])
            for row, option in zip(active, chosen, strict=True):
                answers[row].append(words_of[tuple(option)])
            unfinished = [place for place, row in enumerate(active) if len(answers[row]) < len(queries[row])]
            active = _drop_finished(decoder, session, active, unfinished)
            if active:
                following = [words[row][len(answers[row])] for row in active]
                session.feed([(*unread[p], *newline, *word) for p, word in zip(unfinished, following, strict=True)])
    return gather(answers, batches)


def _reachable(choices: Callable[[str | None], Sequence[str]]) -> list[str]:
    """Every tag word that can be reached from the start."""
    found = list(choices(None))
    for word in found:  # grows while it is iterated over
        found += [other for other in choices(word) if other not in found]
    return found


def answer_texts(
    decoder: Decoder, prompts: Sequence[TokenIds], max_new_tokens: int, temperature: float = 0.0, seed: int = 0
) -> list[str]:
    """For each prompt its continuation up to EOS or ``max_new_tokens``; rows leave the batch as they end.

    Greedy at temperature 0, otherwise sampled, each row from a random stream of its own, so that batches don't matter.
    """
    tokenizer = decoder.tokenizer
    streams = [torch.Generator().manual_seed(seed * 1_000_003 + row) for row in range(len(prompts))]
    prefix = SharedPrefix(decoder.model, prompts)
    answers: list[list[int]] = [[] for _ in prompts]
    batches = decoder.batches([len(prompt) for prompt in prompts])
    for rows in batches:
        session = decoder.start(prefix, [prompts[row] for row in rows], max_new_tokens)
        active = list(rows)
        while active:
            following = next_tokens(session.logits(), temperature, [streams[row] for row in active])
            for row, token in zip(active, following, strict=True):
                answers[row].append(token)
            unfinished = [
                place
                for place, row in enumerate(active)
                if answers[row][-1] != tokenizer.eos_token_id and len(answers[row]) < max_new_tokens
            ]
            active = _drop_finished(decoder, session, active, unfinished)
            if active:
                session.feed([(answers[row][-1],) for row in active])
    return [tokenizer.decode(tokens, skip_special_tokens=True).strip() for tokens in gather(answers, batches)]


def _drop_finished(decoder: Decoder, session: Session, active: Sequence[int], unfinished: Sequence[int]) -> list[int]:
    """The active rows that go on, by their places among all of them; the session drops the others."""
    decoder.progress(len(active) - len(unfinished))
    if 0 < len(unfinished) < len(active):
        session.keep(unfinished)
    return [active[place] for place in unfinished]


def next_tokens(logits: Tensor, temperature: float, streams: Sequence[torch.Generator]) -> list[int]:
    """One token for each row of ``logits`` [B, V]: the best, or a draw from softmax(logits / temperature)."""
    if temperature > 0:
        # the largest of logits plus Gumbel noise is such a draw (Maddison et al. 2014)
        uniform = torch.stack([torch.rand(logits.shape[1], generator=stream) for stream in streams])
        logits = logits / temperature - torch.log(-torch.log(uniform.clamp(min=1e-20))).to(logits.device)
    tokens: list[int] = logits.argmax(dim=-1).tolist()
    return tokens

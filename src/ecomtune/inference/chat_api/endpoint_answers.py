"""How a model behind an endpoint answers a task's prompts."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict

from rich.progress import Progress

from ecomtune.core.config import Endpoint
from ecomtune.core.locks import locked
from ecomtune.core.paths import SCRATCH
from ecomtune.inference.chat_api.client import TIMEOUT_SECONDS, ChatClient
from ecomtune.inference.chat_api.connection import api_key, base_url
from ecomtune.inference.chat_api.paid_answers import FOLDER, PaidAnswer, Question, keep, kept, total
from ecomtune.messages.errors import UserError

#: A line for each time that a system has answered a task: what it paid for then, and what all its answers cost.
COSTS = SCRATCH / "costs.jsonl"


def answer_prompts(
    system: str, task: str, endpoint: Endpoint, prompts: Sequence[str], max_tokens: int
) -> tuple[list[str], tuple[int, int] | None]:
    """The raw answer to each prompt, in their order, and the tokens of all of them, None where the server doesn't count.

    Prints and logs what they cost. Equal prompts are asked once.

    What was paid for before is taken from scratch; where that is all, no key is needed. Raises UserError where the endpoint
    isn't named, refuses or keeps failing: what was paid for by then is kept. So it is after SIGINT or SIGTERM, and answers
    under way are awaited first; a second signal drops these.
    """
    base = base_url()
    questions = [Question(base, endpoint.model, prompt, endpoint.temperature, max_tokens) for prompt in prompts]
    told = f"another process asks for the answers of {system}; waiting until it ends, to pay for none of them twice"
    with locked(FOLDER / f"{system}.lock", lambda: print(told, flush=True)):
        paid = _paid(system, task, endpoint, base, list(dict.fromkeys(questions)))
    given = [paid[question] for question in questions]
    answers = [each.answer for each in given]
    _tell_empty(system, task, answers)
    all_of_them = total(given, endpoint)
    return answers, None if all_of_them.uncounted else (all_of_them.input_tokens, all_of_them.output_tokens)


def _paid(system: str, task: str, endpoint: Endpoint, base: str, questions: Sequence[Question]) -> dict[Question, PaidAnswer]:
    """The answer to each of these distinct questions, paid for before or now."""
    before = {question: answer for question in questions if (answer := kept(question))}
    now: dict[Question, PaidAnswer] = {}
    try:
        with Progress() as bar:
            rows = bar.add_task(task, total=len(questions), completed=len(before))

            def answered(question: Question, answer: PaidAnswer) -> None:
                now[question] = answer
                keep(question, answer)
                bar.advance(rows)

            if waiting := [question for question in questions if question not in before]:
                _ask_until_stopped(ChatClient(base, api_key()), waiting, endpoint.concurrency, answered)
    except UserError as error:
        have = f"{len(before) + len(now)} of {len(questions)} answers are kept, and only the rest will be asked for"
        raise UserError(f"systems.{system}: {error}; {have}") from error
    finally:
        _report(system, task, endpoint, list(before.values()), list(now.values()))
    return {**before, **now}


def _ask_until_stopped(
    client: ChatClient, questions: Sequence[Question], concurrency: int, answered: Callable[[Question, PaidAnswer], None]
) -> None:
    """Ask the questions; a signal to stop takes effect, as it would have, once nothing is under way any more."""
    stops: list[int] = []

    async def ask() -> None:
        with _heeding(client, stops):
            await _ask_all(client, questions, concurrency, answered)

    with suppress(asyncio.CancelledError):
        asyncio.run(ask())
    if stops:
        signal.raise_signal(stops[0])


@contextmanager
def _heeding(client: ChatClient, stops: list[int]) -> Iterator[None]:
    """Have the first SIGINT or SIGTERM let the client ask nothing more, the second one drop what is under way."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def stop(number: int) -> None:
        if stops and task:
            task.cancel()
        else:
            client.stopping.set()
            told = f"stopping: answers under way, which cost, are awaited for {TIMEOUT_SECONDS:g} seconds at most"
            print(f"{told}; stop once more to drop them", file=sys.stderr, flush=True)
        stops.append(number)

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    former = {number: handler for number, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}
    for number in former:
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number, handler in former.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


async def _ask_all(
    client: ChatClient, questions: Sequence[Question], concurrency: int, answered: Callable[[Question, PaidAnswer], None]
) -> None:
    """Ask ``concurrency`` questions at a time. After a failure none is begun, and those under way, which cost, are awaited."""
    waiting = iter(questions)
    failures: list[Exception] = []

    async def ask_in_turn() -> None:
        for question in waiting:  # all take from the same
            try:
                answered(question, await client.ask(question))
            except (UserError, OSError) as error:
                failures.append(error)
            if failures or client.stopping.is_set():
                return

    async with client:
        await asyncio.gather(*(ask_in_turn() for _ in range(concurrency)))
    if failures and not client.stopping.is_set():
        raise failures[0]


def _tell_empty(system: str, task: str, answers: Sequence[str]) -> None:
    """Print how many answers hold no text: they are paid for and scored, and must not go unsaid."""
    empty = sum(not answer.strip() for answer in answers)
    if not empty:
        return
    told = f"{system}: {task}: {empty} of {len(answers)} answers are empty; they are scored as they are, and kept"
    if empty == len(answers):
        told += (
            "; raise the task's max_new_tokens, which a model that reasons spends before it answers, or correct the system's "
            "endpoint.model; either asks anew"
        )
    print(told)


def _report(system: str, task: str, endpoint: Endpoint, before: Sequence[PaidAnswer], now: Sequence[PaidAnswer]) -> None:
    """Print what was paid for and log it in scratch: in an output, it would make no two runs the same."""
    paid, everything = total(now, endpoint), total([*before, *now], endpoint)
    print(f"{system}: {task}: answers paid for now: {paid}, before: {total(before, endpoint)}, in all: {everything}")
    entry = {"all": asdict(everything), "model": endpoint.model, "now": asdict(paid), "system": system, "task": task}
    SCRATCH.mkdir(exist_ok=True)
    with COSTS.open("a", encoding="utf-8") as log:
        log.write(json.dumps(entry) + "\n")

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
from ecomtune.inference.chat_api.paid_answers import FOLDER, PaidAnswer, Question, lookup, store, total
from ecomtune.messages.errors import UserError

#: One line for each run of a system on a task: what that run paid for, and what all its answers cost.
COSTS = SCRATCH / "costs.jsonl"


def answer_prompts(
    system: str, task: str, endpoint: Endpoint, prompts: Sequence[str], max_tokens: int
) -> tuple[list[str], tuple[int, int] | None]:
    """The raw answer to each prompt, in their order, and the tokens of all of them, None where the server doesn't count.

    Prints and logs what they cost. Equal prompts are asked once.

    Answers that were paid for before are taken from scratch; if those are all, no key is needed. Raises UserError where the
    endpoint isn't set, refuses or keeps failing; answers paid for by then are kept. They are also kept after SIGINT or
    SIGTERM, which first waits for answers already requested; a second signal discards these.
    """
    base = base_url()
    questions = [Question(base, endpoint.model, prompt, endpoint.temperature, max_tokens) for prompt in prompts]
    waiting = f"another process is requesting the answers of {system}; waiting until it ends, so that none is paid for twice"
    with locked(FOLDER / f"{system}.lock", lambda: print(waiting, flush=True)):
        paid = _paid(system, task, endpoint, base, list(dict.fromkeys(questions)))
    found = [paid[question] for question in questions]
    answers = [each.answer for each in found]
    _report_empty(system, task, answers)
    sums = total(found, endpoint)
    return answers, None if sums.uncounted else (sums.input_tokens, sums.output_tokens)


def _paid(system: str, task: str, endpoint: Endpoint, base: str, questions: Sequence[Question]) -> dict[Question, PaidAnswer]:
    """The answer to each of these distinct questions, paid for before or now."""
    before = {question: answer for question in questions if (answer := lookup(question))}
    now: dict[Question, PaidAnswer] = {}
    try:
        with Progress() as bar:
            rows = bar.add_task(task, total=len(questions), completed=len(before))

            def answered(question: Question, answer: PaidAnswer) -> None:
                now[question] = answer
                store(question, answer)
                bar.advance(rows)

            if waiting := [question for question in questions if question not in before]:
                _ask_until_stopped(ChatClient(base, api_key()), waiting, endpoint.concurrency, answered)
    except UserError as error:
        saved = f"{len(before) + len(now)} of {len(questions)} answers are kept, and only the rest will be requested"
        raise UserError(f"systems.{system}: {error}; {saved}") from error
    finally:
        _report_costs(system, task, endpoint, list(before.values()), list(now.values()))
    return {**before, **now}


def _ask_until_stopped(
    client: ChatClient, questions: Sequence[Question], concurrency: int, answered: Callable[[Question, PaidAnswer], None]
) -> None:
    """Ask the questions; a signal to stop takes effect, with its usual handler, once no request is running."""
    stops: list[int] = []

    async def ask() -> None:
        with _stop_on_signals(client, stops):
            await _ask_all(client, questions, concurrency, answered)

    with suppress(asyncio.CancelledError):
        asyncio.run(ask())
    if stops:
        signal.raise_signal(stops[0])


@contextmanager
def _stop_on_signals(client: ChatClient, stops: list[int]) -> Iterator[None]:
    """On the first SIGINT or SIGTERM, let the client ask nothing more; on the second, cancel the running requests."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def stop(number: int) -> None:
        if stops and task:
            task.cancel()
        else:
            client.stopping.set()
            waiting = f"stopping: waiting at most {TIMEOUT_SECONDS:g} seconds for answers already requested, which are paid for"
            print(f"{waiting}; stop again to discard them", file=sys.stderr, flush=True)
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
    """Ask ``concurrency`` questions at a time. After a failure none is begun; those running, which cost, are awaited."""
    waiting = iter(questions)
    failures: list[Exception] = []

    async def worker() -> None:
        for question in waiting:  # one iterator for all workers
            try:
                answered(question, await client.ask(question))
            except (UserError, OSError) as error:
                failures.append(error)
            if failures or client.stopping.is_set():
                return

    async with client:
        await asyncio.gather(*(worker() for _ in range(concurrency)))
    if failures and not client.stopping.is_set():
        raise failures[0]


def _report_empty(system: str, task: str, answers: Sequence[str]) -> None:
    """Print how many answers hold no text, if any: they are paid for and scored like others."""
    empty = sum(not answer.strip() for answer in answers)
    if not empty:
        return
    message = f"{system}: {task}: {empty} of {len(answers)} answers are empty; they are scored as they are, and kept"
    if empty == len(answers):
        message += (
            "; raise the task's max_new_tokens, which a reasoning model may use up before it answers, or correct the system's "
            "endpoint.model: both request new answers"
        )
    print(message)


def _report_costs(system: str, task: str, endpoint: Endpoint, before: Sequence[PaidAnswer], now: Sequence[PaidAnswer]) -> None:
    """Print what was paid for, and log it in scratch: in an output, it would differ from run to run."""
    paid, everything = total(now, endpoint), total([*before, *now], endpoint)
    print(f"{system}: {task}: answers paid for now: {paid}, before: {total(before, endpoint)}, in total: {everything}")
    entry = {"all": asdict(everything), "model": endpoint.model, "now": asdict(paid), "system": system, "task": task}
    SCRATCH.mkdir(exist_ok=True)
    with COSTS.open("a", encoding="utf-8") as log:
        log.write(json.dumps(entry) + "\n")

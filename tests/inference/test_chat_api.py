"""A model behind an endpoint: answers are paid for once, faults end in an answer or a sentence, the key appears nowhere."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from ecomtune.core.config import Endpoint
from ecomtune.inference.chat_api import client
from ecomtune.inference.chat_api.client import ATTEMPTS, retry_after
from ecomtune.inference.chat_api.connection import BASE_VARIABLE, KEY_VARIABLE
from ecomtune.inference.chat_api.endpoint_answers import COSTS, answer_prompts
from ecomtune.inference.chat_api.paid_answers import FOLDER
from ecomtune.messages.errors import UserError
from tests.support.chat_server import (
    Fault,
    Handler,
    Site,
    completion,
    cut,
    cut_within,
    drip,
    drip_headers,
    endless,
    hang,
    repeat_key,
    reply,
    serving,
    status,
)
from tests.support.endpoint_stage import lay_out, params_with, predicted, start_stage
from tests.support.pico import make_causal
from tests.support.scratch_clone import make_clone, run

KEY = "-".join(["sk", "secret", "0123456789"])  # in pieces: this file is no place for it either
PROMPTS = ["one", "two", "three", "four", "five"]


@pytest.fixture
def site(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A chat API that the environment names, with short waits between attempts."""
    monkeypatch.setattr(client, "WAIT_SECONDS", 0.001)
    monkeypatch.setattr(client, "LONGEST_WAIT_SECONDS", 0.05)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as site:
        monkeypatch.setenv(BASE_VARIABLE, site.base)
        monkeypatch.setenv(KEY_VARIABLE, KEY)
        yield site


def ask(prompts: list[str] = PROMPTS, **changes: Any) -> list[str]:
    endpoint = Endpoint.model_validate({"model": "large", "concurrency": 1, **changes})
    answers, _ = answer_prompts("mine", "ner", endpoint, prompts, 8)
    return answers


def right(prompts: list[str] = PROMPTS) -> list[str]:
    return [f"answer to {prompt}" for prompt in prompts]


def refusal(prompts: list[str] = PROMPTS, **changes: Any) -> str:
    """The sentence that ends a run; the key is not in it, nor in a printed traceback."""
    with pytest.raises(UserError) as caught:
        ask(prompts, **changes)
    assert "\n" not in str(caught.value) and KEY not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def test_a_prompt_is_asked_as_one_message_of_the_user_and_answers_keep_their_order(site: Site) -> None:
    assert ask(concurrency=3) == right()
    assert sorted(site.prompts) == sorted(PROMPTS)
    asked = site.requests[site.prompts.index("one")]
    message = {"role": "user", "content": "one"}
    assert asked == {"max_tokens": 8, "messages": [message], "model": "large", "temperature": 0.0}
    assert set(site.keys) == {f"Bearer {KEY}"} and set(site.paths) == {"/v1/chat/completions"}


def test_no_more_requests_run_at_once_than_concurrency_allows(site: Site) -> None:
    site.seconds = 0.05
    ask([str(number) for number in range(12)], concurrency=3)
    assert site.most_at_once == 3


# Paid for once.


def test_an_answered_question_is_never_asked_again(site: Site) -> None:
    ask(PROMPTS[:2])
    assert ask() == right()
    assert site.prompts == PROMPTS
    assert ask() == right() and len(site.requests) == len(PROMPTS)


def test_equal_prompts_are_asked_once(site: Site) -> None:
    assert ask(["one", "two", "one"]) == right(["one", "two", "one"])
    assert site.prompts == ["one", "two"]


def test_where_everything_is_paid_for_no_key_is_needed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    ask()
    monkeypatch.delenv(KEY_VARIABLE)
    assert ask() == right()


@pytest.mark.parametrize("changes", [{"model": "larger"}, {"temperature": 0.5}], ids=lambda changes: str(*changes))
def test_another_model_or_temperature_is_another_question(site: Site, changes: dict[str, Any]) -> None:
    ask(["one"])
    ask(["one"], **changes)
    ask(["one"], concurrency=4, input_price=1, output_price=1)  # what doesn't change the answer isn't paid for again
    assert len(site.requests) == 2


def test_another_length_is_another_question(site: Site) -> None:
    """Otherwise the advice to raise max_new_tokens would return the cached, truncated answers."""
    endpoint = Endpoint(model="large")
    for length in (8, 16, 16):
        answer_prompts("mine", "ner", endpoint, ["one"], length)
    assert len(site.requests) == 2


def test_another_endpoint_is_another_question(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(["one"])
    monkeypatch.setenv(BASE_VARIABLE, f"{site.base}/")
    ask(["one"])
    assert len(site.requests) == 1
    monkeypatch.setenv(BASE_VARIABLE, site.base.replace("/v1", "/v2"))
    ask(["one"])
    assert site.paths == ["/v1/chat/completions", "/v2/chat/completions"]


#: An answer's file with a number of tokens that can't be.
IMPOSSIBLE = [json.dumps({"answer": "x", "input_tokens": read, "output_tokens": 3}).encode() for read in (-6, 10**30, 10**400)]


@pytest.mark.parametrize(
    "broken", [b"", b'{"answer": "answ', b"[]", b'{"answer": 1}', b"\xff\xfe", b"[" * 100_000, *IMPOSSIBLE]
)
def test_an_answer_whose_file_is_incomplete_is_requested_again(site: Site, broken: bytes) -> None:
    ask(["one"])
    (file,) = FOLDER.iterdir()
    file.write_bytes(broken)
    assert ask(["one"]) == right(["one"])
    assert len(site.requests) == 2


def test_an_answer_without_text_is_empty_and_kept(site: Site) -> None:
    site.answer = lambda prompt: None
    assert ask(["one"]) == [""] == ask(["one"])
    assert len(site.requests) == 1


@pytest.mark.parametrize(
    "kept", ["half a \\ud83d", "\\udc00", "a whole \\ud83d\\ude00"], ids=["first half", "second half", "whole"]
)
def test_half_a_character_in_an_answer_is_stored_as_a_question_mark(site: Site, kept: str) -> None:
    """Where an answer is cut off within an emoji, JSON holds half a character that no UTF-8 file can."""
    site.faults = [reply(f'{{"choices": [{{"message": {{"content": "{kept}"}}}}]}}')]
    (answer,) = ask(["one"])
    assert answer == kept.replace("\\ud83d\\ude00", "😀").replace("\\ud83d", "?").replace("\\udc00", "?")
    assert ask(["one"]) == [answer] and len(site.requests) == 1


def test_empty_answers_are_counted_and_kept(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.answer = lambda prompt: " \n" if prompt == "two" else prompt
    for _ in range(2):
        ask()
        assert capsys.readouterr().out.splitlines()[-1] == (
            "mine: ner: 1 of 5 answers are empty; they are scored as they are, and kept"
        )
    assert len(site.requests) == 5


def test_where_all_answers_are_empty_the_message_says_what_to_change(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.answer = lambda prompt: None if prompt == "two" else ""
    assert ask() == [""] * 5
    assert capsys.readouterr().out.splitlines()[-1] == (
        "mine: ner: 5 of 5 answers are empty; they are scored as they are, and kept; raise the task's max_new_tokens, which a "
        "reasoning model may use up before it answers, or correct the system's endpoint.model: both request new answers"
    )
    site.answer = lambda prompt: prompt
    assert ask() == [""] * 5 and ask(model="larger") == PROMPTS
    assert "empty" not in capsys.readouterr().out.splitlines()[-1]


# Faults that pass.

PASSING: dict[str, Fault] = {
    "429": status(429),
    "429 with a wait": status(429, Retry_After="0.01"),
    "429 with a date": status(429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"),
    "429 with nonsense": status(429, Retry_After="soon"),
    "408": status(408),
    "500": status(500),
    "503 without JSON": status(503, "<html>busy</html>"),
    "cut": cut,
    "cut within": cut_within,
    "no choices": reply('{"choices": []}'),
    "null choices": reply('{"choices": null}'),
    "no message": reply('{"choices": [{"index": 0}]}'),
    "broken JSON": reply('{"choices": [{"message": {"content": "hal'),
    "brackets without end": reply("[" * 100_000),
    "HTML": reply("<html>Log in</html>"),
    "nothing": reply(""),
    "error with status 200": reply('{"error": {"message": "overloaded"}}'),
}


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_is_retried(site: Site, fault: str) -> None:
    site.faults = [PASSING[fault]] * 2
    assert ask(["one"]) == right(["one"])
    assert site.prompts == ["one"] * 3


@pytest.mark.parametrize("fault", [hang, drip, drip_headers], ids=["hangs", "drips", "drips headers"])
def test_a_server_that_takes_too_long_is_asked_again(site: Site, monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    monkeypatch.setattr(client, "TIMEOUT_SECONDS", 0.3)
    site.faults = [fault]
    assert ask(["one"]) == right(["one"])
    assert site.prompts == ["one"] * 2


def test_a_wait_that_the_server_asks_for_is_respected_up_to_the_longest(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for asked, longest, least in (("0.3", 60.0, 0.3), ("3600", 0.3, 0.3)):
        monkeypatch.setattr(client, "LONGEST_WAIT_SECONDS", longest)
        site.faults = [status(429, Retry_After=asked)]
        started = time.monotonic()
        ask([f"wait {asked}"])
        assert least <= time.monotonic() - started < 5


def test_waits_without_retry_after_grow_and_are_bounded() -> None:
    from tenacity import AsyncRetrying, Future, RetryCallState

    def wait(attempt: int) -> float:
        state = RetryCallState(AsyncRetrying(), None, (), {})
        state.attempt_number, state.outcome = attempt, Future.construct(attempt, ValueError("any"), True)
        return client.wait_seconds(state)

    waits = [wait(attempt) for attempt in range(1, 12)]
    assert all(2**place <= each <= 2**place + 1 for place, each in enumerate(waits[:5]))
    assert max(waits) <= client.LONGEST_WAIT_SECONDS == 60


def test_retry_after_is_read_as_a_number_or_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert retry_after("1.5") == 1.5 and 25 < (retry_after(soon) or 0) <= 30
    for nothing in (None, "", "soon", "-1", "nan", "inf", "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 99999 07:28:00 GMT"):
        assert retry_after(nothing) is None


# Faults that last.

LASTING: dict[str, tuple[Fault, str]] = {
    "429": (status(429), "status 429: {"),
    "500": (status(500), "status 500: {"),
    "cut": (cut, "no connection: "),
    "no choices": (reply('{"choices": []}'), 'a reply that is not a chat completion: {"choices": []}'),
    "broken JSON": (reply("{"), "a reply that is not a chat completion: {"),
    "nothing": (reply(""), "a reply that is not a chat completion: nothing"),
}


@pytest.mark.parametrize("fault", LASTING)
def test_a_fault_that_lasts_stops_with_a_sentence_and_keeps_what_was_paid_for(site: Site, fault: str) -> None:
    ask(PROMPTS[:2])
    what, reason = LASTING[fault]
    site.faults = [what] * 100
    found = refusal()
    assert found.startswith(f"systems.mine: the endpoint at {site.base} failed {ATTEMPTS} times in a row ({reason}")
    assert found.endswith("; try again later; 2 of 5 answers are kept, and only the rest will be requested")
    assert site.prompts == [*PROMPTS[:2], *["three"] * ATTEMPTS]
    site.faults = []
    assert ask() == right()
    assert site.prompts[2 + ATTEMPTS :] == PROMPTS[2:]


def test_a_server_that_always_hangs_or_is_missing_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT_SECONDS", 0.1)
    site.faults = [hang] * 100
    assert "times in a row (no answer within 0.1 seconds); try again later" in refusal(["one"])
    monkeypatch.setenv(BASE_VARIABLE, "http://127.0.0.1:9/v1")
    assert refusal(["one"]).startswith(
        "systems.mine: the endpoint at http://127.0.0.1:9/v1 failed 6 times in a row (no connection:"
    )


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (400, "correct what it refuses: the system's endpoint and shots, or the task's max_new_tokens"),
        (401, f"correct {KEY_VARIABLE} in the environment"),
        (403, f"correct {KEY_VARIABLE} in the environment, or have the key allowed to use this model"),
        (404, f"correct the system's endpoint.model, or {BASE_VARIABLE} in the environment"),
        (422, "correct what it refuses: the system's endpoint and shots, or the task's max_new_tokens"),
    ],
)
def test_a_refusal_stops_at_once(site: Site, code: int, advice: str) -> None:
    site.faults = [status(code)] * 100
    assert refusal() == (
        f"systems.mine: the endpoint at {site.base} refuses model large "
        f'(status {code}: {{"error": {{"message": "refused"}}}}); '
        f"{advice}; 0 of 5 answers are kept, and only the rest will be requested"
    )
    assert len(site.requests) == 1


def test_answers_that_are_under_way_at_a_stop_are_kept(site: Site) -> None:
    site.seconds = 0.1
    site.faults = [status(401)]
    assert "; 2 of 5 answers are kept" in refusal(concurrency=3)
    assert len(site.requests) == 3
    ask()
    assert len(site.requests) == 3 + 3


STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}


def stop_under_way(site: Site, workplace: Path, *numbers: signal.Signals) -> tuple[int | None, str]:
    """A stage with nine questions, three at a time, stopped while the fourth to sixth are running: its status and message."""
    gate = threading.Event()
    lay_out(workplace, {"endpoint": {"model": "large", "concurrency": 3}}, rows=9)
    site.answer = lambda prompt: (
        "Exact" if any(f"Query: mug {each}\n" in prompt for each in range(3)) or gate.wait(60) else None
    )
    with start_stage(workplace) as stage:
        while len(site.requests) < 6 and stage.poll() is None:
            time.sleep(0.01)
        assert stage.stderr is not None
        printed = []
        for number in numbers:
            stage.send_signal(number)
            printed += [stage.stderr.readline()] if not printed else []
        if len(numbers) == 1:
            gate.set()
        printed.append(stage.communicate(timeout=60)[1])
        gate.set()
    assert printed[0] == (
        "stopping: waiting at most 120 seconds for answers already requested, which are paid for; stop again to discard them\n"
    )
    assert not (workplace / "data/predictions/large").exists()
    return stage.returncode, printed[1]


@pytest.mark.parametrize("number", STATUS)
def test_a_signal_to_stop_waits_for_the_answers_under_way_and_keeps_them(
    site: Site, workplace: Path, number: signal.Signals
) -> None:
    assert stop_under_way(site, workplace, number) == (STATUS[number], "predict: stopped; no partial output was left behind\n")
    assert len(site.requests) == 6 == len(list(FOLDER.glob("*.json")))


@pytest.mark.parametrize("number", STATUS)
def test_a_second_signal_to_stop_discards_them(site: Site, workplace: Path, number: signal.Signals) -> None:
    status, printed = stop_under_way(site, workplace, number, number)
    assert (status, printed) == (STATUS[number], "predict: stopped; no partial output was left behind\n")
    assert len(list(FOLDER.glob("*.json"))) == 3


def test_a_stop_between_two_attempts_ends_at_once(site: Site, workplace: Path) -> None:
    lay_out(workplace, {"endpoint": {"model": "large", "concurrency": 1}}, rows=2)
    site.faults = [status(429, Retry_After="50")]
    with start_stage(workplace) as stage:
        while not site.requests and stage.poll() is None:
            time.sleep(0.01)
        time.sleep(0.5)  # its answer has come by now
        stage.send_signal(signal.SIGINT)
        stage.communicate(timeout=20)
    assert stage.returncode == 130 and len(site.requests) == 1


def test_what_fails_after_a_stop_is_not_retried_even_at_once(site: Site, workplace: Path) -> None:
    lay_out(workplace, {"endpoint": {"model": "large", "concurrency": 1}}, rows=2)
    gate = threading.Event()

    def refuse(handler: Handler) -> None:
        gate.wait(60)
        handler.send(429, "{}", Retry_After="0")

    site.faults = [refuse] * 2
    with start_stage(workplace) as stage:
        while not site.requests and stage.poll() is None:
            time.sleep(0.01)
        stage.send_signal(signal.SIGINT)
        assert stage.stderr is not None and stage.stderr.readline().startswith("stopping: ")
        gate.set()
        stage.communicate(timeout=20)
    assert stage.returncode == 130 and len(site.requests) == 1


def test_an_interrupt_that_the_stage_was_started_to_ignore_is_ignored(site: Site, workplace: Path) -> None:
    lay_out(workplace, {"endpoint": {"model": "large", "concurrency": 1}}, rows=3)
    gate = threading.Event()
    site.answer = lambda prompt: "Exact" if gate.wait(60) else None
    with start_stage(workplace, on_interrupt=signal.SIG_IGN) as stage:
        while not site.requests and stage.poll() is None:
            time.sleep(0.01)
        stage.send_signal(signal.SIGINT)
        gate.set()
        _, err = stage.communicate(timeout=60)
    assert stage.returncode == 0 and len(predicted(workplace)) == 3, err


# Endless replies.


@pytest.mark.parametrize("code", [200, 500])
def test_an_endless_reply_is_aborted(site: Site, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(client, "MOST_BYTES", 1000)
    site.faults = [endless(code)]
    assert ask(["one"]) == right(["one"])
    assert len(site.requests) == 2
    site.faults = [endless(code)] * ATTEMPTS
    assert "times in a row (no connection: a reply of more than 1,000 bytes); try again later" in refusal(["two"])


def test_a_compressed_reply_is_not_unpacked(site: Site) -> None:
    site.faults = [status(200, "{}", Content_Encoding="GZip")]
    assert f"the endpoint at {site.base} compresses its replies, although" in refusal(["one"])
    assert site.encodings == ["identity"]
    site.faults = [status(200, json.dumps(completion("plain")), Content_Encoding=" Identity")]
    assert ask(["two"]) == ["plain"]


# The environment.


@pytest.mark.parametrize("variable", [BASE_VARIABLE, KEY_VARIABLE])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_an_endpoint_without_address_or_key_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch, variable: str, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv(variable)
    else:
        monkeypatch.setenv(variable, value)
    assert f"the environment variable {variable} is not set; set it to " in refusal()
    assert site.requests == []


@pytest.mark.parametrize(
    "base",
    [
        "shop.example.com/v1",
        "ftp://x/v1",
        "http://",
        "http://user:pass@x/v1",
        "http://x/v1?key=1",
        "http://x:port/v1",
        "http://[::1",
    ],
)
def test_an_invalid_address_is_refused_and_not_repeated(site: Site, monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    monkeypatch.setenv(BASE_VARIABLE, base)
    found = refusal()
    assert found.startswith(f"the environment variable {BASE_VARIABLE} is not a plain web address") and base not in found


@pytest.mark.parametrize("key", ["two words", "schlüssel", "tab\tbed", "line\nbreak"])
def test_a_key_that_no_header_holds_is_refused_and_not_repeated(site: Site, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv(KEY_VARIABLE, key)
    found = refusal()
    assert f"{KEY_VARIABLE} contains a space or another character that no key has; copy it again" in found
    assert key not in found


@pytest.mark.parametrize("code", [401, 500])
def test_a_key_that_the_server_repeats_is_not_repeated(site: Site, code: int) -> None:
    site.faults = [repeat_key(code)] * 100
    assert "wrong key Bearer [key]" in refusal()


def test_a_servers_text_controls_no_terminal(site: Site) -> None:
    site.faults = [status(400, "no \x1b]0;mine\x07\x1b[2J\x9b2J model")] * 100
    sentence = refusal()
    assert sentence.isprintable() and "no ?]0;mine??[2J?2J model" in sentence


def test_a_redirect_takes_no_key_along(site: Site) -> None:
    with serving() as elsewhere:
        site.faults = [status(307, Location=f"{elsewhere.base}/chat/completions")] * 100
        assert ask(["one"]) == right(["one"])
        assert elsewhere.prompts == ["one"] and elsewhere.keys == [None]


def test_the_key_is_in_no_log(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.faults = [status(503), cut]
    with caplog.at_level(logging.DEBUG):
        ask()
    assert len(caplog.records) > 5 and KEY not in caplog.text


# What it costs.


def test_tokens_and_costs_are_printed_and_logged(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    ask(PROMPTS[:2], input_price=2000, output_price=10_000)
    capsys.readouterr()
    ask(input_price=2000, output_price=10_000)
    assert capsys.readouterr().out.splitlines()[-1] == (
        "mine: ner: answers paid for now: 3 (30 tokens in, 9 out, cost 0.1500), before: 2 (20 tokens in, 6 out, cost 0.1000), "
        "in total: 5 (50 tokens in, 15 out, cost 0.2500)"
    )
    logged = [json.loads(line) for line in COSTS.read_text().splitlines()]
    assert [(entry["now"]["answers"], entry["all"]["answers"]) for entry in logged] == [(2, 2), (3, 5)]
    assert logged[-1]["all"]["cost"] == pytest.approx(0.25)
    assert (logged[-1]["system"], logged[-1]["task"], logged[-1]["model"]) == ("mine", "ner", "large")


def test_the_tokens_of_every_answer_are_counted_whenever_it_was_paid_for(site: Site) -> None:
    _, once = answer_prompts("mine", "ner", Endpoint(model="large"), ["one", "two"], 8)
    assert once is not None and min(once) > 0
    _, twice = answer_prompts("mine", "ner", Endpoint(model="large"), ["one", "two", "two", "one"], 8)
    assert twice == (2 * once[0], 2 * once[1])


def test_what_the_server_does_not_count_is_reported(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.counts_tokens = False
    assert answer_prompts("mine", "ner", Endpoint(model="large"), ["one"], 8)[1] is None
    assert "in total: 1 (0 tokens in, 0 out, 1 of them not counted by the server)" in capsys.readouterr().out


def test_the_tokens_of_some_answers_alone_are_not_those_of_all(site: Site) -> None:
    uncounted = json.dumps({"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 10}})
    site.faults = [reply(uncounted)]
    answers, tokens = answer_prompts("mine", "ner", Endpoint(model="large", concurrency=1), ["one", "two"], 8)
    assert answers == ["x", "answer to two"] and tokens is None


@pytest.mark.parametrize("count", [-1, 10**30, 10**400, "3", True, 2.5, [3], None], ids=lambda count: str(count)[:8])
def test_an_answer_with_an_impossible_token_count_is_kept_as_uncounted(site: Site, count: Any) -> None:
    """It is paid for, whatever its server counts; and no later sum or file takes such a number."""
    usage = {"prompt_tokens": count, "completion_tokens": 4}
    site.faults = [reply(json.dumps({"choices": [{"message": {"content": "x"}}], "usage": usage}))]
    for _ in range(2):
        assert answer_prompts("mine", "ner", Endpoint(model="large"), ["one"], 8) == (["x"], None)
    assert len(site.requests) == 1


@pytest.mark.parametrize("usage", [[], "10", 7, [{"prompt_tokens": 1}]], ids=str)
def test_an_answer_whose_usage_is_of_another_shape_is_kept_as_uncounted(site: Site, usage: Any) -> None:
    site.faults = [reply(json.dumps({"choices": [{"message": {"content": "x"}}], "usage": usage}))]
    assert answer_prompts("mine", "ner", Endpoint(model="large"), ["one"], 8) == (["x"], None)


def test_what_was_paid_before_a_stop_is_printed(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.faults = [reply(json.dumps({"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 1}})), status(401)]
    refusal()
    assert "answers paid for now: 1 (1 tokens in, 0 out, 1 of them not counted by the server)" in capsys.readouterr().out


# The stage.


def test_the_stage_asks_with_demonstrations_and_parses_as_of_any_system(site: Site, workplace: Path) -> None:
    lay_out(workplace, {"endpoint": {"model": "large"}, "shots": 2, "demonstrations": "bm25"}, rows=4)
    site.answer = lambda prompt: "Exact." if "Mug 1 of test" in prompt else "I would say that it fits"
    stage = start_stage(workplace)
    out, err = stage.communicate(timeout=60)
    assert stage.returncode == 0, err
    assert [(row.answer, row.parsed, row.valid) for row in predicted(workplace)] == [
        ("I would say that it fits", None, False),
        ("Exact.", "Exact", True),
        ("I would say that it fits", None, False),
        ("I would say that it fits", None, False),
    ]
    for prompt in site.prompts:
        parts = prompt.split("\n\n")
        assert parts[0].endswith("Answer with one word.") and len(parts) == 4
        number = parts[3].split("Query: mug ")[1].split("\n")[0]
        assert f"Mug {number} of train" in parts[2] and parts[2].endswith("Fit: Exact")
    assert "large: relevance: answers paid for now: 4 (40 tokens in, 12 out), before: 0" in out


def test_a_stage_killed_half_way_pays_only_for_the_rest(site: Site, workplace: Path) -> None:
    rows = 40
    lay_out(workplace, {"endpoint": {"model": "large", "concurrency": 3}}, rows)
    site.seconds = 0.03
    stage = start_stage(workplace)
    while len(site.requests) < rows // 2:
        time.sleep(0.01)
    os.killpg(stage.pid, signal.SIGKILL)
    stage.communicate()
    kept = len(list(FOLDER.glob("*.json")))
    asked = len(site.requests)
    assert asked - 3 <= kept <= asked < rows and not (workplace / "data/predictions/large").exists()
    stage = start_stage(workplace)
    out, err = stage.communicate(timeout=60)
    assert stage.returncode == 0, err
    assert len(site.requests) - asked == rows - kept
    assert f"before: {kept} (" in out and len(predicted(workplace)) == rows


def test_a_second_run_waits_says_so_and_pays_for_nothing_twice(site: Site, workplace: Path) -> None:
    """As after a killed dvc whose stage lives on."""
    lay_out(workplace, {"endpoint": {"model": "large", "concurrency": 2}}, rows=6)
    gate = threading.Event()
    site.answer = lambda prompt: "Exact" if gate.wait(60) else None
    with start_stage(workplace) as first:
        while not site.requests and first.poll() is None:
            time.sleep(0.01)
        with start_stage(workplace) as second:
            assert second.stdout is not None
            printed = second.stdout.readline()
            gate.set()
            ends = [process.communicate(timeout=60) for process in (first, second)]
    assert (
        printed == "another process is requesting the answers of large; waiting until it ends, so that none is paid for twice\n"
    )
    assert (first.returncode, second.returncode) == (0, 0), ends
    assert len(site.requests) == 6 and "before: 6 (" in ends[1][0]
    assert [row.answer for row in predicted(workplace)] == ["Exact"] * 6


def test_a_stop_of_the_stage_is_one_sentence_and_leaves_no_half_output(site: Site, workplace: Path) -> None:
    lay_out(workplace, {"endpoint": {"model": "large", "concurrency": 1}}, rows=3)
    site.faults = [reply(json.dumps({"choices": [{"message": {"content": "Exact"}}]})), status(404)]
    stage = start_stage(workplace)
    _, err = stage.communicate(timeout=60)
    assert stage.returncode == 1 and err.startswith("predict: error: systems.large: the endpoint at") and err.count("\n") == 1
    assert not (workplace / "data/predictions/large").exists() and len(list(FOLDER.iterdir())) == 1


def test_a_disk_without_room_stops_the_stage_with_a_sentence(site: Site, workplace: Path) -> None:
    lay_out(workplace, {"endpoint": {"model": "large", "concurrency": 2}}, rows=5)
    stage = start_stage(workplace, largest_file=20)
    _, err = stage.communicate(timeout=60)
    assert stage.returncode == 1 and err.startswith("predict: error: ") and err.count("\n") == 1
    assert "File too large" in err and 1 <= len(site.requests) <= 2
    assert list(FOLDER.glob("*")) == [] and not (workplace / "data/predictions/large").exists()


def holding(folder: Path, text: str) -> list[Path]:
    """The files of a folder that hold a text."""
    return [file for file in folder.rglob("*") if file.is_file() and text.encode() in file.read_bytes()]


@pytest.mark.pipeline
def test_the_key_is_in_no_file_no_output_and_no_process_title(site: Site, workplace: Path) -> None:
    folder = make_clone(workplace / "clone", profile="pico")
    params = params_with({"endpoint": {"model": "large", "concurrency": 2}, "shots": 1, "demonstrations": "random"})
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    make_causal(folder / ".scratch/pico/causal")
    titles: set[str] = set()

    def answer(prompt: str) -> str:
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it has ended
                titles.add(process.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        return "Exact"

    site.answer = answer
    site.faults = [repeat_key(401)]
    failed = run(folder, "dvc", "repro", "score@large")
    assert failed.returncode != 0 and "refuses model large (status 401" in failed.stderr, failed.stdout + failed.stderr
    done = run(folder, "dvc", "repro", "score@large")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((folder / "metrics/large.json").read_text())["relevance"]["n"] == 12
    assert any("ecomtune.stages.predict large" in title for title in titles)
    assert not any(KEY in text for text in (*titles, failed.stdout, failed.stderr, done.stdout, done.stderr))
    assert holding(folder, "Exact") and holding(folder, KEY) == []
    again = run(folder, "dvc", "repro", "score@large")
    assert "Data and pipelines are up to date." in again.stdout
    assert run(folder, "dvc", "status", "score@large").returncode == 0

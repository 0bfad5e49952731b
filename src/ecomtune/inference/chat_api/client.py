"""One question to a chat endpoint, asked again until it is answered or until asking again is of no use."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
from openai import APIConnectionError, APIStatusError, APITimeoutError, AsyncOpenAI, DefaultAsyncHttpxClient
from pydantic import BaseModel, Field
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from ecomtune.core.files import parse_json
from ecomtune.core.text import replace_surrogates
from ecomtune.inference.chat_api.connection import BASE_VARIABLE, KEY_VARIABLE
from ecomtune.inference.chat_api.paid_answers import MOST_TOKENS, PaidAnswer, Question
from ecomtune.messages.errors import UserError

ATTEMPTS = 6
#: The wait before a second try, which doubles from try to try, and the longest one, whatever a Retry-After header asks for.
WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 60.0
#: For a whole answer: a server that sends a byte now and then is no better than one that sends none.
TIMEOUT_SECONDS = 120.0
#: A longer reply is broken off: an answer's tokens take a few bytes each.
MOST_BYTES = 16 * 2**20
#: What another try may mend, beside 5xx: a time-out of the server's, a conflict, too many requests.
_TRANSIENT = {408, 409, 429}
_ADVICE = {
    401: f"correct {KEY_VARIABLE} in the environment",
    403: f"correct {KEY_VARIABLE} in the environment, or have the key allowed to use this model",
    404: f"correct the system's endpoint.model, or {BASE_VARIABLE} in the environment",
}
_OTHER_ADVICE = "correct what it refuses: the system's endpoint and shots, or the task's max_new_tokens"


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message


class _Completion(BaseModel):
    """What is read of a reply; servers add more."""

    choices: list[_Choice] = Field(min_length=1)
    usage: Any = None


class _TryAgainError(Exception):
    """The connection or the server failed in a way that another try may mend, after ``wait`` seconds if it says so."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class _Bounded(httpx2.AsyncByteStream):
    """A reply's body, broken off where it is too long."""

    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        came = 0
        async for chunk in self._body:
            came += len(chunk)
            if came > MOST_BYTES:
                raise httpx2.DecodingError(f"a reply of more than {MOST_BYTES:,} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()


class _CompressedError(httpx2.DecodingError):
    """A reply is compressed, though that isn't asked for: it may unpack to anything."""


async def _bound(response: httpx2.Response) -> None:
    """Let no reply fill the memory. Raises _CompressedError for one that would have to be unpacked."""
    codings = {each.strip() for each in response.headers.get("content-encoding", "").lower().split(",")}
    if codings & {"br", "compress", "deflate", "gzip", "zstd"}:
        raise _CompressedError("compressed")
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _Bounded(response.stream)


class ChatClient:
    """Asks one endpoint, from within ``async with``; once ``stopping`` is set, no failed question is asked again."""

    def __init__(self, base: str, key: str) -> None:
        self.stopping = asyncio.Event()
        self._base, self._key = base, key
        self._client = AsyncOpenAI(
            base_url=base,
            api_key=key,
            max_retries=0,  # its own stop before the body is looked at, so that they don't mend a broken one
            timeout=TIMEOUT_SECONDS,
            default_headers={"Accept-Encoding": "identity"},
            http_client=DefaultAsyncHttpxClient(event_hooks={"response": [_bound]}),
        )

    async def __aenter__(self) -> ChatClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def ask(self, question: Question) -> PaidAnswer:
        """The answer to a question; one without any text, such as a refusal, is empty, and half a character a question mark.

        Raises UserError, in which the key is not repeated, where the endpoint refuses the question or keeps failing.
        """
        retrying = AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=_wait,
            sleep=self._sleep,
            retry=retry_if_exception_type(_TryAgainError),
            reraise=True,
        )
        try:
            return await retrying(self._ask_once, question)
        except _TryAgainError as error:
            raise UserError(f"the endpoint at {self._base} fails {ATTEMPTS} times running ({error}); try again later") from None

    async def _sleep(self, seconds: float) -> None:
        """Wait before another try. Raises _TryAgainError where there is to be none."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)
        if self.stopping.is_set():
            raise _TryAgainError("stopped before another try")

    async def _ask_once(self, question: Question) -> PaidAnswer:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                reply = await self._client.chat.completions.with_raw_response.create(
                    model=question.model,
                    messages=[{"role": "user", "content": question.prompt}],
                    temperature=question.temperature,
                    max_tokens=question.max_tokens,
                )
        except (TimeoutError, APITimeoutError):
            raise _TryAgainError(f"no answer within {TIMEOUT_SECONDS:g} seconds") from None
        except APIConnectionError as error:
            cause = error.__cause__ or error
            if isinstance(cause, _CompressedError):
                advice = "have it, or the proxy before it, send them as they are, since Accept-Encoding asks for identity"
                raise UserError(f"the endpoint at {self._base} compresses its replies; {advice}") from None
            raise _TryAgainError(f"no connection: {self._quoted(str(cause) or type(cause).__name__)}") from None
        except APIStatusError as error:
            told = f"status {error.status_code}: {self._quoted(error.response.text)}"
            if error.status_code in _TRANSIENT or error.status_code >= 500:
                raise _TryAgainError(told, retry_after(error.response.headers.get("retry-after"))) from None
            advice = _ADVICE.get(error.status_code, _OTHER_ADVICE)
            raise UserError(f"the endpoint at {self._base} refuses model {question.model} ({told}); {advice}") from None
        try:
            completion = _Completion.model_validate_json(_whole_json(reply.http_response.content))
        except ValueError:
            told = self._quoted(reply.http_response.text)
            raise _TryAgainError(f"a reply that is no chat completion: {told}") from None
        return PaidAnswer(
            answer=completion.choices[0].message.content or "",
            input_tokens=_counted(completion.usage, "prompt_tokens"),
            output_tokens=_counted(completion.usage, "completion_tokens"),
        )

    def _quoted(self, text: str) -> str:
        """The beginning of what others wrote, on one line, without the key where they repeat it, or what moves a terminal."""
        line = " ".join(text.replace(self._key, "[key]").split())
        return "".join(each if each.isprintable() else "?" for each in line[:200]) or "nothing"


def _counted(usage: Any, key: str) -> int | None:
    """The tokens that a server counts; None where it doesn't or says what can't be, since the answer is paid for anyway."""
    found = usage.get(key) if isinstance(usage, dict) else None
    return found if type(found) is int and 0 <= found <= MOST_TOKENS else None


def _whole_json(content: bytes) -> str:
    """The same JSON with a question mark for each half of a character (a lone surrogate such as "\\ud800").

    Servers that cut an answer within an emoji write it, and no UTF-8 can say it. Raises ValueError where it is no JSON.
    """
    return replace_surrogates(json.dumps(parse_json(content), ensure_ascii=False))


def _wait(state: RetryCallState) -> float:
    """Seconds before the next try: those that the server asks for, else back-off with jitter; never longer than the longest."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.wait if isinstance(error, _TryAgainError) else None
    waits = wait_exponential_jitter(multiplier=WAIT_SECONDS, max=LONGEST_WAIT_SECONDS, jitter=WAIT_SECONDS)
    return min(waits(state) if asked is None else asked, LONGEST_WAIT_SECONDS)


def retry_after(header: str | None) -> float | None:
    """Seconds that a Retry-After header asks for: a number or a date (RFC 9110, 10.2.3); None where it says neither."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):  # no date, one without a zone, one beyond the calendar
            return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None

"""One question to a chat endpoint, retried until it is answered or until retrying is of no use."""

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
#: The wait before the second attempt, which doubles from attempt to attempt, and the longest one, whatever Retry-After asks.
WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 60.0
#: For a complete answer: a server that sends a byte now and then is no better than one that sends none.
TIMEOUT_SECONDS = 120.0
#: A longer reply is aborted: an answer's tokens take a few bytes each.
MOST_BYTES = 16 * 2**20
#: Statuses that are retried, in addition to 5xx: a timeout of the server, a conflict, too many requests.
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
    """The part of a reply that is read; servers send more."""

    choices: list[_Choice] = Field(min_length=1)
    usage: Any = None


class _RetryError(Exception):
    """The connection or the server failed in a way that a retry may fix, after ``wait`` seconds if the server says so."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class _BoundedStream(httpx2.AsyncByteStream):
    """A reply's body, aborted where it is too long."""

    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        async for chunk in self._body:
            received += len(chunk)
            if received > MOST_BYTES:
                raise httpx2.DecodingError(f"a reply of more than {MOST_BYTES:,} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()


class _CompressedError(httpx2.DecodingError):
    """A reply is compressed, although that wasn't requested: it may unpack to any size."""


async def _limit_size(response: httpx2.Response) -> None:
    """Let no reply fill the memory. Raises _CompressedError for one that would have to be unpacked."""
    codings = {each.strip() for each in response.headers.get("content-encoding", "").lower().split(",")}
    if codings & {"br", "compress", "deflate", "gzip", "zstd"}:
        raise _CompressedError("compressed")
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _BoundedStream(response.stream)


class ChatClient:
    """Asks one endpoint, inside ``async with``; once ``stopping`` is set, no failed question is retried."""

    def __init__(self, base: str, key: str) -> None:
        self.stopping = asyncio.Event()
        self._base, self._key = base, key
        self._client = AsyncOpenAI(
            base_url=base,
            api_key=key,
            max_retries=0,  # openai's own retries don't look at the body, and so don't help with a broken one
            timeout=TIMEOUT_SECONDS,
            default_headers={"Accept-Encoding": "identity"},
            http_client=DefaultAsyncHttpxClient(event_hooks={"response": [_limit_size]}),
        )

    async def __aenter__(self) -> ChatClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def ask(self, question: Question) -> PaidAnswer:
        """The answer to a question; without any text, such as a refusal, it is empty.

        Raises UserError, which doesn't repeat the key, where the endpoint refuses the question or keeps failing.
        """
        retrying = AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_seconds,
            sleep=self._sleep,
            retry=retry_if_exception_type(_RetryError),
            reraise=True,
        )
        try:
            return await retrying(self._ask_once, question)
        except _RetryError as error:
            raise UserError(
                f"the endpoint at {self._base} failed {ATTEMPTS} times in a row ({error}); try again later"
            ) from None

    async def _sleep(self, seconds: float) -> None:
        """Wait before a retry. Raises _RetryError where there won't be one."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)
        if self.stopping.is_set():
            raise _RetryError("stopped before a retry")

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
            raise _RetryError(f"no answer within {TIMEOUT_SECONDS:g} seconds") from None
        except APIConnectionError as error:
            cause = error.__cause__ or error
            if isinstance(cause, _CompressedError):
                problem = "compresses its replies, although Accept-Encoding asks for identity"
                advice = "turn compression off there, or in the proxy in front of it"
                raise UserError(f"the endpoint at {self._base} {problem}; {advice}") from None
            raise _RetryError(f"no connection: {self._quoted(str(cause) or type(cause).__name__)}") from None
        except APIStatusError as error:
            reason = f"status {error.status_code}: {self._quoted(error.response.text)}"
            if error.status_code in _TRANSIENT or error.status_code >= 500:
                raise _RetryError(reason, retry_after(error.response.headers.get("retry-after"))) from None
            advice = _ADVICE.get(error.status_code, _OTHER_ADVICE)
            raise UserError(f"the endpoint at {self._base} refuses model {question.model} ({reason}); {advice}") from None
        try:
            completion = _Completion.model_validate_json(_clean_json(reply.http_response.content))
        except ValueError:
            text = self._quoted(reply.http_response.text)
            raise _RetryError(f"a reply that is not a chat completion: {text}") from None
        return PaidAnswer(
            answer=completion.choices[0].message.content or "",
            input_tokens=_token_count(completion.usage, "prompt_tokens"),
            output_tokens=_token_count(completion.usage, "completion_tokens"),
        )

    def _quoted(self, text: str) -> str:
        """The beginning of a server's text, on one line, without the key or characters that control a terminal."""
        line = " ".join(text.replace(self._key, "[key]").split())
        return "".join(each if each.isprintable() else "?" for each in line[:200]) or "nothing"


def _token_count(usage: Any, key: str) -> int | None:
    """The tokens that a server counted; None where it didn't or the count is impossible: the answer is paid for anyway."""
    found = usage.get(key) if isinstance(usage, dict) else None
    return found if type(found) is int and 0 <= found <= MOST_TOKENS else None


def _clean_json(content: bytes) -> str:
    """The same JSON with a question mark for each half of a character (a lone surrogate such as "\\ud800").

    Servers that cut off an answer within an emoji write one, and UTF-8 can't represent it. Raises ValueError for invalid JSON.
    """
    return replace_surrogates(json.dumps(parse_json(content), ensure_ascii=False))


def wait_seconds(state: RetryCallState) -> float:
    """Seconds before the next attempt: those that the server asks for, else back-off with jitter; at most the longest wait."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.wait if isinstance(error, _RetryError) else None
    waits = wait_exponential_jitter(multiplier=WAIT_SECONDS, max=LONGEST_WAIT_SECONDS, jitter=WAIT_SECONDS)
    return min(waits(state) if asked is None else asked, LONGEST_WAIT_SECONDS)


def retry_after(header: str | None) -> float | None:
    """Seconds that a Retry-After header asks for: a number or a date (RFC 9110, 10.2.3); None where it is neither."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):  # not a date, one without a zone, one beyond the calendar
            return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None

"""Pinned files: taken by their sha256 from a mirror folder, or from their URL, and refused where a byte differs."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from time import monotonic

import httpx2
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from ecomtune.core.config import SourceFile
from ecomtune.core.files import sha256_file
from ecomtune.core.locks import locked
from ecomtune.core.paths import SCRATCH
from ecomtune.datasets.reading.raw_files import placeholder
from ecomtune.messages.errors import UserError

#: Names the folder whose subfolder sha256/ holds pinned files, each named by its sha256.
MIRROR_VARIABLE = "ECOMTUNE_MIRROR"
ATTEMPTS = 4
#: The wait before the second attempt, which doubles from attempt to attempt, and the longest wait.
WAIT_SECONDS, MAX_WAIT_SECONDS = 0.5, 8.0
TIMEOUT_SECONDS = 30.0
#: A server that sends fewer bytes in this time is disconnected, and asked again for the rest.
MIN_BYTES, STALL_SECONDS = 60_000, 60.0


class _RetryableError(Exception):
    """The connection or the server failed, and another attempt may succeed."""


def fetch(source: SourceFile, target: Path) -> None:
    """Put the pinned file at ``target``. Raises UserError where it can't be fetched or isn't what was pinned."""
    target.parent.mkdir(parents=True, exist_ok=True)
    local = _in_mirror(source) or _own_file(source)
    if local is not None:
        shutil.copyfile(local, target)
        _check(source, target, str(local))
    else:
        _fetch_from_web(source, target)


def _fetch_from_web(source: SourceFile, target: Path) -> None:
    """Download the file, in one process at a time; another process that wants it waits, and then finds it in scratch.

    It stays in scratch until :func:`discard_download`, so that a run that is stopped later downloads it once; where the file
    system has hard links, this takes no space.
    """
    part = _partial_path(source)
    wanted = part.with_suffix(f".{os.getpid()}.wanted")

    def waiting() -> None:
        print(f"another process downloads {source.path}; waiting until it ends", flush=True)
        wanted.touch()

    with locked(part.with_suffix(".lock"), waiting):
        _download(source, part)
        _check(source, part, source.url)
        try:
            os.link(part, target)
        except OSError:
            shutil.copyfile(part, target)
        wanted.unlink(missing_ok=True)


def discard_download(source: SourceFile) -> None:
    """Remove a file's copy in scratch, once its data set is complete, unless other processes wait for it."""
    part = _partial_path(source)
    if part.exists():
        with locked(part.with_suffix(".lock"), lambda: None):
            if not _is_wanted(part):
                part.unlink(missing_ok=True)


def _is_wanted(part: Path) -> bool:
    """Whether a process waits for the file; markers of processes that were killed are removed."""
    alive = False
    for marker in list(part.parent.glob(f"{part.name}.*.wanted")):
        try:
            os.kill(int(marker.name.split(".")[1]), 0)  # signal 0 only tests whether the process exists
            alive = True
        except PermissionError:  # it exists, and belongs to another user
            alive = True
        except ProcessLookupError:
            marker.unlink(missing_ok=True)
    return alive


def _partial_path(source: SourceFile) -> Path:
    return SCRATCH / "downloads" / source.sha256


def _check(source: SourceFile, target: Path, where: str) -> None:
    """Raises UserError, and deletes the file at ``target``, where it isn't what was pinned."""
    found = sha256_file(target)
    if found != source.sha256:
        _refuse_placeholder(source, target, where)
        target.unlink()
        raise UserError(
            f"{source.path} from {where} has sha256 {found}, not the pinned {source.sha256}; the copy was deleted, "
            "so correct the source or the pin under datasets in params.yaml"
        )
    if (size := target.stat().st_size) != source.bytes:
        target.unlink()
        raise UserError(
            f"{source.path} from {where} has {size} bytes, not the pinned {source.bytes}; correct bytes under datasets in "
            "params.yaml"
        )


def _refuse_placeholder(source: SourceFile, copy: Path, where: str) -> None:
    """Raises UserError where a page or a pointer came in place of the file: another attempt would bring the same."""
    if what := placeholder(copy):
        copy.unlink()
        raise UserError(
            f"{source.path}: {where} returns {what}; open it in a browser to see what it asks for, and correct the url"
        )


def _in_mirror(source: SourceFile) -> Path | None:
    mirror = os.environ.get(MIRROR_VARIABLE)
    if not mirror:
        return None
    path = Path(mirror) / "sha256" / source.sha256
    return path if path.is_file() else None


def own_path(source: SourceFile) -> Path | None:
    """The path of one of the user's own files; None for a file of the web."""
    return None if "://" in source.url else Path(source.url)


def _own_file(source: SourceFile) -> Path | None:
    own = own_path(source)
    if own is not None and not own.is_file():
        raise UserError(f"{source.path}: there is no file {own}; put it there, or correct the url under datasets")
    return own


def _download(source: SourceFile, part: Path) -> None:
    """Download ``source.url`` into ``part``, continuing an earlier attempt. Raises UserError where that fails."""
    retrying = Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=WAIT_SECONDS, max=MAX_WAIT_SECONDS),
        retry=retry_if_exception_type(_RetryableError),
        reraise=True,
    )
    try:
        retrying(_download_once, source, part)
    except _RetryableError as error:
        mirror = os.environ.get(MIRROR_VARIABLE)
        state = f"the mirror {mirror} doesn't hold it either" if mirror else "no mirror is set"
        raise UserError(
            f"{source.path} can't be downloaded from {source.url} ({error}) and {state}; connect to the network, or set "
            f"{MIRROR_VARIABLE} to a folder that holds it as sha256/{source.sha256}"
        ) from error


def _download_once(source: SourceFile, part: Path) -> None:
    present = part.stat().st_size if part.exists() else 0
    if present >= source.bytes:
        return
    try:
        asyncio.run(_receive(source, part, present))
    except httpx2.InvalidURL as error:
        raise UserError(f"{source.path}: {source.url} is not a URL ({error}); correct it") from error
    except httpx2.TooManyRedirects as error:
        raise UserError(f"{source.path}: {source.url} redirects in a loop; correct the URL") from error
    except httpx2.HTTPError as error:
        raise _RetryableError(str(error) or type(error).__name__) from error
    size = part.stat().st_size
    if size != source.bytes:
        _refuse_placeholder(source, part, source.url)
    if size > source.bytes:
        part.unlink()
        raise UserError(f"{source.path}: {source.url} sends more than the pinned {source.bytes} bytes; correct the URL")
    if size < source.bytes:
        raise _RetryableError(f"{size} of {source.bytes} bytes arrived")


async def _receive(source: SourceFile, part: Path, present: int) -> None:
    """Append what follows the first ``present`` bytes to ``part``, or rewrite it where the server can't skip them.

    A body that is too long is cut off after the first chunk that exceeds the pinned size.
    """
    # ranges count uncompressed bytes
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={present}-"} if present else {})
    async with httpx2.AsyncClient(follow_redirects=True, timeout=TIMEOUT_SECONDS) as client:
        request = client.build_request("GET", web_address(source.url), headers=headers)
        try:
            async with asyncio.timeout(STALL_SECONDS):  # the client's time-out restarts with each byte of the headers
                response = await client.send(request, stream=True)
        except TimeoutError as error:
            raise _RetryableError(f"no response within {STALL_SECONDS:g} seconds") from error
        async with aclosing(response):
            _refuse_status(source, part, response.status_code, present)
            resumed = response.status_code == 206
            with part.open("ab" if resumed else "wb") as file, _progress_bar() as bar:
                task = bar.add_task(source.path, total=source.bytes, completed=present if resumed else 0)
                async for chunk in _without_stalls(response.aiter_bytes()):
                    file.write(chunk)
                    bar.advance(task, len(chunk))
                    if file.tell() > source.bytes:
                        break


def _refuse_status(source: SourceFile, part: Path, status: int, present: int) -> None:
    """Raises _RetryableError for a status that may be temporary, and UserError for any other without a file.

    ``present`` is the number of bytes that were skipped: only then does 416 mean that the file ends there.
    """
    if status >= 500 or status == 429:
        raise _RetryableError(f"status {status}")
    if status == 416 and present:
        part.unlink()
        raise UserError(f"{source.path}: {source.url} holds less than the pinned {source.bytes} bytes; correct the URL")
    if status >= 400:
        raise UserError(f"{source.path}: {source.url} answers with status {status}; correct the URL")


async def _without_stalls(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks as they arrive. Raises _RetryableError where they only trickle in, each in time for the client's time-out."""
    until, received = monotonic() + STALL_SECONDS, 0
    try:
        while True:
            async with asyncio.timeout(until - monotonic()):
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            yield chunk
            received += len(chunk)
            if received >= MIN_BYTES:
                until, received = monotonic() + STALL_SECONDS, 0
    except TimeoutError as error:
        raise _RetryableError(f"only {received} bytes arrived in {STALL_SECONDS:g} seconds") from error


def web_address(url: str) -> str:
    """The web address of a url, also of one that names a file on the hub by data set, commit and path."""
    hub = re.fullmatch(r"hf://(datasets/[^/]+/[^/@]+)@([0-9a-f]{40})/(.+)", url)
    return f"https://huggingface.co/{hub[1]}/resolve/{hub[2]}/{hub[3]}" if hub else url


def _progress_bar() -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())

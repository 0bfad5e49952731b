"""Pinned files: taken by their sha256 from a mirror folder, else from their URL, and refused where a byte differs."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from time import monotonic

import httpx
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from ecomtune.core.config import SourceFile
from ecomtune.core.files import sha256_file
from ecomtune.core.locks import locked
from ecomtune.core.paths import SCRATCH
from ecomtune.datasets.reading.raw_files import stranger
from ecomtune.messages.errors import UserError

#: The folder whose sub-folder sha256/ holds pinned files under their sha256.
MIRROR_VARIABLE = "ECOMTUNE_MIRROR"
ATTEMPTS = 4
#: The wait before a second try, which doubles from try to try, and the longest one.
WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.5, 8.0
TIMEOUT_SECONDS = 30.0
#: A server that gives fewer bytes in so many seconds is left, and asked again for the rest.
FEWEST_BYTES, PATIENCE_SECONDS = 60_000, 60.0


class _TryAgain(Exception):
    """The connection or the server failed in a way that another try may mend."""


def fetch(source: SourceFile, target: Path) -> None:
    """Put the pinned file at ``target``. Raises UserError where it can't be had or isn't what was pinned."""
    target.parent.mkdir(parents=True, exist_ok=True)
    at_hand = _in_mirror(source) or _own_file(source)
    if at_hand is not None:
        shutil.copyfile(at_hand, target)
        _check(source, target, str(at_hand))
    else:
        _fetch_from_web(source, target)


def _fetch_from_web(source: SourceFile, target: Path) -> None:
    """Download the file, alone of all processes; one that asks for it meanwhile waits, and finds it in scratch.

    There it stays, at no cost where the disk has links, until :func:`forget`, so that a run that is stopped later asks once.
    """
    part = _part(source)
    wanted = part.with_suffix(f".{os.getpid()}.wanted")

    def waiting() -> None:
        print(f"another process downloads {source.path}; waiting until it ends", flush=True)
        wanted.touch()

    with locked(part.with_suffix(".lock"), waiting):
        download(source, part)
        _check(source, part, source.url)
        try:
            os.link(part, target)
        except OSError:
            shutil.copyfile(part, target)
        wanted.unlink(missing_ok=True)


def forget(source: SourceFile) -> None:
    """Remove the copy in scratch of a file whose data set is whole, but where other processes wait for it."""
    part = _part(source)
    if part.exists():
        with locked(part.with_suffix(".lock"), lambda: None):
            if not _is_wanted(part):
                part.unlink(missing_ok=True)


def _is_wanted(part: Path) -> bool:
    """Whether a process waits for the file; the marks of those that were killed meanwhile are removed."""
    alive = False
    for mark in list(part.parent.glob(f"{part.name}.*.wanted")):
        try:
            os.kill(int(mark.name.split(".")[1]), 0)  # signal 0 only asks whether it is there
            alive = True
        except PermissionError:  # it is, and somebody else's
            alive = True
        except ProcessLookupError:
            mark.unlink(missing_ok=True)
    return alive


def _part(source: SourceFile) -> Path:
    return SCRATCH / "downloads" / source.sha256


def _check(source: SourceFile, target: Path, where: str) -> None:
    """Raises UserError, and deletes the file at ``target``, where it isn't what was pinned."""
    found = sha256_file(target)
    if found != source.sha256:
        _refuse_page(source, target, where)
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


def _refuse_page(source: SourceFile, copy: Path, where: str) -> None:
    """Raises UserError where a page or a pointer came in place of the file, which no other try would mend."""
    if what := stranger(copy):
        copy.unlink()
        raise UserError(
            f"{source.path}: what {where} gives is {what}; open it in a browser to see what it asks for, and correct the url"
        )


def _in_mirror(source: SourceFile) -> Path | None:
    mirror = os.environ.get(MIRROR_VARIABLE)
    if not mirror:
        return None
    path = Path(mirror) / "sha256" / source.sha256
    return path if path.is_file() else None


def own_path(source: SourceFile) -> Path | None:
    """The path of a file of the user's own, None for one of the web."""
    return None if "://" in source.url else Path(source.url)


def _own_file(source: SourceFile) -> Path | None:
    own = own_path(source)
    if own is not None and not own.is_file():
        raise UserError(f"{source.path}: there is no file {own}; put it there, or correct the url under datasets")
    return own


def download(source: SourceFile, part: Path) -> None:
    """Download ``source.url`` into ``part``, going on where an earlier try stopped. Raises UserError where it can't."""
    retrying = Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=WAIT_SECONDS, max=LONGEST_WAIT_SECONDS),
        retry=retry_if_exception_type(_TryAgain),
        reraise=True,
    )
    try:
        retrying(_download_once, source, part)
    except _TryAgain as error:
        mirror = os.environ.get(MIRROR_VARIABLE)
        state = f"the mirror {mirror} doesn't hold it either" if mirror else "no mirror is named"
        raise UserError(
            f"{source.path} can't be downloaded from {source.url} ({error}) and {state}; connect to the network, or set "
            f"{MIRROR_VARIABLE} to a folder that holds it as sha256/{source.sha256}"
        ) from error


def _download_once(source: SourceFile, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    if have >= source.bytes:
        return
    try:
        asyncio.run(_receive(source, part, have))
    except httpx.InvalidURL as error:
        raise UserError(f"{source.path}: {source.url} is no URL ({error}); correct it") from error
    except httpx.TooManyRedirects as error:
        raise UserError(f"{source.path}: {source.url} is redirected without end; correct the URL") from error
    except httpx.HTTPError as error:
        raise _TryAgain(str(error) or type(error).__name__) from error
    size = part.stat().st_size
    if size != source.bytes:
        _refuse_page(source, part, source.url)
    if size > source.bytes:
        part.unlink()
        raise UserError(f"{source.path}: {source.url} sends more than the pinned {source.bytes} bytes; correct the URL")
    if size < source.bytes:
        raise _TryAgain(f"{size} of {source.bytes} bytes came")


async def _receive(source: SourceFile, part: Path, have: int) -> None:
    """Append what follows the first ``have`` bytes to ``part``, or write it anew where the server can't skip them.

    Of a body that is too long, one chunk too many is written.
    """
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})  # a range counts plain bytes
    async with httpx.AsyncClient(follow_redirects=True, timeout=TIMEOUT_SECONDS) as client:
        request = client.build_request("GET", web_address(source.url), headers=headers)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):  # httpx's own time-out starts anew with each byte of the headers
                response = await client.send(request, stream=True)
        except TimeoutError as error:
            raise _TryAgain(f"no answer has begun in {PATIENCE_SECONDS:g} seconds") from error
        async with aclosing(response):
            _refuse_status(source, part, response.status_code, have)
            resumed = response.status_code == 206
            with part.open("ab" if resumed else "wb") as file, _progress_bar() as bar:
                task = bar.add_task(source.path, total=source.bytes, completed=have if resumed else 0)
                async for chunk in _fast_enough(response.aiter_bytes()):
                    file.write(chunk)
                    bar.advance(task, len(chunk))
                    if file.tell() > source.bytes:
                        break


def _refuse_status(source: SourceFile, part: Path, status: int, have: int) -> None:
    """Raises _TryAgain for a status that another try may mend, else UserError for one that gives no file.

    ``have`` is how many bytes were skipped: 416 says that there are no more, but nothing of a file that was asked for whole.
    """
    if status >= 500 or status == 429:
        raise _TryAgain(f"status {status}")
    if status == 416 and have:
        part.unlink()
        raise UserError(f"{source.path}: {source.url} holds less than the pinned {source.bytes} bytes; correct the URL")
    if status >= 400:
        raise UserError(f"{source.path}: {source.url} answers with status {status}; correct the URL")


async def _fast_enough(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks as they come. Raises _TryAgain where they come drop by drop: each alone is in time for a time-out."""
    until, came = monotonic() + PATIENCE_SECONDS, 0
    try:
        while True:
            async with asyncio.timeout(until - monotonic()):
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            yield chunk
            came += len(chunk)
            if came >= FEWEST_BYTES:
                until, came = monotonic() + PATIENCE_SECONDS, 0
    except TimeoutError as error:
        raise _TryAgain(f"only {came} bytes came in {PATIENCE_SECONDS:g} seconds") from error


def web_address(url: str) -> str:
    """The address of a file, also of one that is named by data set, commit and path on the hub."""
    hub = re.fullmatch(r"hf://(datasets/[^/]+/[^/@]+)@([0-9a-f]{40})/(.+)", url)
    return f"https://huggingface.co/{hub[1]}/resolve/{hub[2]}/{hub[3]}" if hub else url


def _progress_bar() -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())

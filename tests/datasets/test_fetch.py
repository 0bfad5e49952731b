"""Pinned files arrive complete or not at all, from a mirror or over a bad connection, and wrong ones are refused."""

from __future__ import annotations

import gzip
import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ecomtune.checks.parameters import load_params
from ecomtune.core.config import Dataset, SourceFile
from ecomtune.datasets import fetch as fetching
from ecomtune.datasets.fetch import discard_download, fetch
from ecomtune.messages.errors import UserError
from ecomtune.stages import download
from tests.support.scratch_clone import REPOSITORY

CONTENT = bytes(range(256)) * 20
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Site:
    """A web server's only file, the faults of its next requests in turn, and the headers of the requests so far.

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
    #: The start of an answer whose headers never end: a letter follows every 10 ms.
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
    """Doesn't report clients that hang up."""

    def handle_error(self, request: object, client_address: object) -> None:
        """The client cut off an endless answer, as it should."""


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
    """The sentence that refuses a file; nothing is left at its target."""
    target = Path("raw") / pinned.path
    with pytest.raises(UserError) as caught:
        fetch(pinned, target)
    assert not target.exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def parts() -> list[Path]:
    """The partial downloads in scratch."""
    return [path for path in Path(".scratch").rglob("*") if path.is_file()]


def check_fetched(pinned: SourceFile) -> None:
    fetch(pinned, Path("raw") / pinned.path)
    assert (Path("raw") / pinned.path).read_bytes() == CONTENT
    discard_download(pinned)
    assert parts() == []


def test_a_file_is_downloaded_with_one_request(site: Site) -> None:
    check_fetched(source(site))
    assert ["range" in request for request in site.requests] == [False]


def test_a_redirect_is_followed(site: Site) -> None:
    site.moved = True
    check_fetched(source(site))


def test_a_cut_download_continues_where_it_stopped(site: Site) -> None:
    site.faults = [1000, 2000]
    check_fetched(source(site))
    assert [request.get("range") for request in site.requests] == [None, "bytes=1000-", "bytes=3000-"]


def test_a_download_that_failed_continues_in_the_next_run(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_416_means_the_end_of_the_file_only_after_a_range(site: Site) -> None:
    site.faults = [416]
    assert refusal(source(site)) == f"conll/train.txt: {site.url} answers with status 416; correct the URL"
    assert parts() == []


def test_an_endless_answer_is_cut_off_at_the_pinned_size(site: Site) -> None:
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


def test_a_download_that_was_complete_before_a_kill_needs_no_request(site: Site) -> None:
    part = Path(".scratch/downloads") / SHA256
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT)
    check_fetched(source(site))
    assert site.requests == []


def test_a_redirect_in_circles_is_refused_at_once(site: Site) -> None:
    site.redirect = "/again"
    assert refusal(source(site)) == f"conll/train.txt: {site.url} redirects in a loop; correct the URL"
    assert len(site.requests) < 30


def test_a_redirect_to_a_file_of_this_machine_is_not_followed(site: Site, workplace: Path) -> None:
    (workplace / "own").write_bytes(CONTENT)
    site.redirect = (workplace / "own").as_uri()
    assert refusal(source(site)).startswith(f"conll/train.txt can't be downloaded from {site.url} (")
    assert parts() == []


def test_a_server_that_sends_drop_by_drop_is_given_up_after_a_few_attempts(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "STALL_SECONDS", 0.1)
    site.drips = True
    started = time.monotonic()
    assert f"can't be downloaded from {site.url} (only " in refusal(source(site))
    assert time.monotonic() - started < 20
    starts = [int(request.get("range", "bytes=0-").strip("bytes=-")) for request in site.requests]
    assert len(starts) == fetching.ATTEMPTS and starts == sorted(
        set(starts)
    )  # each attempt continued where the last one stopped
    site.drips = False
    check_fetched(source(site))


HEADLESS = {"headers": b"HTTP/1.1 200 OK\r\nSlow: ", "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;slow="}


@pytest.mark.parametrize("head", HEADLESS)
def test_a_server_whose_headers_come_drop_by_drop_is_given_up_after_a_few_attempts(
    site: Site, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    """Each letter is in time for the client's time-out, and none is part of the file."""
    monkeypatch.setattr(fetching, "STALL_SECONDS", 0.2)
    site.headless = HEADLESS[head]
    started = time.monotonic()
    reason = {"headers": "no response within", "chunk": "only 0 bytes arrived in"}[head]
    assert f"can't be downloaded from {site.url} ({reason} 0.2 seconds)" in refusal(source(site))
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
def test_a_page_in_place_of_the_file_is_refused_at_once_and_not_kept(site: Site, what: str, size: int) -> None:
    site.content = PAGES[what].ljust(size)
    assert refusal(source(site)) == (
        f"conll/train.txt: {site.url} returns {what}; open it in a browser to see what it asks for, and correct the url"
    )
    assert len(site.requests) == 1 and parts() == []
    site.content = CONTENT
    check_fetched(source(site))


def test_a_file_that_is_always_cut_silently_is_refused_with_the_bytes_that_arrived(site: Site) -> None:
    site.tells_length = site.ranges = False
    site.faults = [1000] * 20
    assert f"can't be downloaded from {site.url} (1000 of 5120 bytes arrived) and no mirror" in refusal(source(site))
    assert len(site.requests) == fetching.ATTEMPTS


def test_a_file_that_changes_between_two_attempts_is_refused_and_not_kept(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "ATTEMPTS", 1)
    site.faults = [1000]
    refusal(source(site))
    site.content = CONTENT[::-1]
    assert refusal(source(site)).startswith(f"conll/train.txt from {site.url} has sha256 ")
    assert parts() == []
    site.content = CONTENT
    check_fetched(source(site))


def test_what_unpacks_to_more_than_was_pinned_is_cut_off(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    monkeypatch.setattr(Handler, "do_GET", lambda self: self.answer(200, bomb, content_encoding="gzip"))
    assert refusal(source(site)) == f"conll/train.txt: {site.url} sends more than the pinned 5120 bytes; correct the URL"
    assert parts() == []


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_local_file_of_another_size_than_pinned_is_refused(site: Site, workplace: Path, size: int) -> None:
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


def test_an_invalid_url_is_refused(site: Site) -> None:
    assert refusal(source(site, url="http://127.0.0.1:x")).startswith("conll/train.txt: http://127.0.0.1:x is not a URL (")


def test_a_local_file_is_copied(site: Site, workplace: Path) -> None:
    own = workplace / "my data" / "train.csv"
    own.parent.mkdir()
    own.write_bytes(CONTENT)
    check_fetched(source(site, url="my data/train.csv"))
    check_fetched(source(site, url=str(own)))
    assert own.read_bytes() == CONTENT
    assert site.requests == []


def test_a_local_file_that_is_missing_or_changed_is_refused_and_left_alone(site: Site, workplace: Path) -> None:
    sentence = "conll/train.txt: there is no file own.csv; put it there, or correct the url under datasets"
    assert refusal(source(site, url="own.csv")) == sentence
    (workplace / "own.csv").write_bytes(b"changed")
    assert refusal(source(site, url="own.csv")).startswith("conll/train.txt from own.csv has sha256 ")
    assert (workplace / "own.csv").read_bytes() == b"changed"


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_file_of_a_hub_data_set_is_requested_at_its_commit() -> None:
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
def test_a_url_without_a_commit_is_refused(site: Site, url: str) -> None:
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


def test_other_bytes_in_the_mirror_are_refused_and_only_the_copy_is_deleted(
    site: Site, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = mirror(workplace, monkeypatch, b"other")
    assert refusal(source(site)).startswith(f"conll/train.txt from {kept} has sha256 ")
    assert kept.read_bytes() == b"other"


def test_a_file_that_the_mirror_lacks_is_downloaded(site: Site, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror(workplace, monkeypatch, None)
    check_fetched(source(site))
    assert len(site.requests) == 1


def test_a_file_that_neither_mirror_nor_server_has_is_refused_with_both(
    site: Site, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror(workplace, monkeypatch, None)
    site.faults = [500] * 20
    assert f"from {site.url} (status 500) and the mirror {workplace / 'mirror'} doesn't hold it" in refusal(source(site))


# The stage that downloads.


@pytest.mark.parametrize(
    ("reader", "files", "sentence"),
    [
        ("queryner", (), "datasets.some: reader queryner reads files, and none is named; add the key files"),
        ("demo_shop", ("train.txt",), "datasets.some.files: reader demo_shop generates its data; remove the key"),
    ],
)
def test_a_data_set_without_its_files_or_with_needless_ones_is_refused(
    site: Site, reader: str, files: tuple[str, ...], sentence: str
) -> None:
    dataset = Dataset(reader=reader, files=tuple(source(site, path=path) for path in files))
    params = load_params(REPOSITORY / "profiles" / "demo.yaml").model_copy(update={"datasets": {"some": dataset}})
    with pytest.raises(UserError) as caught:
        download.main(params, "some")
    assert str(caught.value) == sentence
    assert site.requests == [] and not Path("data").exists()


def test_files_that_arrived_before_one_that_fails_are_not_requested_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
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

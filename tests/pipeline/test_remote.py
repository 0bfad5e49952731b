"""Data and models travel through a real S3 API: what one clone pushes, another pulls."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from ecomtune.core.files import sha256_folder
from tests.support.pico import make_causal
from tests.support.scratch_clone import commit, make_clone, run

pytestmark = pytest.mark.pipeline
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3 server with an empty bucket ``store``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("moto") / "server.log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **KEYS})
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 60
        while True:
            try:
                httpx2.put(f"{address}/store").raise_for_status()
                break
            except httpx2.TransportError:
                assert server.poll() is None and time.monotonic() < until, log.read_text()
                time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait(10)


def test_what_one_clone_pushes_another_pulls(endpoint: str, tmp_path: Path) -> None:
    first = make_clone(tmp_path / "first", profile="pico")
    make_causal(first / ".scratch/pico/causal")
    for command in (
        ["dvc", "repro", "score@floor"],
        ["dvc", "remote", "add", "-d", "store", "s3://store/ecomtune"],
        ["dvc", "remote", "modify", "store", "endpointurl", endpoint],
    ):
        done = run(first, *command)
        assert done.returncode == 0, done.stdout + done.stderr
    commit(first, "Run one system, and name a remote")
    assert run(first, "dvc", "push", **KEYS).returncode == 0
    second = tmp_path / "second"
    subprocess.run(["git", "clone", "-q", str(first), str(second)], check=True)
    folders = ["data/predictions/floor", "models/baselines/floor/relevance"]
    assert not any((second / folder).exists() for folder in folders)
    done = run(second, "dvc", "pull", *folders, **KEYS)
    assert done.returncode == 0, done.stdout + done.stderr
    for folder in folders:
        assert sha256_folder(second / folder) == sha256_folder(first / folder)

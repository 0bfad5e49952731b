"""A real OpenAI-compatible server on this machine: transformers serve, with the model of a folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2


@contextmanager
def transformers_serve(model: Path, log: Path) -> Iterator[str]:
    """The base URL of a server of ``model`` while the block runs; its output goes to ``log``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from transformers.cli.transformers import main; main()", "serve", str(model)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--device", "cpu"]
    with log.open("w") as file:
        server = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
    try:
        until = time.monotonic() + 240
        while time.monotonic() < until and server.poll() is None:
            with suppress(httpx2.HTTPError):
                if httpx2.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200:
                    break
            time.sleep(0.2)
        else:
            raise AssertionError(f"the server did not start:\n{log.read_text()[-2000:]}")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=60)

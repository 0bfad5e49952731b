"""A ``python`` for stages in tests that has imported the large libraries already: each stage runs in a fork of it.

Most of a stage's time on pico models is the import of torch and transformers. DVC, the stage's own code and its process are the
real ones: the command on PATH hands arguments, environment, folder and open files to a server, which forks a process that runs
the module, and passes signals on to it. Anything but a stage is run by the plain interpreter.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

#: Imported once by the server; nothing of the package itself, whose code is the scratch clone's.
PRELOADED = (
    "accelerate",
    "peft",
    "pydantic",
    "ruamel.yaml",
    "safetensors.torch",
    "scipy.linalg",
    "sklearn.linear_model",
    "torch",
    "transformers",
    "transformers.models.auto.modeling_auto",
    "transformers.models.llama.modeling_llama",
    "transformers.trainer",
)
#: Seconds between two looks for processes that have ended.
PAUSE = 0.02

CLIENT = """#!{python} -IS
import array, json, os, signal, socket, sys

real, address = {python!r}, {address!r}
arguments = sys.argv[1:]
if len(arguments) < 2 or arguments[0] != "-m" or not arguments[1].startswith("ecomtune.stages."):
    os.execv(real, [real, *arguments])
server = socket.socket(socket.AF_UNIX)
server.connect(address)
request = json.dumps({{"arguments": arguments[1:], "environment": dict(os.environ), "folder": os.getcwd()}}).encode()
head = len(request).to_bytes(8, "big")
server.sendmsg([head], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
server.sendall(request)
process = int.from_bytes(server.recv(8, socket.MSG_WAITALL), "big")
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: os.kill(process, number))
status = server.recv(8, socket.MSG_WAITALL)
code = int.from_bytes(status, "big", signed=True) if status else 1
if code < 0:
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


@cache
def warm_python() -> Path:
    """The command, which is started once a test process and ends with it."""
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    address, command = folder / "socket", folder / "python"
    command.write_text(CLIENT.format(python=sys.executable, address=str(address)))
    command.chmod(0o755)
    root = Path(__file__).resolve().parents[2]
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.support.warm_python", str(address)],
        cwd=root,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
        stdout=subprocess.PIPE,
    )
    assert server.stdout is not None
    server.stdout.readline()  # it listens
    atexit.register(server.kill)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return command


def serve(address: str) -> None:
    """Run stages until the starter ends."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen(64)
    starter = os.getppid()  # before the line that lets the starter go on: it may be killed during the imports
    print("listening", flush=True)
    for name in PRELOADED:
        __import__(name)
    listening.settimeout(PAUSE)
    waiting: dict[int, socket.socket] = {}
    while os.getppid() == starter:
        try:
            client, _ = listening.accept()
        except TimeoutError:
            pass
        else:
            started = _start(client, listening)
            waiting[started] = client
        while waiting:
            ended, status = os.waitpid(-1, os.WNOHANG)
            if not ended:
                break
            answered = waiting.pop(ended)
            code = os.waitstatus_to_exitcode(status)
            with suppress(OSError):  # whoever asked is gone
                answered.sendall(code.to_bytes(8, "big", signed=True))
            answered.close()


def _start(client: socket.socket, listening: socket.socket) -> int:
    """Fork a process for one request and report its number."""
    client.settimeout(None)
    head, files, _, _ = socket.recv_fds(client, 8, 3)
    request = json.loads(client.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL))
    process = os.fork()
    if process == 0:
        listening.close()
        client.close()
        _run(request, files)
    for file in files:
        os.close(file)
    client.sendall(process.to_bytes(8, "big"))
    return process


def _run(request: dict[str, Any], files: list[int]) -> None:
    """In the fork: become the stage."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    module, *arguments = request["arguments"]
    own = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:0] = [request["folder"], *own]
    sys.argv = [module, *arguments]
    code: Any = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    threading._shutdown()  # type: ignore[attr-defined]  # as the interpreter's own end: it waits for threads
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    if isinstance(code, str):
        print(code, file=sys.stderr, flush=True)
    if code == -signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    serve(sys.argv[1])

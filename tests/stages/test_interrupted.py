"""A stage that ends early (a full disk, a read-only folder, a signal, a kill) leaves its former output or none."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import yaml

from ecomtune.core import files, locks
from ecomtune.core.files import output_folder, sha256_file, write_text
from ecomtune.messages.errors import UserError, writing
from ecomtune.training.checkpoints import INTERVAL_VARIABLE
from tests.support.scratch_clone import REPOSITORY
from tests.support.tasks import define_tasks, load_task

CHAIN = ("download demo_shop", "format relevance", "baseline floor_relevance", "predict floor", "score floor", "compare")
LABELS = load_task("relevance").labels
OUTPUTS = ("data/raw/demo_shop", "data/examples/relevance", "models/baselines/floor/relevance", "data/predictions/floor")
#: What each stage of the chain writes.
WRITES = dict(zip(CHAIN, [*OUTPUTS, "metrics/floor.json", "plots/compare"], strict=True))
#: What stages keep in scratch: answers, checkpoints, the log of times.
KEPT_IN_SCRATCH = {"answers", "checkpoints", "times.jsonl"}


def heed_interrupts() -> None:
    """Let the stage receive SIGINT, which a shell makes its background processes ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(folder: Path, stage: str, item: str = "", **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"ecomtune.stages.{stage}", *filter(None, [item])]
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "ECOMTUNE_MIRROR": "", "HF_HUB_OFFLINE": "1", INTERVAL_VARIABLE: "0"}
    quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    quiet["preexec_fn"] = heed_interrupts
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, **{**quiet, **options})


def run(folder: Path, stage: str, item: str = "") -> tuple[int, str]:
    """The exit status of a stage and its standard error."""
    with start(folder, stage, item) as process:
        _, errors = process.communicate(timeout=120)
    return process.returncode, errors


def contents(path: Path) -> dict[str, bytes]:
    """Every file of an output by its name, or the one file that it is."""
    found = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {file.relative_to(path.parent).as_posix(): file.read_bytes() for file in found}


def put_params(folder: Path, **changes: Any) -> None:
    """Write a profile without neural models, whose stages start fast, with ``changes`` of its top-level keys."""
    values = yaml.safe_load((REPOSITORY / "profiles/pico.yaml").read_text(encoding="utf-8"))
    values["train"]["adapters"] = values["merge"]["recipes"] = {}
    del values["systems"]["merged_shards"]
    values["score"]["adapters"] = "models/pretrained"
    (folder / "params.yaml").write_text(yaml.safe_dump({**values, **changes}), encoding="utf-8")
    define_tasks(folder)


def put_pico(folder: Path, epochs: int) -> None:
    """Write the pico profile with this number of epochs."""
    values = yaml.safe_load((REPOSITORY / "profiles/pico.yaml").read_text(encoding="utf-8"))
    values["train"]["shared"]["epochs"] = epochs
    (folder / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    define_tasks(folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all stages of the chain have run."""
    folder = tmp_path_factory.mktemp("finished")
    put_params(folder)
    for stage in CHAIN:
        assert run(folder, *stage.split()) == (0, "")
    return folder


def mount(*arguments: str | Path) -> None:
    """Mount something, or skip the test with the reason if that is impossible here."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a disk")
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def disk(finished: Path, tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MiB with a copy of the finished folder."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", folder)
    try:
        shutil.copytree(finished, folder, dirs_exist_ok=True)
        yield folder
    finally:
        subprocess.run(["umount", "-R", "-l", str(folder)], check=True)


def fill(disk: Path, room: int) -> None:
    """Leave ``room`` bytes free."""
    with (disk / "filler").open("wb") as file:
        file.write(bytes(max(0, shutil.disk_usage(disk).free - room)))


def age(output: Path) -> dict[str, bytes]:
    """Make an output look like that of an earlier run, and return its contents."""
    file = output if output.is_file() else min(path for path in output.rglob("*") if path.is_file())
    file.write_bytes(b"of an earlier run")
    return contents(output)


@pytest.mark.parametrize("room", [0, 4096, 16384])
@pytest.mark.parametrize("stage", CHAIN)
def test_a_full_disk_leaves_the_former_output_or_a_complete_new_one(disk: Path, finished: Path, stage: str, room: int) -> None:
    output = WRITES[stage]
    former = age(disk / output)
    fill(disk, room)
    status, errors = run(disk, *stage.split())
    (disk / "filler").unlink()
    if status == 0:
        assert contents(disk / output) == contents(finished / output)
    else:
        (line,) = errors.splitlines()
        assert status == 1 and line.startswith(f"{stage.split()[0]}: error: ") and "No space left on device; " in line
        assert contents(disk / output) in (former, contents(finished / output))  # the log of times comes after the output
    assert {path.name for path in (disk / ".scratch").iterdir()} <= KEPT_IN_SCRATCH
    assert run(disk, *stage.split()) == (0, "") and contents(disk / output) == contents(finished / output)


@pytest.mark.parametrize("stage", CHAIN)
def test_a_read_only_disk_is_reported_in_one_sentence(disk: Path, stage: str) -> None:
    former = age(disk / WRITES[stage])
    mount("-o", "remount,ro", disk)
    status, errors = run(disk, *stage.split())
    (line,) = errors.splitlines()
    assert status == 1 and line.startswith(f"{stage.split()[0]}: error: ") and ".scratch" in line
    assert line.endswith(": Read-only file system; make it readable and writable, or make room, and run this again")
    assert contents(disk / WRITES[stage]) == former


@pytest.mark.parametrize(
    ("folder", "stage"), [("data", "download demo_shop"), ("metrics", "score floor"), ("models", "baseline floor_relevance")]
)
def test_a_folder_of_outputs_that_can_not_be_written_keeps_what_it_holds(disk: Path, folder: str, stage: str) -> None:
    former = age(disk / WRITES[stage])
    mount("--bind", disk / folder, disk / folder)
    mount("-o", "remount,bind,ro", disk / folder)
    status, errors = run(disk, *stage.split())
    (line,) = errors.splitlines()
    assert status == 1 and line.startswith(f"{stage.split()[0]}: error: ") and "run this again" in line
    assert contents(disk / WRITES[stage]) == former
    assert {path.name for path in (disk / ".scratch").iterdir()} <= KEPT_IN_SCRATCH


@pytest.mark.parametrize("room", [0, 0.5, 1.1])
def test_a_full_disk_is_an_error_of_the_system_for_libraries_that_report_it_as_text(
    tmp_path: Path, pico_causal: Path, monkeypatch: pytest.MonkeyPatch, room: float
) -> None:
    """safetensors fails with half the room for the weights, tokenizers with room for the weights alone."""
    from ecomtune.core.config import Model
    from ecomtune.models.sources import save_pretrained

    (tmp_path / "disk").mkdir()
    mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", tmp_path / "disk")
    try:
        monkeypatch.chdir(tmp_path / "disk")
        Path(".scratch").mkdir()
        fill(tmp_path / "disk", int(room * (pico_causal / "model.safetensors").stat().st_size))
        model = Model(kind="causal", source="folder", folder=str(pico_causal), licence="MIT")
        with pytest.raises(OSError, match="No space left on device"), output_folder(Path("models/pico")) as folder:
            save_pretrained("pico", model, folder)
        assert not Path("models").exists() and list(Path(".scratch").iterdir()) == []
    finally:
        monkeypatch.undo()
        subprocess.run(["umount", "-l", str(tmp_path / "disk")], check=True)


@pytest.mark.parametrize("error", [ValueError("no os error"), UserError("No such file (os error 2)"), OSError(28, "full")])
def test_any_other_error_of_writing_is_passed_on_unchanged(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as caught, writing(tmp_path):
        raise error
    assert caught.value is error


class SlowServer(ThreadingHTTPServer):
    """Sends the first half of a file, and the rest when ``let_go`` is set."""

    content = bytes(range(1, 251)) * 4000

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), SlowHandler)
        self.under_way, self.let_go = threading.Event(), threading.Event()
        self.asked: list[str] = []


class SlowHandler(BaseHTTPRequestHandler):
    server: SlowServer

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        self.server.asked.append(asked)
        content = self.server.content[int(asked.removeprefix("bytes=").removesuffix("-") or 0) :]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.server.under_way.set()
        self.server.let_go.wait(60)
        self.wfile.write(content[len(content) // 2 :])

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def slow() -> Iterator[SlowServer]:
    with SlowServer() as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that is stopped hangs up
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.let_go.set()
        server.shutdown()
        thread.join()


def stop(process: subprocess.Popen[str], number: signal.Signals, under_way: Callable[[], bool]) -> tuple[int, str]:
    """Send a signal once the stage is under way; return its exit status and standard error."""
    until = time.monotonic() + 90
    with process:
        while not under_way() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        assert process.poll() is None, "it ended before it was stopped"
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    return process.returncode, errors


STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}


def put_shop(folder: Path, slow: SlowServer) -> dict[str, bytes]:
    """Write parameters of a data set on the slow server and its output of an earlier run; return that output."""
    content = folder / "content"
    content.write_bytes(slow.content)
    pinned = {"path": "a.csv", "sha256": sha256_file(content), "bytes": len(slow.content), "licence": "MIT"}
    source = {**pinned, "url": f"http://127.0.0.1:{slow.server_port}/a.csv"}
    put_params(folder, datasets={"demo_shop": {"reader": "demo_shop"}, "web": {"reader": "queryner", "files": [source]}})
    write_text(folder / "data/raw/web/a.csv", "of an earlier run")
    return contents(folder / "data/raw/web")


@pytest.mark.parametrize("number", STATUS)
def test_a_download_that_is_stopped_keeps_the_former_output_and_the_part_received(
    workplace: Path, slow: SlowServer, number: signal.Signals
) -> None:
    former = put_shop(workplace, slow)
    part = workplace / ".scratch/downloads" / hashlib.sha256(slow.content).hexdigest()

    def under_way() -> bool:
        return slow.under_way.is_set() and part.is_file()

    status, errors = stop(start(workplace, "download", "web"), number, under_way)
    assert (status, errors) == (STATUS[number], "download: stopped; no partial output was left behind\n")
    assert contents(workplace / "data/raw/web") == former
    assert [path for path in (workplace / ".scratch").rglob("*") if path.is_file()] == [part]
    received = part.stat().st_size
    slow.let_go.set()
    assert run(workplace, "download", "web") == (0, "")
    assert contents(workplace / "data/raw/web") == {"web/a.csv": slow.content}
    assert slow.asked == ["", f"bytes={received}-" if received else ""]


def test_a_second_download_of_a_file_says_that_it_waits_and_finds_the_file(workplace: Path, slow: SlowServer) -> None:
    """This happens if dvc is killed but its stage goes on: both would write the same half-downloaded file."""
    put_shop(workplace, slow)
    with start(workplace, "download", "web") as first:
        assert slow.under_way.wait(60)
        with start(workplace, "download", "web", stdout=subprocess.PIPE) as second:
            assert second.stdout is not None
            lines = [second.stdout.readline() for _ in range(2)]
            slow.let_go.set()
            assert [process.communicate(timeout=60)[1] for process in (first, second)] == ["", ""]
    assert lines == ["a.csv: licence MIT\n", "another process downloads a.csv; waiting until it ends\n"]
    assert (first.returncode, second.returncode, slow.asked) == (0, 0, [""])
    assert contents(workplace / "data/raw/web") == {"web/a.csv": slow.content}
    assert list((workplace / ".scratch/downloads").iterdir()) == []


def test_a_download_does_not_keep_files_for_processes_that_were_killed(workplace: Path, slow: SlowServer) -> None:
    put_shop(workplace, slow)
    with start(workplace, "download", "web") as first:
        assert slow.under_way.wait(60)
        with start(workplace, "download", "web", stdout=subprocess.PIPE) as second:
            assert second.stdout is not None
            while "waiting" not in second.stdout.readline():
                pass
            until = time.monotonic() + 60
            while not list((workplace / ".scratch/downloads").glob("*.wanted")) and time.monotonic() < until:
                time.sleep(0.01)  # the message comes first
            second.kill()
        slow.let_go.set()
        assert first.communicate(timeout=60)[1] == ""
    assert list((workplace / ".scratch/downloads").iterdir()) == []


def test_a_stop_within_a_callback_of_asyncio_ends_the_stage() -> None:
    """asyncio only logs other exceptions raised there, and the stage would go on."""
    code = """
        import asyncio, os, signal, sys
        from ecomtune.stages import runner

        async def work():
            asyncio.get_running_loop().call_soon(lambda: os.kill(os.getpid(), signal.SIGTERM))
            await asyncio.sleep(60)

        runner.load_params, runner.sha256_file = lambda: None, str
        runner.run(lambda params, item: asyncio.run(work()))
    """
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (143, "stage: stopped; no partial output was left behind\n")


@pytest.fixture
def table(workplace: Path) -> Path:
    """A folder with a table of the user's own that takes seconds to format."""
    rows = [f"mug {number // 4},Blue Mug {number},{LABELS[number % 4]}" for number in range(200_000)]
    write_text(workplace / "data/raw/shop/shop.csv", "\n".join(["q,t,r", *rows]) + "\n")
    pinned = {"path": "shop.csv", "url": "shop.csv", "sha256": "0" * 64, "bytes": 1, "licence": "own"}
    columns = {"query": "q", "title": "t", "reference": "r"}
    task = {"dataset": "shop", "train_size": 24, "validation_size": 8, "test_size": 12, "max_new_tokens": 8}
    put_params(
        workplace,
        datasets={"shop": {"reader": "table", "columns": columns, "files": [pinned]}},
        tasks={"relevance": task},
    )
    write_text(workplace / "data/examples/relevance/train.jsonl", "of an earlier run")
    return workplace


@pytest.mark.parametrize("number", STATUS)
def test_a_format_that_is_stopped_keeps_the_former_output_and_leaves_nothing(table: Path, number: signal.Signals) -> None:
    former = contents(table / "data/examples/relevance")

    def reads() -> bool:
        return any(file.stat().st_size for file in table.glob(".scratch/*/0.accepted"))

    status, errors = stop(start(table, "format", "relevance"), number, reads)
    assert (status, errors) == (STATUS[number], "format: stopped; no partial output was left behind\n")
    assert contents(table / "data/examples/relevance") == former
    assert list((table / ".scratch").iterdir()) == []


def test_a_training_that_is_terminated_ends_clean(finished: Path, pico_causal: Path, workplace: Path) -> None:
    """It may leave checkpoints in scratch, but nothing in the folder of the adapter."""
    shutil.copytree(finished / "data/examples", workplace / "data/examples")
    shutil.copytree(pico_causal, workplace / "models/pretrained/pico")
    put_pico(workplace, epochs=5_000)
    with (workplace / "log").open("w") as log:
        process = start(workplace, "train", "relevance_1", stderr=log)
        status, _ = stop(process, signal.SIGTERM, lambda: "%|" in (workplace / "log").read_text())
    errors = (workplace / "log").read_text()
    assert status == 143 and "train: stopped; no partial output was left behind\n" in errors  # a progress bar surrounds it
    assert "Traceback" not in errors
    assert not (workplace / "models/adapters").exists()


def test_a_training_whose_checkpoint_fills_the_disk_ends_with_one_sentence(disk: Path, pico_causal: Path) -> None:
    shutil.copytree(pico_causal, disk / "models/pretrained/pico")
    put_pico(disk, epochs=1)
    fill(disk, 20_000)
    with (disk.parent / "log").open("w") as log:
        process = start(disk, "train", "relevance_1", stderr=log)
        assert process.wait(120) == 1
    errors = (disk.parent / "log").read_text()
    assert "Traceback" not in errors, errors
    (line,) = (line for line in errors.splitlines() if "error: " in line)
    assert "train: error: .scratch/checkpoints/" in line and ": No space left on device; " in line
    assert not (disk / "models/adapters").exists()


def test_two_runs_of_a_stage_at_once_leave_the_complete_output_of_one(finished: Path, workplace: Path) -> None:
    shutil.copytree(finished, workplace, dirs_exist_ok=True)
    former = age(workplace / "data/examples/relevance")
    processes = [start(workplace, "format", "relevance") for _ in range(3)]
    assert [(process.communicate(timeout=120)[1], process.returncode) for process in processes] == [("", 0)] * 3
    assert contents(workplace / "data/examples/relevance") == contents(finished / "data/examples/relevance") != former
    assert {path.name for path in (workplace / ".scratch").iterdir()} <= KEPT_IN_SCRATCH


def replace_folder() -> None:
    with output_folder(Path("out")) as folder:
        (folder / "weights").write_text("new")
        (folder / "more").write_text("new")


def replace_file() -> None:
    write_text(Path("out"), "new")


def at_line(number: int, act: Callable[[], None], work: Callable[[], None]) -> bool:
    """Do ``work``, with ``act`` before the line of this number that files.py or locks.py runs; whether there is such a line."""
    left, former = number, sys.gettrace()

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in (files.__file__, locks.__file__):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                act()
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(former)
    return left <= 0


def remove(output: Path) -> None:
    if output.is_dir():
        shutil.rmtree(output)
    else:
        output.unlink(missing_ok=True)


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("work", [replace_folder, replace_file])
def test_an_interrupt_at_any_line_of_writing_leaves_the_former_output_or_the_new_one(
    workplace: Path, work: Callable[[], None]
) -> None:
    states = set()
    for number in range(1, 200):
        remove(Path("out"))
        work()
        new = contents(Path("out"))
        former = age(Path("out"))
        try:
            if not at_line(number, interrupt, work):
                break
        except KeyboardInterrupt:
            states.add(contents(Path("out")) == former)
        assert contents(Path("out")) in (former, new)
    assert True in states and number > 10


@pytest.mark.parametrize("work", [replace_folder, replace_file])
def test_a_kill_at_any_line_of_writing_leaves_no_half_output(workplace: Path, work: Callable[[], None]) -> None:
    """Between its two renames a folder is missing, but never incomplete: the former one is in scratch."""
    missing = 0
    for number in range(1, 200):
        remove(Path("out"))
        work()
        new = contents(Path("out"))
        former = age(Path("out"))
        child = os.fork()
        if child == 0:
            there = at_line(number, lambda: os.kill(os.getpid(), signal.SIGKILL), work)
            os._exit(0 if not there else 1)
        _, status = os.waitpid(child, 0)
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
        found = contents(Path("out"))
        missing += not found
        assert found in (former, new, {})
    assert number > 10 and missing <= 1


@pytest.mark.parametrize("work", [replace_folder, replace_file])
def test_a_second_run_at_any_line_of_writing_disturbs_neither(workplace: Path, work: Callable[[], None]) -> None:
    """It waits where the first one is about to rename."""
    for number in range(1, 200):
        remove(Path("out"))
        work()
        new = contents(Path("out"))
        age(Path("out"))
        with ThreadPoolExecutor() as pool:
            second: list[Future[None]] = []

            def at_once(pool: ThreadPoolExecutor = pool, second: list[Future[None]] = second) -> None:
                second.append(pool.submit(work))
                wait(second, timeout=0.3)

            there = at_line(number, at_once, work)
        assert [run.exception() for run in second] == [None] * there
        assert contents(Path("out")) == new and list(Path(".scratch").iterdir()) == []
        if not there:
            break
    assert number > 10 and not there


def test_outputs_on_another_file_system_are_reported_with_the_advice_to_use_one(disk: Path, tmp_path: Path) -> None:
    """Even if it is writable: nothing can be renamed from .scratch into it."""
    former = age(disk / "models/baselines/floor/relevance")
    shutil.copytree(disk / "models", tmp_path / "models")
    shutil.rmtree(disk / "models")
    (disk / "models").symlink_to(tmp_path / "models")
    status, errors = run(disk, "baseline", "floor_relevance")
    assert status == 1 and errors.count("\n") == 1
    advice = "keep the complete project, with .scratch, on one writable file system, and run this again"
    assert errors.endswith(f": Invalid cross-device link; {advice}\n")
    assert contents(disk / "models/baselines/floor/relevance") == former
    assert {path.name for path in (disk / ".scratch").iterdir()} <= KEPT_IN_SCRATCH


def test_a_file_in_place_of_a_folder_is_reported(finished: Path, workplace: Path) -> None:
    shutil.copytree(finished / "data/raw", workplace / "data/raw")
    shutil.copy(finished / "params.yaml", workplace)
    (workplace / "data/examples").write_text("no folder")
    message = "data/examples: File exists; remove what is in its place, and run this again"
    assert run(workplace, "format", "relevance") == (1, f"format: error: {message}\n")
    assert (workplace / "data/examples").read_text() == "no folder" and list((workplace / ".scratch").iterdir()) == []


def test_a_file_in_place_of_an_output_is_replaced_and_not_kept(workplace: Path) -> None:
    Path("out").write_text("no folder")
    replace_folder()
    assert contents(Path("out")) == {"out/weights": b"new", "out/more": b"new"} and list(Path(".scratch").iterdir()) == []


def test_a_second_item_is_refused(finished: Path) -> None:
    command = [sys.executable, "-m", "ecomtune.stages.format", "relevance", "ner"]
    done = subprocess.run(command, cwd=finished, capture_output=True, text=True, check=False)
    message = "format: error: a stage runs one item only; leave out ner\n"
    assert (done.returncode, done.stderr) == (1, message)


def test_what_kills_leave_in_scratch_is_removed_by_a_command_that_keeps_everything_else(workplace: Path) -> None:
    shutil.copy(REPOSITORY / "Makefile", workplace)
    write_text(workplace / ".scratch/model.abc/new/weights", "half")
    write_text(workplace / "data/raw/shop/shop.csv", "data")
    kept = {"endpoint/abc.json": "paid for", "costs.jsonl": "{}", "params.0a.yaml": "", "pico/causal/config.json": "{}"}
    for name, text in kept.items():
        write_text(workplace / ".scratch" / name, text)
    subprocess.run(["make", "clean-scratch"], cwd=workplace, check=True, capture_output=True)
    assert contents(workplace / ".scratch") == {f".scratch/{name}": text.encode() for name, text in kept.items()}
    assert sorted(path.name for path in workplace.iterdir()) == [".scratch", "Makefile", "data", "tasks"]
    assert contents(workplace / "data") == {"data/raw/shop/shop.csv": b"data"}

"""A sweep queues and runs an experiment for each combination of values; values that can't work are refused before that."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import Popen
from types import FrameType

import pytest
import yaml

from ecomtune.checks.parameters import load_params
from ecomtune.messages.errors import UserError
from ecomtune.runs import experiment_queue, sweep
from ecomtune.runs.experiment_queue import Queue, read_queue, run_queue, start_worker, visible_gpus
from tests.support.pico import make_causal
from tests.support.scratch_clone import REPOSITORY, commit, make_clone, run

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the pico profile, without its merge and the system that reads it, has been run and committed."""
    folder = make_clone(tmp_path_factory.mktemp("sweep"), profile="pico")
    make_causal(folder / ".scratch/pico/causal")
    values = yaml.safe_load((folder / "params.yaml").read_text())
    values["merge"]["recipes"] = {}
    del values["train"]["adapters"]["relevance_2"], values["systems"]["merged_shards"]
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    commit(folder, "Take one adapter")
    done = run(folder, "dvc", "repro")
    assert done.returncode == 0, done.stdout + done.stderr
    commit(folder, "Make the data")
    return folder


def wait_for_workers_to_end() -> None:
    """Workers of other tests end when the queue is empty."""
    until = time.monotonic() + 120
    while read_queue().workers:
        assert time.monotonic() < until
        time.sleep(0.5)


def states(clone: Path) -> list[str]:
    shown = json.loads(run(clone, "dvc", "exp", "show", "--json").stdout)
    return [each["name"] for each in shown[1].get("experiments") or []]


def worker_gpus(clone: Path) -> set[str]:
    """CUDA_VISIBLE_DEVICES of every queue worker that runs in the clone."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"queue-worker" in (process / "cmdline").read_bytes() and (process / "cwd").readlink().is_relative_to(clone):
                variables = dict(line.partition(b"=")[::2] for line in (process / "environ").read_bytes().split(b"\0"))
                found.add(variables[b"CUDA_VISIBLE_DEVICES"].decode())
        except (OSError, KeyError):
            continue  # it has ended
    return found


def test_each_of_three_values_is_run_by_workers_that_have_a_gpu_each(clone: Path, tmp_path: Path) -> None:
    seen: set[str] = set()
    environment = {**os.environ, "PYTHONPATH": str(clone / "src"), "CUDA_VISIBLE_DEVICES": "3,5"}
    command = ["ecomtune", "sweep", "-S", "score.bootstrap=130,140,150", "-j", "2"]
    with (tmp_path / "log").open("w") as log, Popen(command, cwd=clone, env=environment, stdout=log, stderr=log) as running:
        until = time.monotonic() + 300
        while running.poll() is None and time.monotonic() < until:
            seen |= worker_gpus(clone)
            time.sleep(0.2)
    printed = (tmp_path / "log").read_text()
    assert running.returncode == 0, printed
    assert seen == {"3", "5"}
    first, *changes = printed.splitlines()
    names = first.removeprefix("3 experiments: ").split(", ")
    assert len(names) == 3 and sorted(states(clone)) == sorted(names)
    assert {f"{name}: Success" for name in names} <= set(changes)
    shown = run(clone, "dvc", "exp", "show", "--csv").stdout
    assert all(f",{value}," in shown for value in (130, 140, 150))
    assert run(clone, "git", "status", "--porcelain").stdout == ""


@contextmanager
def ended_after(seconds: int) -> Iterator[None]:
    """Raise an error if the block takes longer."""

    def end(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"it still waits after {seconds} seconds")

    former = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)


def test_workers_that_stop_early_are_started_again(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone)
    monkeypatch.setenv("PYTHONPATH", str(clone / "src"))
    monkeypatch.setattr(experiment_queue, "PATIENCE", 10)
    wait_for_workers_to_end()
    changes, starts = list[str](), list[bool]()

    def read_and_stop() -> Queue:
        queue = read_queue()
        if queue.workers and len(starts) == 1 and not starts[0]:
            starts[0] = run(clone, "dvc", "queue", "stop").returncode == 0  # it ends after the experiment that it runs
        return queue

    def record_and_start(number: int) -> None:
        starts.append(False)
        start_worker(number)

    monkeypatch.setattr(experiment_queue, "read_queue", read_and_stop)
    monkeypatch.setattr(experiment_queue, "start_worker", record_and_start)
    with ended_after(300):
        sweep.run_sweep(["score.bootstrap=160,170"], 1, changes.append)
    assert starts == [True, False]
    assert sum(line.endswith(": Success") for line in changes) == 2, changes


def test_workers_that_never_come_are_given_up(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue is DVC's own, but the command that starts its workers does nothing."""
    monkeypatch.chdir(clone)
    monkeypatch.setenv("PYTHONPATH", str(clone / "src"))
    wait_for_workers_to_end()
    assert run(clone, "dvc", "exp", "run", "--queue", "--name", "alone", "-S", "score.bootstrap=180").returncode == 0
    (tmp_path / "dvc").write_text(f"#!/bin/sh\necho start >> {tmp_path}/calls\n")
    (tmp_path / "dvc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(experiment_queue, "PAUSE", 0.01)
    monkeypatch.setattr(experiment_queue, "PATIENCE", 1)
    try:
        with (
            ended_after(60),
            pytest.raises(UserError, match=r"workers end before they run an experiment; .* dvc queue start -v"),
        ):
            run_queue(["alone"], 1, print)
    finally:
        monkeypatch.undo()
        assert run(clone, "dvc", "queue", "remove", "alone").returncode == 0
    assert len((tmp_path / "calls").read_text().split()) == 1 + experiment_queue.RESTARTS


def workers_of(clone: Path) -> list[int]:
    """The processes of the queue's workers in the clone, and of the commands that they run."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            command = (process / "cmdline").read_bytes()
            runs = b"queue-worker" in command or b"dvc" in command or b"ecomtune.stages" in command
            if runs and (process / "cwd").readlink().is_relative_to(clone):
                found.append(int(process.name))
    return found


def test_an_experiment_is_given_up_when_its_worker_is_gone_and_not_before(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker is killed at the eighth look, more than PATIENCE looks after it was started."""
    monkeypatch.chdir(clone)
    monkeypatch.setenv("PYTHONPATH", str(clone / "src"))
    monkeypatch.setattr(experiment_queue, "PAUSE", 0.2)
    monkeypatch.setattr(experiment_queue, "PATIENCE", 3)
    wait_for_workers_to_end()
    until = time.monotonic() + 120
    queued = run(clone, "dvc", "exp", "run", "--queue", "--name", "lost", "-S", "train.shared.epochs=500")
    assert queued.returncode == 0, queued.stderr
    start_worker(1)
    while (queue := read_queue()).states.get("lost") != "Running" or not queue.workers:
        assert time.monotonic() < until
        time.sleep(0.1)
    looks = 0

    def count_and_kill() -> Queue:
        nonlocal looks
        looks += 1
        for process in workers_of(clone) if looks == 8 else ():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return read_queue()

    monkeypatch.setattr(experiment_queue, "read_queue", count_and_kill)
    with pytest.raises(
        UserError, match="DVC says that lost is running, but no worker is; dvc queue kill lost, and sweep again"
    ):
        run_queue(["lost"], 1, print)
    assert looks > 8
    monkeypatch.undo()
    assert run(clone, "dvc", "queue", "kill", "lost").returncode == 0  # as the error advises
    monkeypatch.chdir(clone)
    assert read_queue().states["lost"] == "Failed"


def test_the_number_of_a_worker_that_is_gone_is_given_to_the_next() -> None:
    """DVC numbers workers from 1: after the first of two has ended, it starts the first again, not a third."""
    assert [Queue({}, frozenset(numbers)).next_worker for numbers in ((), (1,), (2,), (1, 2))] == [1, 2, 1, 3]


def test_more_jobs_than_gpus_are_refused(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    done = run(clone, "ecomtune", "sweep", "-S", "score.bootstrap=110,120,130", "-j", "3")
    message = "-j 3 is more than the 2 GPUs, and each experiment needs one of its own; use -j 2"
    assert (done.returncode, done.stderr) == (1, f"error: {message}\n")


def test_an_experiment_that_fails_is_reported_with_the_command_that_shows_its_log(clone: Path) -> None:
    done = run(clone, "ecomtune", "sweep", "-S", "train.shared.learning_rate=1", "-S", "train.shared.max_length=8")
    name = done.stdout.partition("1 experiments: ")[2].splitlines()[0]
    assert done.returncode == 1
    assert done.stderr == f"error: 1 of 1 experiments failed, {name} first; for the reason, see dvc queue logs {name}\n"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["train.shared.rank=4,0"], "-S train.shared.rank=0: train.shared.rank: Input should be greater than 0"),
        (["train.shared.rnak=4"], "-S train.shared.rnak=4: "),
        (["train.shared.rank=4", "score.confidence=2"], "-S train.shared.rank=4 -S score.confidence=2: score.confidence: "),
        (["rank"], "-S rank: "),
        (["seed=1", "seed=2"], "seed is given twice, and only the last one would count; write its values as -S seed=1,2"),
    ],
)
def test_a_value_out_of_range_or_an_unknown_key_is_refused_before_anything_is_queued(
    clone: Path, values: list[str], message: str
) -> None:
    before = states(clone)
    done = run(clone, "ecomtune", "sweep", *(part for value in values for part in ("-S", value)))
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"error: {message}") and done.stderr.count("\n") == 1
    assert states(clone) == before


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "train.shared.rnak=4",
            "Could not override 'train.shared.rnak', which params.yaml doesn't have; correct the key to train.shared.rank, or "
            "add it with -S +train.shared.rnak=...; nothing was queued",
        ),
        (
            "x.y=1",
            "Could not override 'x.y', which params.yaml doesn't have; correct the key, or add it with -S +x.y=...; noth",
        ),
        ("+baselines.floor_relevance.method=lead", "baselines.floor_relevance: method lead has no model for task relevance;"),
        ("+train.shared.patience=-1", "train.shared.patience: Input should be greater than or equal to 0; nothing was queued"),
    ],
)
def test_a_value_that_can_not_work_is_refused_with_advice(workplace: Path, value: str, message: str) -> None:
    (workplace / "params.yaml").write_bytes((REPOSITORY / "profiles/pico.yaml").read_bytes())
    with pytest.raises(UserError) as caught:
        sweep.combinations([value])
    assert str(caught.value).startswith(f"-S {value}: {message}")


@pytest.fixture
def untracked(clone: Path) -> Iterator[Path]:
    file = clone / "src/ecomtune/new_module.py"
    file.write_text('"""New."""\n')
    yield file
    file.unlink()


def test_a_module_that_git_does_not_track_is_refused(clone: Path, untracked: Path) -> None:
    done = run(clone, "ecomtune", "sweep", "-S", "train.shared.rank=2")
    assert done.returncode == 1
    assert done.stderr.startswith("error: src/ecomtune/new_module.py isn't tracked by git, and queued experiments run in")


def test_a_data_file_that_git_does_not_track_is_refused_until_dvc_has_the_output_made_from_it(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clone)
    monkeypatch.setenv("PYTHONPATH", str(clone / "src"))
    assert sweep.missing_in_copies(load_params()) is None  # its weights are in an ignored folder, but the stage is done
    (clone / "models/pretrained/pico").rename(clone / "models/pretrained/away")
    try:
        assert sweep.missing_in_copies(load_params()) == ".scratch/pico/causal"
    finally:
        (clone / "models/pretrained/away").rename(clone / "models/pretrained/pico")


@pytest.mark.parametrize(("visible", "gpus"), [("0,1", ["0", "1"]), ("", []), ("GPU-5", ["GPU-5"])])
def test_the_gpus_are_those_that_are_visible(monkeypatch: pytest.MonkeyPatch, visible: str, gpus: list[str]) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_gpus() == gpus


def test_two_parameters_are_queued_in_every_combination(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone)
    found = sweep.combinations(["train.shared.rank=2,4", "score.bootstrap=110,120"])
    assert found == [
        ["train.shared.rank=2", "score.bootstrap=110"],
        ["train.shared.rank=2", "score.bootstrap=120"],
        ["train.shared.rank=4", "score.bootstrap=110"],
        ["train.shared.rank=4", "score.bootstrap=120"],
    ]
    with pytest.raises(UserError, match="nothing was queued"):
        sweep.combinations(["tasks.relevance.train_size=-1"])


def test_a_sweep_outside_a_clone_is_refused_in_one_sentence(workplace: Path) -> None:
    with pytest.raises(UserError, match="need a clone of the project, and this folder isn't one; run this in its root"):
        sweep.enqueue(["seed=1,2"])


def test_a_sweep_outside_git_is_refused_in_one_sentence(clone: Path, workplace: Path) -> None:
    shutil.copytree(clone / ".dvc", workplace / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp"))
    with pytest.raises(UserError, match="need a clone of the project, and this folder isn't one; run this in its root"):
        read_queue()

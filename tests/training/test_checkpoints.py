"""Checkpoints: only complete ones are resumed from, one process at a time uses them, and each training has its own."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import pytest

from ecomtune.checks.parameters import load_params
from ecomtune.core.code import CODE, code_hashes
from ecomtune.core.config import Training
from ecomtune.core.config.params import Params
from ecomtune.core.locks import locked
from ecomtune.core.records import Example, write_records
from ecomtune.messages.errors import UserError
from ecomtune.stages import baseline, train
from ecomtune.training import checkpoints as checkpoints_module
from ecomtune.training.checkpoints import INTERVAL_VARIABLE, Checkpoints, open_checkpoints, training_key
from tests.support.scratch_clone import REPOSITORY

FILES = ("adapter_model.safetensors", "optimizer.pt", "rng_state.pth", "trainer_state.json")


def write(checkpoints: Checkpoints, step: int) -> Path:
    """A checkpoint as Trainer leaves it, not yet marked as complete."""
    folder = checkpoints.folder / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_text(f"{name} of {step}")
    return folder


def complete_checkpoints(folder: Path, *steps: int) -> Checkpoints:
    checkpoints = Checkpoints(folder)
    for step in steps:
        write(checkpoints, step)
        checkpoints.mark_complete(step)
    return checkpoints


def test_the_newest_complete_checkpoint_is_found_by_its_step_not_its_name(workplace: Path) -> None:
    checkpoints = complete_checkpoints(workplace / "kept", 9, 10)
    assert checkpoints.newest() == workplace / "kept/checkpoint-10"


def test_a_checkpoint_that_is_not_marked_as_complete_is_removed(workplace: Path) -> None:
    checkpoints = complete_checkpoints(workplace / "kept", 3)
    half = write(checkpoints, 7)
    assert checkpoints.newest() == workplace / "kept/checkpoint-3" and not half.exists()


@pytest.mark.parametrize("name", [*FILES, "complete.json"])
@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda file: file.write_text(""),
        lambda file: file.write_text(file.read_text()[:-1] + "#"),
        lambda file: file.write_text("[" * 100_000),
    ],
    ids=["missing", "empty", "changed", "brackets"],
)
def test_a_checkpoint_with_a_missing_or_damaged_file_is_passed_over(
    workplace: Path, name: str, damage: Callable[[Path], None]
) -> None:
    checkpoints = complete_checkpoints(workplace / "kept", 3, 7)
    damage(workplace / "kept/checkpoint-7" / name)
    assert checkpoints.newest() == workplace / "kept/checkpoint-3"


def test_the_best_weights_are_restored_from_the_checkpoint_that_is_resumed(workplace: Path) -> None:
    checkpoints = Checkpoints(workplace / "kept")
    for step in (3, 7):
        write(checkpoints, step)
        checkpoints.best.write_text(f"best of {step}")
        checkpoints.mark_complete(step)
    checkpoints.best.write_text("half-wri")
    checkpoints.newest()
    assert checkpoints.best.read_text() == "best of 7"
    (workplace / "kept/checkpoint-7/best.safetensors").write_text("damaged")
    assert checkpoints.newest() == workplace / "kept/checkpoint-3" and checkpoints.best.read_text() == "best of 3"


def test_without_a_complete_checkpoint_there_is_no_newest_one(workplace: Path) -> None:
    checkpoints = Checkpoints(workplace / "kept")
    assert checkpoints.newest() is None
    write(checkpoints, 5)
    assert checkpoints.newest() is None


def test_the_two_newest_checkpoints_are_kept(workplace: Path) -> None:
    complete_checkpoints(workplace / "kept", 2, 4, 11)
    assert {path.name for path in (workplace / "kept").iterdir()} == {"checkpoint-4", "checkpoint-11"}


def test_checkpoints_are_removed_when_the_training_ends_and_kept_when_it_fails(workplace: Path) -> None:
    with pytest.raises(RuntimeError), open_checkpoints({"seed": 1}) as checkpoints:
        write(checkpoints, 5)
        checkpoints.mark_complete(5)
        raise RuntimeError
    with open_checkpoints({"seed": 1}) as checkpoints:
        assert checkpoints.newest() is not None
    with open_checkpoints({"seed": 1}) as checkpoints:
        assert checkpoints.newest() is None


def test_a_training_that_is_refused_leaves_nothing_and_one_that_fails_only_its_checkpoints(workplace: Path) -> None:
    home = Path(".scratch/checkpoints")
    with pytest.raises(UserError), open_checkpoints({"seed": 1}):
        raise UserError("the first row is too long; shorten it")
    assert list(home.iterdir()) == []
    with pytest.raises(KeyboardInterrupt), open_checkpoints({"seed": 1}) as checkpoints:
        write(checkpoints, 5)
        raise KeyboardInterrupt
    assert list(home.iterdir()) == [checkpoints.folder]
    with open_checkpoints({"seed": 1}):
        pass
    assert list(home.iterdir()) == []


def test_another_training_has_other_checkpoints(workplace: Path) -> None:
    with open_checkpoints({"seed": 1}) as one, open_checkpoints({"seed": 2}) as other:
        assert one.folder != other.folder


def hold(entered: Event, leave: Event) -> None:
    with open_checkpoints({"seed": 1}):
        entered.set()
        leave.wait(30)


def test_a_second_process_of_the_same_training_waits_and_says_so(workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    spawn = multiprocessing.get_context("fork")
    events = [spawn.Event() for _ in range(4)]
    first = spawn.Process(target=hold, args=(events[0], events[1]))
    first.start()
    assert events[0].wait(30)
    second = spawn.Process(target=hold, args=(events[2], events[3]))
    second.start()
    printed, until = "", time.monotonic() + 30
    while "waiting" not in printed and time.monotonic() < until:
        printed += capfd.readouterr().out
        time.sleep(0.01)
    assert printed == "another process is running this training; waiting until it ends\n"
    assert not events[2].is_set()
    events[1].set()
    assert events[2].wait(30)
    events[3].set()
    for process in (first, second):
        process.join(30)
        assert process.exitcode == 0


def take_turns(rounds: int) -> None:
    """Enter ``rounds`` times, each time alone: a second process inside would end this one with an error."""
    for _ in range(rounds):
        with open_checkpoints({"seed": 1}):
            Path("inside").touch(exist_ok=False)
            time.sleep(0.001)
            Path("inside").unlink()


def test_many_processes_that_wait_for_a_lock_that_is_removed_enter_one_at_a_time(workplace: Path) -> None:
    processes = [multiprocessing.get_context("fork").Process(target=take_turns, args=(40,)) for _ in range(5)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 5
    assert list((workplace / ".scratch/checkpoints").iterdir()) == []


def test_a_process_that_waits_in_several_rounds_says_so_once(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock file that it gets has been removed, and the next one is held again."""
    path, flock = workplace / "x.lock", fcntl.flock
    calls: list[int] = []
    said: list[str] = []

    def counted(lock: Any, how: int) -> None:
        calls.append(how)
        flock(lock, how)

    def enter() -> None:
        with locked(path, lambda: said.append("waiting")):
            calls.append(0)

    def until(rounds: int) -> None:
        end = time.monotonic() + 30
        while len(calls) < rounds and time.monotonic() < end:
            time.sleep(0.01)

    monkeypatch.setattr(fcntl, "flock", counted)
    with path.open("w") as first:
        flock(first, fcntl.LOCK_EX)
        waiter = Thread(target=enter, daemon=True)
        waiter.start()
        until(2)
        path.unlink()
        second = path.open("w")
        flock(second, fcntl.LOCK_EX)
    with second:
        until(4)
        assert 0 not in calls
    waiter.join(30)
    assert calls == [*[fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_EX] * 2, 0] and said == ["waiting"]
    assert not path.exists()


def test_a_killed_process_holds_no_lock(workplace: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    entered, leave = spawn.Event(), spawn.Event()
    first = spawn.Process(target=hold, args=(entered, leave))
    first.start()
    assert entered.wait(30)
    first.kill()
    first.join(30)
    with open_checkpoints({"seed": 1}) as checkpoints:
        assert checkpoints.folder.is_dir()


@pytest.mark.parametrize("seconds", ["often", "", "nan", "-1", "-inf"])
def test_an_interval_that_is_not_a_number_of_seconds_is_refused(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, seconds: str
) -> None:
    monkeypatch.setenv(INTERVAL_VARIABLE, seconds)
    with pytest.raises(UserError, match=f"^{INTERVAL_VARIABLE} is '{seconds}', .*; correct or"), open_checkpoints({}):
        pass
    assert [path.name for path in workplace.iterdir()] == ["tasks"]


SETTINGS = Training(
    model="m", rank=1, alpha=1, dropout=0, learning_rate=0.1, epochs=1, batch_size=1, token_budget=9, max_length=9
)
ROW = Example(id="1", task="ner", prompt="p", target="t", reference=["O"], fields={"words": ["w"]}, group="g", source="made:1")


def test_everything_that_determines_a_training_is_in_the_key_of_its_checkpoints(workplace: Path) -> None:
    (workplace / "base").mkdir()
    first = training_key("train", Path("base"), SETTINGS, 7, 2, [ROW], [])
    assert json.dumps(first) == json.dumps(training_key("train", Path("base"), SETTINGS, 7, 2, [ROW], []))
    others = [
        training_key("baseline", Path("base"), SETTINGS, 7, 2, [ROW], []),
        training_key("train", None, SETTINGS, 7, 2, [ROW], []),
        training_key("train", Path("base"), SETTINGS.model_copy(update={"rank": 2}), 7, 2, [ROW], []),
        training_key("train", Path("base"), SETTINGS, 8, 2, [ROW], []),
        training_key("train", Path("base"), SETTINGS, 7, 1, [ROW], []),
        training_key("train", Path("base"), SETTINGS, 7, 2, [ROW, ROW], []),
        training_key("train", Path("base"), SETTINGS, 7, 2, [ROW], [ROW]),
        training_key("train", Path("base"), SETTINGS, 7, 2, [ROW.model_copy(update={"target": "another"})], []),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints_module, "version", lambda name: "another")
        others.append(training_key("train", Path("base"), SETTINGS, 7, 2, [ROW], []))
    (workplace / "base/model.safetensors").write_text("other weights")
    others.append(training_key("train", Path("base"), SETTINGS, 7, 2, [ROW], []))
    assert len({json.dumps(each) for each in [first, *others]}) == len(others) + 1


@pytest.mark.parametrize("stage", ["train", "baseline"])
def test_code_that_can_only_stop_a_training_or_speak_is_not_in_its_key(stage: str) -> None:
    files = training_key(stage, None, SETTINGS, 7, 2)["code"]
    assert {file for file in files if file.startswith("stages/")} == {f"stages/{stage}.py"}
    assert {file.partition("/")[0] for file in files} == {*CODE[stage], "stages"}
    assert not {"messages", "checks", "runs", "plan", "cli"} & set(CODE[stage])


class CapturedKey(Exception):
    """Raised with the key of a stage's training, in place of the training."""


@pytest.mark.parametrize(("stage", "item"), [(train, "relevance_1"), (baseline, "encoder")])
def test_a_stage_passes_on_everything_that_determines_its_training(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, stage: ModuleType, item: str
) -> None:
    def capture(key: dict[str, Any]) -> Any:
        raise CapturedKey(json.dumps(key, sort_keys=True))

    def key_of_stage(**changes: Any) -> str:
        values = params.model_dump(exclude_unset=True)
        for place, value in changes.items():
            *parents, key = place.split("__")
            section = values
            for parent in parents:
                section = section[parent]
            assert section[key] != value, place
            section[key] = value
        with pytest.raises(CapturedKey) as caught:
            stage.main(Params.model_validate(values), item)
        return str(caught.value)

    monkeypatch.setattr(stage, "open_checkpoints", capture)
    values = load_params(REPOSITORY / "profiles/pico.yaml").model_dump(exclude_unset=True)
    values["models"]["encoder"] = {**values["models"]["pico"], "kind": "encoder"}
    encoder = {"family": "encoder", "task": "relevance", "out": "encoder/relevance", "model": "encoder", "epochs": 1}
    values["baselines"]["encoder"] = encoder
    params = Params.model_validate(values)
    rows = [ROW.model_copy(update={"id": str(each), "task": "relevance"}) for each in range(6)]
    for split in ("train", "validation"):
        write_records(Path(f"data/examples/relevance/{split}.jsonl"), rows)
    base = Path("models/pretrained", "pico" if stage is train else "encoder", "model.safetensors")
    base.parent.mkdir(parents=True)
    base.write_text("weights")
    own = "train__shared__rank" if stage is train else "baselines__encoder__epochs"
    found = [key_of_stage(), key_of_stage(seed=99), key_of_stage(train__shared__threads=2), key_of_stage(**{own: 77})]
    for file in ("data/examples/relevance/train.jsonl", "data/examples/relevance/validation.jsonl"):
        write_records(Path(file), rows[:3])
        found.append(key_of_stage())
    base.write_text("other weights")
    found.append(key_of_stage())
    monkeypatch.setenv("WORLD_SIZE", "2")
    found.append(key_of_stage())
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    found.append(key_of_stage())
    assert len(set(found)) == len(found)
    assert json.loads(found[0])["code"] == code_hashes("train" if stage is train else "baseline")

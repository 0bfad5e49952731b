"""Checkpoints: whole ones only are resumed from, one process at a time uses them, and other trainings have others."""

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
from ecomtune.core.code import code_hashes
from ecomtune.core.config import Training
from ecomtune.core.config.params import Params
from ecomtune.core.locks import locked
from ecomtune.core.records import Example, write_records
from ecomtune.messages.errors import UserError
from ecomtune.stages import baseline, train
from ecomtune.training.checkpoints import INTERVAL, Checkpoints, checkpoints_of, decides
from tests.support.scratch_clone import REPOSITORY

FILES = ("adapter_model.safetensors", "optimizer.pt", "rng_state.pth", "trainer_state.json")


def write(checkpoints: Checkpoints, step: int) -> Path:
    """A checkpoint as Trainer leaves it, not yet marked."""
    folder = checkpoints.folder / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_text(f"{name} of {step}")
    return folder


def kept(folder: Path, *steps: int) -> Checkpoints:
    checkpoints = Checkpoints(folder)
    for step in steps:
        write(checkpoints, step)
        checkpoints.complete(step)
    return checkpoints


def test_the_newest_whole_checkpoint_is_found_by_its_step_not_its_name(workplace: Path) -> None:
    checkpoints = kept(workplace / "kept", 9, 10)
    assert checkpoints.newest() == workplace / "kept/checkpoint-10"


def test_a_checkpoint_that_was_not_marked_is_removed(workplace: Path) -> None:
    checkpoints = kept(workplace / "kept", 3)
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
    checkpoints = kept(workplace / "kept", 3, 7)
    damage(workplace / "kept/checkpoint-7" / name)
    assert checkpoints.newest() == workplace / "kept/checkpoint-3"


def test_the_best_weights_are_those_of_the_checkpoint_that_is_resumed_from(workplace: Path) -> None:
    checkpoints = Checkpoints(workplace / "kept")
    for step in (3, 7):
        write(checkpoints, step)
        checkpoints.best.write_text(f"best of {step}")
        checkpoints.complete(step)
    checkpoints.best.write_text("half-wri")
    checkpoints.newest()
    assert checkpoints.best.read_text() == "best of 7"
    (workplace / "kept/checkpoint-7/best.safetensors").write_text("damaged")
    assert checkpoints.newest() == workplace / "kept/checkpoint-3" and checkpoints.best.read_text() == "best of 3"


def test_without_a_whole_one_there_is_none(workplace: Path) -> None:
    checkpoints = Checkpoints(workplace / "kept")
    assert checkpoints.newest() is None
    write(checkpoints, 5)
    assert checkpoints.newest() is None


def test_the_two_newest_are_kept(workplace: Path) -> None:
    kept(workplace / "kept", 2, 4, 11)
    assert {path.name for path in (workplace / "kept").iterdir()} == {"checkpoint-4", "checkpoint-11"}


def test_they_are_removed_when_the_training_ends_and_kept_when_it_fails(workplace: Path) -> None:
    with pytest.raises(RuntimeError), checkpoints_of({"seed": 1}) as checkpoints:
        write(checkpoints, 5)
        checkpoints.complete(5)
        raise RuntimeError
    with checkpoints_of({"seed": 1}) as checkpoints:
        assert checkpoints.newest() is not None
    with checkpoints_of({"seed": 1}) as checkpoints:
        assert checkpoints.newest() is None


def test_a_training_that_is_refused_leaves_nothing_and_one_that_fails_its_checkpoints_alone(workplace: Path) -> None:
    home = Path(".scratch/checkpoints")
    with pytest.raises(UserError), checkpoints_of({"seed": 1}):
        raise UserError("the first row is too long; shorten it")
    assert list(home.iterdir()) == []
    with pytest.raises(KeyboardInterrupt), checkpoints_of({"seed": 1}) as checkpoints:
        write(checkpoints, 5)
        raise KeyboardInterrupt
    assert list(home.iterdir()) == [checkpoints.folder]
    with checkpoints_of({"seed": 1}):
        pass
    assert list(home.iterdir()) == []


def test_another_training_has_other_checkpoints(workplace: Path) -> None:
    with checkpoints_of({"seed": 1}) as one, checkpoints_of({"seed": 2}) as other:
        assert one.folder != other.folder


def hold(entered: Event, leave: Event) -> None:
    with checkpoints_of({"seed": 1}):
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
    told, until = "", time.monotonic() + 30
    while "waiting" not in told and time.monotonic() < until:
        told += capfd.readouterr().out
        time.sleep(0.01)
    assert told == "another process runs this very training; waiting until it ends\n"
    assert not events[2].is_set()
    events[1].set()
    assert events[2].wait(30)
    events[3].set()
    for process in (first, second):
        process.join(30)
        assert process.exitcode == 0


def take_turns(rounds: int) -> None:
    """Enter as often, each time alone: a second process inside ends this one with an error."""
    for _ in range(rounds):
        with checkpoints_of({"seed": 1}):
            Path("inside").touch(exist_ok=False)
            time.sleep(0.001)
            Path("inside").unlink()


def test_of_many_processes_that_wait_for_a_lock_that_is_removed_each_is_alone(workplace: Path) -> None:
    processes = [multiprocessing.get_context("fork").Process(target=take_turns, args=(40,)) for _ in range(5)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 5
    assert list((workplace / ".scratch/checkpoints").iterdir()) == []


def test_one_who_waits_in_several_rounds_says_so_once(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock that it gets isn't on disk any more, and the next one is held again."""
    path, flock = workplace / "x.lock", fcntl.flock
    calls: list[int] = []
    told: list[str] = []

    def counted(lock: Any, how: int) -> None:
        calls.append(how)
        flock(lock, how)

    def enter() -> None:
        with locked(path, lambda: told.append("waiting")):
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
    assert calls == [*[fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_EX] * 2, 0] and told == ["waiting"]
    assert not path.exists()


def test_a_killed_process_holds_no_lock(workplace: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    entered, leave = spawn.Event(), spawn.Event()
    first = spawn.Process(target=hold, args=(entered, leave))
    first.start()
    assert entered.wait(30)
    first.kill()
    first.join(30)
    with checkpoints_of({"seed": 1}) as checkpoints:
        assert checkpoints.folder.is_dir()


@pytest.mark.parametrize("seconds", ["often", "", "nan", "-1", "-inf"])
def test_an_interval_that_is_no_number_of_seconds_is_refused(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, seconds: str
) -> None:
    monkeypatch.setenv(INTERVAL, seconds)
    with pytest.raises(UserError, match=f"^{INTERVAL} is '{seconds}', no number of seconds; correct or"), checkpoints_of({}):
        pass
    assert list(workplace.iterdir()) == []


SETTINGS = Training(
    model="m", rank=1, alpha=1, dropout=0, learning_rate=0.1, epochs=1, batch_size=1, token_budget=9, max_length=9
)
ROW = Example(id="1", task="ner", prompt="p", target="t", reference=["O"], fields={"words": ["w"]}, group="g", source="made:1")


def test_whatever_decides_a_training_names_its_checkpoints(workplace: Path) -> None:
    (workplace / "base").mkdir()
    code = ("lora/*.py",)
    first = decides(code, Path("base"), SETTINGS, 7, 2, [ROW], [])
    assert json.dumps(first) == json.dumps(decides(code, Path("base"), SETTINGS, 7, 2, [ROW], []))
    others = [
        decides(("encoding.py",), Path("base"), SETTINGS, 7, 2, [ROW], []),
        decides(code, None, SETTINGS, 7, 2, [ROW], []),
        decides(code, Path("base"), SETTINGS.model_copy(update={"rank": 2}), 7, 2, [ROW], []),
        decides(code, Path("base"), SETTINGS, 8, 2, [ROW], []),
        decides(code, Path("base"), SETTINGS, 7, 1, [ROW], []),
        decides(code, Path("base"), SETTINGS, 7, 2, [ROW, ROW], []),
        decides(code, Path("base"), SETTINGS, 7, 2, [ROW], [ROW]),
    ]
    (workplace / "base/model.safetensors").write_text("other weights")
    others.append(decides(code, Path("base"), SETTINGS, 7, 2, [ROW], []))
    assert len({json.dumps(each) for each in [first, *others]}) == len(others) + 1


class Decided(Exception):
    """What a stage says that decides its training, in place of the training."""


@pytest.mark.parametrize(("stage", "item"), [(train, "relevance_1"), (baseline, "encoder")])
def test_a_stage_hands_on_whatever_decides_its_training(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, stage: ModuleType, item: str
) -> None:
    def told(decides: dict[str, Any]) -> Any:
        raise Decided(json.dumps(decides, sort_keys=True))

    def decided(**changes: Any) -> str:
        values = params.model_dump(exclude_unset=True)
        for place, value in changes.items():
            *way, key = place.split("__")
            section = values
            for part in way:
                section = section[part]
            assert section[key] != value, place
            section[key] = value
        with pytest.raises(Decided) as caught:
            stage.main(Params.model_validate(values), item)
        return str(caught.value)

    monkeypatch.setattr(stage, "checkpoints_of", told)
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
    found = [decided(), decided(seed=99), decided(train__shared__threads=2), decided(**{own: 77})]
    for file in ("data/examples/relevance/train.jsonl", "data/examples/relevance/validation.jsonl"):
        write_records(Path(file), rows[:3])
        found.append(decided())
    base.write_text("other weights")
    found.append(decided())
    monkeypatch.setenv("WORLD_SIZE", "2")
    found.append(decided())
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    found.append(decided())
    assert len(set(found)) == len(found)
    assert json.loads(found[0])["code"] == code_hashes("train" if stage is train else "baseline")

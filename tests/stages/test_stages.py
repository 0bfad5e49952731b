"""The rows that stages read: training rows and demonstrations from train.jsonl only, within an adapter's limits and shard."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ecomtune.checks.parameters import load_params
from ecomtune.core.config import Adapter, Dataset, System
from ecomtune.core.config.params import Params
from ecomtune.core.files import dump_json, write_text
from ecomtune.core.records import Example, Prediction, Reference, read_task, write_records
from ecomtune.inference.answering import demonstrations_of
from ecomtune.messages.errors import UserError
from ecomtune.stages.baseline import main as baseline
from ecomtune.stages.format import main as format_rows
from ecomtune.stages.predict import main as predict
from ecomtune.stages.runner import pick
from ecomtune.stages.score import main as score
from ecomtune.stages.train import main as train
from ecomtune.stages.train import training_rows, validation_rows
from tests.support.scratch_clone import REPOSITORY
from tests.support.tasks import define_tasks, load_task, mark_answered, mark_formatted

ROWS = 7


@pytest.fixture(autouse=True)
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tasks with numbered rows in every split."""
    for task in ("ner", "relevance"):
        (tmp_path / "data/examples" / task).mkdir(parents=True)
        for split in ("train", "validation", "test"):
            rows = [row(task, f"{task} {split} {number}", str(number)) for number in range(ROWS)]
            write_records(tmp_path / f"data/examples/{task}/{split}.jsonl", rows)
    define_tasks(tmp_path)
    mark_formatted("ner", "relevance", folder=tmp_path)
    monkeypatch.chdir(tmp_path)


def row(task: str, identity: str, group: str) -> Example:
    return Example(id=identity, task=task, prompt="p", target="t", reference="t", fields={}, group=group, source="shop")


def adapter(*tasks: str, **changes: object) -> Adapter:
    return Adapter.model_validate({"out": "x", "reads": "data/examples", "tasks": list(tasks), **changes})


def ids(task: str, *numbers: int) -> list[str]:
    return [f"{task} train {number}" for number in numbers]


def test_an_adapter_is_trained_on_the_training_rows_of_its_tasks() -> None:
    assert [row.id for row in training_rows(adapter("ner"))] == ids("ner", *range(ROWS))
    mixed = [*ids("relevance", *range(ROWS)), *ids("ner", *range(ROWS))]
    assert [row.id for row in training_rows(adapter("relevance", "ner"))] == mixed


def test_a_limit_takes_the_first_rows_of_that_task_only() -> None:
    found = training_rows(adapter("relevance", "ner", limit={"ner": 2}))
    assert [row.id for row in found] == [*ids("relevance", *range(ROWS)), *ids("ner", 0, 1)]


@pytest.mark.parametrize("count", [1, 2, 3, ROWS])
def test_shards_divide_all_rows_evenly_without_overlap(count: int) -> None:
    shards = [[row.id for row in training_rows(adapter("ner", shard=[number, count]))] for number in range(1, count + 1)]
    assert sorted(row for shard in shards for row in shard) == ids("ner", *range(ROWS))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize("choice", ["fixed", "random", "bm25"])
def test_demonstrations_are_training_rows(choice: str) -> None:
    params = load_params(REPOSITORY / "profiles/demo.yaml")
    given = {"kind": "prompt", "reads": "models/pretrained/x", "tasks": ["ner"], "shots": 3, "demonstrations": choice}
    test_rows = [row("ner", f"ner test {number}", f"new {number}") for number in range(2)]
    found = demonstrations_of(params, System.model_validate(given), load_task("ner"), test_rows)
    assert len(found) == 2
    for shown in found:
        assert len(shown) == 3 and {each.id for each in shown} <= set(ids("ner", *range(ROWS)))
    assert choice != "fixed" or [[each.id for each in shown] for shown in found] == [ids("ner", 0, 1, 2)] * 2


def test_validation_rows_may_be_missing() -> None:
    Path("data/examples/ner/validation.jsonl").write_text("")
    assert validation_rows(adapter("ner")) == []


@pytest.mark.parametrize(
    ("stage", "item", "file"),
    [
        (train, "ner", "data/examples/ner/train.jsonl"),
        (baseline, "encoder_ner", "data/examples/ner/train.jsonl"),
        (baseline, "floor_relevance", "data/examples/relevance/train.jsonl"),
        (predict, "merged_shards", "data/examples/ner/test.jsonl"),
        (score, "merged_shards", "data/predictions/merged_shards/ner.jsonl"),
    ],
    ids=["train", "encoder", "floor", "predict", "score"],
)
def test_a_stage_refuses_an_empty_file_and_writes_nothing(stage: Callable[[Params, str], None], item: str, file: str) -> None:
    predictions = Path("data/predictions/merged_shards")
    predictions.mkdir(parents=True)
    (predictions / "costs.json").write_text("{}")
    Path(file).write_text("")
    before = sorted(Path().rglob("*"))
    with pytest.raises(UserError, match=f"^{file} is empty; delete it and run dvc repro again$"):
        stage(load_params(REPOSITORY / "profiles/demo.yaml"), item)
    assert sorted(Path().rglob("*")) == before


def test_format_warns_of_too_few_groups_and_of_labels_without_training_rows(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"q{n},Mug {n},{label},train" for n, label in enumerate(["Exact", "Irrelevant"] * 4)]
    lines += [f"x{n % 3},Cup {n},{label},test" for n, label in enumerate(["Exact", "Substitute", "Substitute"] * 4)]
    Path("data/raw/shop").mkdir(parents=True)
    Path("data/raw/shop/shop.csv").write_text("\n".join(["query,title,label,split", *lines]) + "\n")
    columns = {"query": "query", "title": "title", "reference": "label", "split": "split"}
    demo = load_params(REPOSITORY / "profiles/demo.yaml")
    settings = demo.tasks["relevance"].model_copy(update={"dataset": ("shop",), "validation_size": 0})
    shop = Dataset(reader="table", columns=columns)
    format_rows(demo.model_copy(update={"datasets": {"shop": shop}, "tasks": {"relevance": settings}}), "relevance")
    few, untrained = [line for line in capsys.readouterr().out.splitlines() if "groups" in line or "label" in line]
    assert few.startswith("relevance: too few groups (3, of at least 10)")
    assert untrained.startswith("relevance: ") and "Substitute" in untrained


def test_demonstrations_from_an_empty_file_are_refused() -> None:
    Path("data/examples/ner/train.jsonl").write_text("")
    params = load_params(REPOSITORY / "profiles/demo.yaml")
    with pytest.raises(UserError, match=r"^data/examples/ner/train.jsonl is empty; "):
        demonstrations_of(params, params.systems["few_shot"], load_task("ner"), [row("ner", "x", "new")])


def test_a_stage_without_a_known_item_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"^systems: no item is named; name one of: single, mixed$"):
        pick({"single": 1, "mixed": 2}, "", "systems")
    with pytest.raises(UserError, match=r"^systems: there is no 'x'; name one of: single, mixed$"):
        pick({"single": 1, "mixed": 2}, "x", "systems")


@pytest.fixture
def recorded() -> Params:
    """The demo's parameters with a system of recorded answers."""
    demo = load_params(REPOSITORY / "profiles/demo.yaml")
    system = System(kind="recorded", reads="data/examples/relevance", tasks=("relevance",))
    return demo.model_copy(update={"systems": {"in_use": system}})


def answered(*given: dict[str, Reference]) -> None:
    """Write test rows of relevance with these recorded answers by system."""
    rows = [row("relevance", str(number), str(number)) for number in range(len(given))]
    fields: dict[str, str | list[str]] = {"query": "mug", "title": "cup"}
    rows = [each.model_copy(update={"fields": fields, "answers": own}) for each, own in zip(rows, given, strict=True)]
    write_records(Path("data/examples/relevance/test.jsonl"), rows)


def test_a_recorded_system_gives_the_answers_recorded_in_its_data_set(
    recorded: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    answered({"in_use": "Exact", "other": "Irrelevant"}, {"in_use": "maybe"}, {"other": "Exact"})
    predict(recorded, "in_use")
    found = read_task(Path("data/predictions/in_use/relevance.jsonl"), Prediction, "relevance")
    assert [(each.answer, each.parsed, each.valid) for each in found] == [
        ("Exact", "Exact", True),
        ("maybe", None, False),
        ("", None, False),
    ]
    assert capsys.readouterr().out == "in_use: 1 of 3 test rows have no answer, and count as wrong\n"
    assert json.loads(Path("data/predictions/in_use/costs.json").read_text()) == {"relevance": {}}  # they are unknown


def test_a_recorded_system_without_any_answer_is_refused(recorded: Params) -> None:
    answered({"other": "Exact"}, {})
    with pytest.raises(UserError, match=r"^systems.in_use: data set demo_shop has no answers of that name .*\(there: other\);"):
        predict(recorded, "in_use")
    assert not Path("data/predictions/in_use").exists()


#: Libraries that take a second or more to import.
SLOW = ("datasets", "evaluate", "torch", "transformers")


@pytest.mark.parametrize("stage", sorted(file.stem for file in (REPOSITORY / "src/ecomtune/stages").glob("[!_]*.py")))
def test_a_stage_imports_slow_libraries_only_after_it_handles_signals(stage: str) -> None:
    """Until then, a signal ends it with Python's own traceback."""
    code = f"import sys, ecomtune.stages.{stage}; print(*{{*sys.modules}} & {{*{SLOW}}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_score_warns_of_texts_in_a_script_that_the_tokenizer_does_not_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path("data/predictions/mine")
    given = {
        "task": "summarization",
        "system": "mine",
        "parsed": ["マグ"],
        "valid": True,
        "reference": ["マグ"],
        "answer": "マグ",
    }
    write_records(folder / "summarization.jsonl", [Prediction(id=str(n), group=str(n), **given) for n in range(12)])
    write_text(folder / "costs.json", dump_json({"summarization": {}}))
    mark_answered("mine", "summarization")
    system = System(kind="recorded", reads="data/examples/summarization", tasks=("summarization",))
    demo = load_params(REPOSITORY / "profiles/demo.yaml").model_copy(update={"systems": {"mine": system}})
    score(demo, "mine")
    assert "12 of 12 gold texts are not in Latin letters" in capsys.readouterr().out
    definition = Path("tasks/summarization.yaml")
    definition.write_text(f"{definition.read_text()}tokenizer: unicode\n")
    score(demo, "mine")
    assert "Latin" not in capsys.readouterr().out
    assert json.loads(Path("metrics/mine.json").read_text())["summarization"]["rougeL"] == 1.0

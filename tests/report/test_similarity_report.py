"""What the summary, the terminal and the pictures say about adapters: how similar they are, and which tasks they help."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecomtune.adapters.factors import Adapter, Factors, save_adapter
from ecomtune.checks.parameters import load_params
from ecomtune.core.config import System
from ecomtune.core.config.params import Params
from ecomtune.core.files import dump_json, sha256_folder, write_text
from ecomtune.core.records import Example, Prediction, write_records
from ecomtune.messages.errors import UserError
from ecomtune.report.adapter_similarity import (
    adapter_names,
    measured_adapters,
    similarity_by_module,
    similarity_matrix,
    similarity_of,
    transfer_of,
)
from ecomtune.stages.compare import main as compare
from tests.support.scratch_clone import REPOSITORY
from tests.support.summaries import cell, scores

GOLD = ["Exact", "Irrelevant"] * 6
#: How many of the answers to relevance are wrong, by system.
WRONG = {"zero_shot": 6, "few_shot": 5, "single": 1, "mixed": 3}


@pytest.fixture
def params() -> Params:
    """The demo's, for relevance alone."""
    demo = load_params(REPOSITORY / "profiles" / "demo.yaml")
    systems = {name: demo.systems[name].model_copy(update={"tasks": ("relevance",)}) for name in WRONG}
    return demo.model_copy(update={"systems": systems, "tasks": {"relevance": demo.tasks["relevance"]}})


@pytest.fixture
def run(params: Params, workplace: Path) -> Params:
    """Metrics, predictions and adapters of that study, without mixed and the merges."""
    for name, wrong in WRONG.items():
        accuracy = (len(GOLD) - wrong) / len(GOLD)
        scores = {"macro_f1": accuracy, "macro_f1_ci": [0.0, 1.0], "n": len(GOLD), "groups": len(GOLD), "invalid": 0}
        write_text(Path(f"metrics/{name}.json"), dump_json({"relevance": scores}))
        write_records(Path(f"data/predictions/{name}/relevance.jsonl"), predictions(name, wrong))
    write_records(Path("data/examples/relevance/test.jsonl"), examples())
    report = {"splits": {split: {"rows": len(GOLD)} for split in ("train", "validation", "test")}}
    write_text(Path("data/examples/relevance/report.json"), dump_json(report))
    for place, out in enumerate(["single/relevance", "single/ner", "shards/ner/1"]):
        save_adapter(random_adapter(place), Path("models/adapters") / out)
    return params


def examples() -> list[Example]:
    fields: dict[str, str | list[str]] = {"query": "mug", "title": "Mug"}
    given = {"task": "relevance", "prompt": "p", "fields": fields, "source": "made:1"}
    return [
        Example.model_validate({**given, "id": str(row), "group": str(row), "reference": gold, "target": gold})
        for row, gold in enumerate(GOLD)
    ]


def predictions(system: str, wrong: int) -> list[Prediction]:
    return [
        Prediction(
            id=str(row),
            task="relevance",
            system=system,
            answer=gold,
            parsed=None if row < wrong else gold,
            valid=row >= wrong,
            reference=gold,
            group=str(row),
        )
        for row, gold in enumerate(GOLD)
    ]


def random_adapter(seed: int) -> Adapter:
    rng = np.random.default_rng(seed)
    modules = {
        name: Factors(rng.standard_normal((2, 6), dtype=np.float32), rng.standard_normal((5, 2), dtype=np.float32))
        for name in ("base_model.model.up_proj", "base_model.model.down_proj")
    }
    return Adapter(modules, {"base_model_name_or_path": "models/pretrained/smollm2"})


def summary() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("reports/summary.json").read_text())
    return found


def test_the_summary_holds_every_two_existing_adapters(run: Params) -> None:
    compare(run, "")
    found = summary()["similarity"]
    assert found["adapters"] == ["single/relevance", "single/ner", "shards/ner/1"]
    names = [(pair["first"], pair["second"]) for pair in found["pairs"]]
    assert names == [("single/relevance", "single/ner"), ("single/relevance", "shards/ner/1"), ("single/ner", "shards/ner/1")]
    for pair in found["pairs"]:
        modules = [row for row in by_module() if (row["first"], row["second"]) == (pair["first"], pair["second"])]
        assert [row["module"] for row in modules] == ["base_model.model.down_proj", "base_model.model.up_proj"]
        for measure in ("cosine", "columns", "rows"):
            assert all(value == round(value, 4) for value in (pair[measure], *(float(row[measure]) for row in modules)))
        assert pair["columns"] == pytest.approx(np.mean([float(row["columns"]) for row in modules]), abs=1e-4)


def by_module() -> list[dict[str, str]]:
    with Path("reports/similarity.csv").open() as file:
        return list(csv.DictReader(file))


def test_merged_adapters_are_compared_as_well(run: Params) -> None:
    save_adapter(random_adapter(1), Path("models/adapters/merged/ner_shards"))
    compare(run, "")
    pair = next(
        pair for pair in summary()["similarity"]["pairs"] if pair["second"] == "merged/ner_shards" and "ner" in pair["first"]
    )
    assert (pair["first"], pair["cosine"], pair["columns"], pair["rows"]) == ("single/ner", 1.0, 1.0, 1.0)


def test_the_summary_holds_what_each_adapter_adds_to_the_base(run: Params) -> None:
    compare(run, "")
    found = summary()["transfer"]
    assert list(found) == sorted(adapter_names(run))
    measured = {adapter: row["relevance"] for adapter, row in found.items() if row["relevance"] is not None}
    assert measured == {"single/relevance": pytest.approx(5 / 12, abs=1e-4), "mixed": 0.25}


def test_what_was_measured_is_drawn_and_printed(run: Params, capsys: pytest.CaptureFixture[str]) -> None:
    compare(run, "")
    pictures = ["costs.png", "merges.png", "similarity.png", "systems.png", "transfer.png"]
    assert sorted(file.name for file in Path("plots/compare").glob("*.png")) == pictures
    printed = capsys.readouterr().out
    assert "Cosine of the adapters' ΔW" in printed and "3 shards/ner/1" in printed
    assert "Main metric against zero-shot" in printed and "0.42" in printed


def test_a_study_without_adapters_and_zero_shot_is_compared_too(run: Params, capsys: pytest.CaptureFixture[str]) -> None:
    train = run.train.model_copy(update={"adapters": {}})
    merge = run.merge.model_copy(update={"recipes": {}})
    systems = {"few_shot": run.systems["few_shot"]}
    compare(run.model_copy(update={"train": train, "merge": merge, "systems": systems}), "")
    assert sorted(file.name for file in Path("plots/compare").glob("*.png")) == ["costs.png", "systems.png"]
    assert summary()["similarity"] == {"adapters": [], "pairs": []} and by_module() == [] and summary()["transfer"] == {}
    assert "Cosine" not in capsys.readouterr().out


def test_two_comparisons_have_the_same_bytes(run: Params) -> None:
    written = []
    for _ in range(2):
        compare(run, "")
        written.append((sha256_folder(Path("plots/compare")), sha256_folder(Path("reports"))))
    assert written[0] == written[1]


def test_a_broken_adapter_stops_the_comparison_with_nothing_written(run: Params) -> None:
    Path("models/adapters/single/ner/adapter_model.safetensors").write_bytes(b"cut")
    with pytest.raises(UserError, match=r"^models/adapters/single/ner is missing or broken"):
        compare(run, "")
    assert not Path("reports").exists() and not Path("plots").exists()


def test_the_summary_of_the_demo_stays_small_enough_for_git() -> None:
    demo = load_params(REPOSITORY / "profiles" / "demo.yaml")
    names, measures = adapter_names(demo), {"cosine": -0.1234, "columns": 0.1234, "rows": 0.1234}
    modules = dict.fromkeys((f"base_model.model.model.layers.{layer}.q_proj" for layer in range(210)), measures)
    pairs = [{"first": a, "second": b, "overall": measures, "modules": modules} for a, b in combinations(names, 2)]
    assert len(pairs) == 36 and len(dump_json(asdict(similarity_of(names, pairs)))) < 10_000


def system(**values: Any) -> System:
    return System.model_validate({"tasks": ["relevance", "ner"], **values})


def test_an_adapter_of_one_task_may_be_measured_on_another() -> None:
    demo = load_params(REPOSITORY / "profiles" / "demo.yaml")
    systems = {
        "other_base": system(kind="prompt", reads="models/pretrained/minilm"),
        "few_shot": system(kind="prompt", reads="models/pretrained/smollm2", shots=3),
        "zero_shot": system(kind="prompt", reads="models/pretrained/smollm2"),
        "again": system(kind="prompt", reads="models/pretrained/smollm2"),
        "ner_on_others": system(kind="adapter", reads="models/adapters/single/ner"),
        "single": system(kind="adapter", reads="models/adapters/single"),
        "merged": system(kind="adapter", reads="models/adapters/merged/tasks", tasks=["ner"]),
    }
    values = {
        "other_base": (0.9, 0.9),
        "few_shot": (0.7, 0.7),
        "zero_shot": (0.1, 0.3),
        "again": (0.8, 0.8),
        "ner_on_others": (0.05, 0.7),
        "single": (0.6, 0.7),
        "merged": (0.0, 0.3),
    }
    cells = {name: {"relevance": cell(value=one), "ner": cell(value=other)} for name, (one, other) in values.items()}
    found = transfer_of(demo.model_copy(update={"systems": systems}), scores(cells))
    assert measured_adapters(found) == {
        "single/relevance": {"relevance": 0.5, "ner": None, "summarization": None, "description": None},
        "single/ner": {"relevance": -0.05, "ner": 0.4, "summarization": None, "description": None},
        "merged/tasks": {"relevance": None, "ner": 0.0, "summarization": None, "description": None},
    }
    assert found["shards/ner/1"] == dict.fromkeys(demo.tasks)


def test_a_module_that_neither_adapter_changes_has_no_line() -> None:
    measures = {"cosine": -0.00001, "columns": 0.5, "rows": 0.25}
    pairs = [
        {"first": "a", "second": "b", "overall": measures, "modules": {"up": measures}},
        {"first": "a", "second": "c", "overall": measures, "modules": {"down": measures}},
    ]
    found = similarity_of(["a", "b", "c"], pairs)
    lines = ["first,second,module,cosine,columns,rows", "a,b,up,0.0,0.5,0.25", "a,c,down,0.0,0.5,0.25"]
    assert similarity_by_module(pairs).splitlines() == lines
    assert "-0.0" not in dump_json(asdict(found))
    matrix = similarity_matrix(found, "columns")
    assert matrix["a"] == {"a": None, "b": 0.5, "c": 0.5} and matrix["b"]["a"] == 0.5 and matrix["b"]["c"] is None

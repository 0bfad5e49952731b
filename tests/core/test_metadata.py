"""The JSON files that stages write next to data and weights are valid, or refused with the stage that writes them again."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecomtune.core.adapter_files import is_plain
from ecomtune.core.config.params import Params
from ecomtune.core.files import dump_json, write_text
from ecomtune.core.metadata import base_model_folder, read_costs, read_training_totals
from ecomtune.messages.errors import UserError
from ecomtune.metrics import entities
from ecomtune.metrics.bootstrap import Counts
from ecomtune.report.losses import read_losses
from ecomtune.report.summary import summarize
from ecomtune.stages.compare import main as compare
from ecomtune.stages.score import main as score
from tests.support.report_data import ner, params, write_answers, write_report
from tests.support.tasks import mark_answered

COSTS = Path("data/predictions/single/costs.json")
NOT_A_NUMBER = "must be a number of at least 0"


@pytest.fixture
def answered(workplace: Path) -> Params:
    """A system's predictions for one task, without their costs."""
    write_answers("ner", ner())
    mark_answered("single", "ner")
    given = params()
    system = given.systems["single"].model_copy(update={"tasks": ("ner",)})
    return given.model_copy(update={"systems": {"single": system}})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            '{"ner": {"macro_f1": 1}}',
            "ner.macro_f1: is not a cost; the costs are parameters, trained_parameters, ",
        ),
        ('{"ner": {"parameters": "7"}}', f"ner.parameters: {NOT_A_NUMBER}"),
        ('{"ner": {"parameters": null}}', f"ner.parameters: {NOT_A_NUMBER}"),
        ('{"ner": {"input_tokens": true}}', f"ner.input_tokens: {NOT_A_NUMBER}"),
        ('{"ner": {"input_tokens": NaN}}', f"ner.input_tokens: {NOT_A_NUMBER}"),
        ('{"ner": {"output_tokens": -1}}', f"ner.output_tokens: {NOT_A_NUMBER}"),
        ('{"ner": {"output_tokens": 1e400}}', f"ner.output_tokens: {NOT_A_NUMBER}"),
        ('{"ner": [1]}', "ner: Input should be an object"),
        ("[]", "Input should be an object"),
        ('{"ner": {', "Invalid JSON: "),
        (b"\xff{}", "Invalid JSON: "),
    ],
)
def test_costs_of_another_shape_are_refused_and_nothing_is_scored(answered: Params, content: str | bytes, problem: str) -> None:
    COSTS.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        score(answered, "single")
    assert str(caught.value).startswith(f"{COSTS} is missing or broken ({problem}")
    assert str(caught.value).endswith("); remove it and run dvc repro predict@single")
    assert not Path("metrics").exists()


def test_predictions_of_another_system_are_not_scored(answered: Params) -> None:
    file = Path("data/predictions/single/ner.jsonl")
    file.write_text(file.read_text().replace('"system":"single"', '"system":"other"', 1))
    with pytest.raises(UserError, match=r"^data/predictions/single/ner\.jsonl .*other; delete it and run dvc repro again$"):
        score(answered, "single")


@pytest.mark.parametrize("base", ["/", "../weights", "a\0b"])
def test_a_base_model_outside_the_repository_is_refused(workplace: Path, base: str) -> None:
    write_text(Path("adapter/adapter_config.json"), dump_json({"base_model_name_or_path": base}))
    with pytest.raises(UserError, match=r"^adapter/adapter_config\.json is missing or broken \(base_model_name_or_path: "):
        base_model_folder(Path("adapter"))


def test_costs_that_are_missing_or_lack_the_task_are_refused(answered: Params) -> None:
    with pytest.raises(UserError, match=rf"^{COSTS} is missing; run the stage that writes it \(dvc repro predict@single\)$"):
        score(answered, "single")
    COSTS.write_text("{}")
    with pytest.raises(UserError, match=rf"^{COSTS} has no costs of task ner; remove it and run dvc repro predict@single$"):
        score(answered, "single")


def test_integer_costs_stay_integers(answered: Params) -> None:
    COSTS.write_text('{"ner": {"parameters": 134515008, "input_tokens": 9.0}}')
    score(answered, "single")
    assert '"input_tokens": 9.0,' in (written := Path("metrics/single.json").read_text())
    assert '"parameters": 134515008,' in written


def test_a_cost_does_not_replace_a_metric_of_the_same_name(answered: Params, monkeypatch: pytest.MonkeyPatch) -> None:

    class Own(entities.METRIC):  # type: ignore[misc, valid-type]  # a class by its instance's name
        def values(self, counts: Counts) -> dict[str, Counts]:
            found = super().values(counts)
            return {**found, "parameters": found["f1"]}

    monkeypatch.setattr(entities, "METRIC", Own)
    COSTS.write_text('{"ner": {"parameters": 7, "input_tokens": 9.5}}')
    score(answered, "single")
    scores = json.loads(Path("metrics/single.json").read_text())["ner"]
    assert scores["parameters"] == scores["f1"] != 7 and scores["input_tokens"] == 9.5


#: A file that the report reads, broken content for it, and the stage that writes it again.
BROKEN = [
    ("models/adapters/mixed/training.json", "[]", "train"),
    ("models/adapters/mixed/training.json", '{"loss": [], "steps": 2, "validation": []}', "train"),
    ("models/adapters/mixed/training.json", '{"loss": [[1, 2.0]], "steps": 1, "validation": [{"ner": 1.0}]}', "train"),
    ("models/adapters/mixed/training.json", '{"loss": [[1, NaN]], "steps": 1, "validation": []}', "train"),
    ("models/adapters/mixed/training.json", '{"loss": [[1]], "steps": 1, "validation": []}', "train"),
    ("models/adapters/mixed/training.json", '{"loss": [[1, 2.0]], "steps": 1, "validation": [{"step": 1, "a": "x"}]}', "train"),
    ("data/examples/ner/report.json", "[]", "format@ner"),
    ("data/examples/ner/report.json", '{"splits": {"train": {"rows": 1}, "test": {"rows": 1}}}', "format@ner"),
    ("data/examples/ner/report.json", '{"splits": {"train": 1, "validation": 1, "test": 1}}', "format@ner"),
    ("models/adapters/mixed/adapter_config.json", "[]", "train"),
    ("models/adapters/mixed/adapter_config.json", "{", "train"),
    ("models/adapters/mixed/adapter_config.json", '{"r": 2}', "train"),
    ("models/adapters/mixed/adapter_config.json", '{"lora_alpha": "2"}', "train"),
    *(
        ("models/adapters/mixed/adapter_config.json", f'{{"lora_alpha": {keys}}}', "train")
        for keys in ("0", "NaN", "Infinity", '2, "alpha_pattern": [2]', '2, "use_dora": 1', '2, "base_model_name_or_path": 3')
    ),
]


def test_broken_metadata_is_refused_and_the_former_report_stays(workplace: Path) -> None:
    report = write_report().read_bytes()
    for path, content, stage in BROKEN:
        file = Path(path)
        valid = file.read_bytes()
        file.write_text(content)
        with pytest.raises(UserError) as caught:
            compare(params(), "")
        file.write_bytes(valid)
        error = str(caught.value)
        assert error.startswith(f"{path} is missing or broken (") and error.endswith(f"); remove it and run dvc repro {stage}")
        assert Path("reports/index.html").read_bytes() == report and Path("plots/compare/losses.png").is_file()


NAMES = st.sampled_from(["ner", "parameters", "tokens", "trained_parameters", "base_model_name_or_path", "lora_alpha"])
MORE_NAMES = st.sampled_from(["f1", "f1_ci", "n", "groups", "invalid", "loss", "steps", "step", "validation", "input_tokens"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | MORE_NAMES | st.text(max_size=3), inner, max_size=6),
)


def read_metrics(folder: Path) -> Any:
    given = params()
    system = given.systems["single"].model_copy(update={"tasks": ("ner",)})
    return summarize(given.model_copy(update={"systems": {"single": system}}), folder)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("costs.json", lambda folder: read_costs(folder, "ner")),
        ("training.json", read_training_totals),
        ("recipe.json", read_training_totals),
        ("training.json", read_losses),
        ("adapter_config.json", base_model_folder),
        ("adapter_config.json", is_plain),
        ("single.json", read_metrics),
    ],
)
@given(value=VALUES)
def test_any_json_is_read_or_refused_in_one_sentence(name: str, read: Callable[[Path], Any], value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_text(json.dumps(value))
        try:
            read(Path(folder))
        except UserError as error:
            assert "\n" not in str(error) and "dvc repro" in str(error)

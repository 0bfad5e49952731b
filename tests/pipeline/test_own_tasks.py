"""Tasks of the user's own, of each kind, from a data file to the table of systems: by the files that docs/tasks.md shows."""

from __future__ import annotations

import csv
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ecomtune.core.config.definition import MAIN_METRICS
from tests.pipeline.test_docs import DOCS, blocks, merged
from tests.support.pico import make_causal, make_encoder
from tests.support.scratch_clone import make_clone, run

pytestmark = pytest.mark.pipeline
ROWS = 300
#: Each task of the page, with its data set and the family of its small trained model.
TASKS = {
    "department": ("departments", "encoder"),
    "attributes_of_titles": ("titles", "encoder"),
    "review_headline": ("reviews", "seq2seq"),
    "product_title": ("products", "seq2seq"),
}
FLOORS = {"attributes_of_titles": "majority"}


def write_data(folder: Path) -> dict[str, str]:
    """The four data files, in the forms that the page shows; returns the file of each data set."""
    draw = random.Random(7)
    goods = {"Kitchen": ["pan", "mug", "kettle"], "Outdoor": ["tent", "rope", "lantern"], "Office": ["stapler", "desk", "pen"]}
    things = [(department, draw.choice(names)) for _ in range(ROWS) for department, names in [draw.choice([*goods.items()])]]
    with (folder / "departments.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("title", "text", "department"))
        writer.writerows(
            (f"{thing} {n}", "for you" if n % 2 else "", department) for n, (department, thing) in enumerate(things)
        )
    words = [["Acme", thing, str(number), "oz"] for number, (_, thing) in enumerate(things)]
    titles = [{"words": each, "tags": ["B-BRAND", "O", "B-SIZE", "I-SIZE"]} for each in words]
    (folder / "titles.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in titles), encoding="utf-8")
    with (folder / "reviews.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("review", "headline"))
        writer.writerows((f"This {thing} is number {n}, and it works.", f"Good {thing}") for n, (_, thing) in enumerate(things))
    products = [
        {"brand": f"Acme {n}", "bullets": [thing, department], "title": f"Acme {thing}"}
        for n, (department, thing) in enumerate(things)
    ]
    (folder / "products.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in products), encoding="utf-8")
    return {"departments": "departments.csv", "titles": "titles.jsonl", "reviews": "reviews.csv", "products": "products.jsonl"}


def study(values: dict[str, Any]) -> None:
    """For each task a floor, a small trained model, the LLM as it is, and an adapter, all of a few thousand weights."""
    values["models"] = {
        "pico": {"kind": "causal", "source": "folder", "folder": ".scratch/pico/causal", "licence": "none"},
        "encoder": {"kind": "encoder", "source": "folder", "folder": ".scratch/pico/encoder", "licence": "none"},
    }
    values["train"]["adapters"] = {
        name: {"out": f"single/{name}", "reads": f"data/examples/{name}", "tasks": [name]} for name in TASKS
    }
    values["merge"]["recipes"] = {}
    values["baselines"] = {}
    for name, (_, family) in TASKS.items():
        small = {"family": family, "task": name, "out": f"{family}/{name}", "model": "encoder", "epochs": 1}
        values["baselines"][f"small_{name}"] = {**small, **({"max_new_tokens": 8} if family == "seq2seq" else {})}
        floor = {"family": "floor", "task": name, "out": f"floor/{name}"}
        values["baselines"][f"floor_{name}"] = {**floor, **({"method": FLOORS[name]} if name in FLOORS else {})}
    encoders = [name for name, (_, family) in TASKS.items() if family == "encoder"]
    values["systems"] = {
        "floor": {"kind": "baseline", "reads": "models/baselines/floor", "tasks": list(TASKS)},
        "encoder": {"kind": "baseline", "reads": "models/baselines/encoder", "tasks": encoders},
        "seq2seq": {"kind": "baseline", "reads": "models/baselines/seq2seq", "tasks": [n for n in TASKS if n not in encoders]},
        "zero_shot": {"kind": "prompt", "reads": "models/pretrained/pico", "tasks": list(TASKS)},
        "single": {"kind": "adapter", "reads": "models/adapters/single", "tasks": list(TASKS)},
    }


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the page's tasks have been run; no Python was written, and the study's own tasks are gone."""
    clone = make_clone(tmp_path_factory.mktemp("own") / "ecomtune", profile="pico")
    make_causal(clone / ".scratch/pico/causal")
    make_encoder(clone / ".scratch/pico/encoder")
    for file in (clone / "tasks").glob("*.yaml"):
        file.unlink()
    page = (DOCS / "tasks.md").read_text(encoding="utf-8")
    for name, text in re.findall(r"^In `(tasks/[^`]+)`:\n\n```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
        (clone / name).write_text(text, encoding="utf-8")
    values = yaml.safe_load((clone / "params.yaml").read_text())
    values.update(datasets={}, tasks={})
    merged(values, yaml.safe_load(blocks("tasks.md", "yaml")[-1]))
    study(values)
    for name, file in write_data(clone).items():
        entry = yaml.safe_load(run(clone, "ecomtune", "pin", file).stdout)
        values["datasets"][name]["files"] = next(iter(entry.values()))["files"]
    (clone / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    for command in (("ecomtune", "check"), ("dvc", "repro"), ("ecomtune", "table")):
        done = run(clone, *command)
        assert done.returncode == 0, done.stdout + done.stderr
    (clone / "table.txt").write_text(done.stdout)
    return clone


def test_every_system_of_every_kind_of_task_has_a_score_in_the_table(own: Path) -> None:
    params = yaml.safe_load((own / "params.yaml").read_text())
    shown = (own / "table.txt").read_text()
    for system, settings in params["systems"].items():
        scores = json.loads((own / f"metrics/{system}.json").read_text())
        assert sorted(scores) == sorted(settings["tasks"]) and system in shown
        for task, values in scores.items():
            main = MAIN_METRICS[yaml.safe_load((own / f"tasks/{task}.yaml").read_text())["kind"]][0]
            assert values["n"] == 20 and 0 <= values[main] <= 1


def test_no_row_of_the_files_is_lost(own: Path) -> None:
    for task in TASKS:
        report = json.loads((own / f"data/examples/{task}/report.json").read_text())
        assert sum(split["available"] for split in report["splits"].values()) == ROWS and report["rejected"] == {}


def test_a_prompt_names_the_labels_with_their_meanings(own: Path) -> None:
    prompts = [json.loads(line)["prompt"] for line in (own / "data/examples/department/train.jsonl").read_text().splitlines()]
    expected = "\nLabels:\n- Kitchen: for cooking and eating\n- Outdoor: for camping and sports\n- Office: for work at a desk\n"
    assert all(expected in prompt and prompt.endswith("\nLabel:") for prompt in prompts)
    assert {"Description: for you" in prompt for prompt in prompts} == {True, False}  # an optional input may be missing


def test_own_types_are_tags_of_words(own: Path) -> None:
    (row, *_) = (own / "data/examples/attributes_of_titles/train.jsonl").read_text().splitlines()
    example = json.loads(row)
    assert example["fields"]["title"][0] == "Acme" and example["reference"] == ["B-BRAND", "O", "B-SIZE", "I-SIZE"]
    assert example["target"].splitlines()[0] == "Acme brand" and example["target"].endswith("\noz +")


def test_other_wording_reruns_the_tasks_study_and_another_metric_its_scores_alone(own: Path) -> None:
    file = own / "tasks/department.yaml"
    before = file.read_text()
    file.write_text(before.replace("metric: macro_f1", "metric: accuracy"))
    assert run(own, "dvc", "repro").returncode == 0
    ran = run(own, "dvc", "status", "train@department", "baseline@small_department").stdout
    assert "up to date" in ran
    assert yaml.safe_load((own / "reports/summary.json").read_text())["main_metric"]["department"] == "accuracy"
    file.write_text(before.replace("Answer with one word", "Answer in one word"))
    done = run(own, "dvc", "repro", "format@department")
    assert done.returncode == 0, done.stderr
    status = json.loads(run(own, "dvc", "status", "--json").stdout)
    assert {"train@department", "baseline@small_department"} <= status.keys()
    assert not {"train@review_headline", "baseline@small_review_headline", "train@attributes_of_titles"} & status.keys()

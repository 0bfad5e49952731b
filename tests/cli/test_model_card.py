"""A published adapter's card says how it was made, and shows a prompt and an answer of each of its tasks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ecomtune.checks.parameters import load_params
from ecomtune.cli.model_card import model_card
from ecomtune.core.config import Merge
from ecomtune.core.records import Example, write_records
from tests.support.scratch_clone import REPOSITORY


def test_a_model_card_names_sparsify_and_its_options() -> None:
    demo = load_params(REPOSITORY / "profiles/demo.yaml")
    choices = {"method": "svd", "rank": 16, "sparsify": "dare", "density": 0.6, "seed": 4}
    recipe = demo.merge.recipes["ner_shards"].model_copy(update=choices)
    written = model_card(
        demo.model_copy(update={"merge": Merge(recipes={"ner_shards": recipe})}), "merged_shards", ["ner"], merged=False
    )
    assert "merged by method svd, sparsify dare, density 0.6, seed 4 from models/adapters/shards/ner (weights: " in written


@pytest.mark.parametrize(
    ("system", "tasks"), [("merged_shards", ["ner"]), ("mixed", ["ner", "relevance"]), ("merged_tasks", ["ner", "relevance"])]
)
def test_a_card_shows_a_prompt_and_an_answer_of_each_task_of_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, tasks: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for task in ("ner", "relevance"):
        prompt = f"Label.\n\n```\n# {task}\n````\n<b>Tags:"
        empty = {"reference": "-", "fields": {}, "group": "g", "source": "shop"}
        prompts = enumerate((prompt, "another"))
        rows = [Example(id=str(row), task=task, prompt=text, target="nike brand", **empty) for row, text in prompts]
        write_records(tmp_path / f"data/examples/{task}/train.jsonl", rows)
    written = model_card(load_params(REPOSITORY / "profiles/demo.yaml"), system, ["ner"], merged=False)
    shown = re.findall(r"^(`{3,})text\n(.*?)\n\1$", written, re.DOTALL | re.MULTILINE)
    expected = [text for task in tasks for text in (f"Label.\n\n```\n# {task}\n````\n<b>Tags:", "nike brand")]
    assert [text for _, text in shown] == expected and "another" not in written
    assert all(f"A prompt of {task}, from its training rows (followed by a line break):" in written for task in tasks)

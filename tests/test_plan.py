"""Plans count what is there and say what they don't know."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from ecomtune.params import Params, load
from ecomtune.plan import RowTokens, Step, steps, tokens_of, weights_in
from ecomtune.sections import Baseline, System
from tests.conftest import REPOSITORY


@pytest.fixture
def demo() -> Params:
    return load(REPOSITORY / "profiles" / "demo.yaml")


def step(found: list[Step], stage: str) -> Step:
    return next(each for each in found if each.stage == stage)


def test_tokens_are_at_most_what_may_be_trained_on_until_examples_are_there(demo: Params, tmp_path: Path) -> None:
    before = step(steps(demo, tmp_path, 1e11), "train@ner")
    assert (before.rows, before.tokens) == (200, 200 * 512)
    folder = tmp_path / "data/examples/ner"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps({"dataset": "demo_shop"}), encoding="utf-8")
    (folder / "train.jsonl").write_text(f"{json.dumps({'prompt': 'p' * 39, 'target': 't' * 40})}\n", encoding="utf-8")
    after = step(steps(demo, tmp_path, 1e11), "train@ner")
    assert (after.rows, after.tokens) == (200, 200 * 20 // 4)
    assert before.seconds is not None and after.seconds is not None and after.seconds < before.seconds


def test_a_shard_costs_its_share(demo: Params, tmp_path: Path) -> None:
    whole, part = (step(steps(demo, tmp_path, 1e11), stage) for stage in ("train@ner", "train@ner_1"))
    assert whole.rows is not None and part.rows == whole.rows // 2
    assert whole.tokens is not None and part.tokens == whole.tokens // 2


def test_weights_are_counted_in_their_file_where_it_is(demo: Params, tmp_path: Path) -> None:
    file = tmp_path / "models/pretrained/smollm2/model.safetensors"
    file.parent.mkdir(parents=True)
    save_file({"a": np.zeros((3, 5), np.float32), "b": np.zeros(7, np.float32)}, file, metadata={"format": "pt"})
    assert weights_in(file) == 22
    small, large = (step(steps(demo, root, 1e11), "train@ner").seconds for root in (tmp_path, tmp_path / "none"))
    assert small is not None and large is not None and small < large


def test_a_causal_baseline_reads_whole_prompts_and_keeps_them_in_memory(demo: Params, tmp_path: Path) -> None:
    folder = tmp_path / "data/examples/ner"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps({"dataset": "demo_shop"}), encoding="utf-8")
    rows = [json.dumps({"prompt": "same " * 40 + letter * 20, "target": "t" * 59}) for letter in "ab"]
    (folder / "train.jsonl").write_text("\n".join(rows), encoding="utf-8")
    values = {"family": "causal", "task": "ner", "out": "causal/ner", "model": "smollm2", "epochs": 3}
    encoder = demo.baselines["encoder_ner"].model_copy(update={"model": "smollm2", "epochs": 3})
    baselines = {"causal": Baseline.model_validate(values), "encoder": encoder}
    found = steps(demo.model_copy(update={"baselines": baselines, "systems": {}}), tmp_path, 1e11)
    causal, other = step(found, "baseline@causal"), step(found, "baseline@encoder")
    assert (causal.tokens, other.tokens) == (200 * 3 * (50 + 20), 200 * 3 * 20)
    assert causal.memory is not None and other.memory is not None and causal.memory > other.memory


def test_what_a_model_of_unknown_size_costs_is_unknown(demo: Params, tmp_path: Path) -> None:
    models = {name: model.model_copy(update={"parameters": None}) for name, model in demo.models.items()}
    found = steps(demo.model_copy(update={"models": models}), tmp_path, 1e11)
    assert step(found, "train@ner").seconds is None and step(found, "predict@encoder").memory is None
    assert step(found, "baseline@floor_relevance").seconds is not None


def test_four_bits_need_less_memory(demo: Params, tmp_path: Path) -> None:
    shared = demo.train.shared.model_copy(update={"quantization": "nf4"})
    quantized = demo.model_copy(update={"train": demo.train.model_copy(update={"shared": shared})})
    plain, small = (step(steps(each, tmp_path, 1e11), "train@ner").memory for each in (demo, quantized))
    assert plain is not None and small is not None and small < plain


def test_a_file_without_examples_has_no_tokens(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").touch()
    assert tokens_of(tmp_path / "train.jsonl", tmp_path, "smollm2") == RowTokens(0, 0)


def test_a_shared_beginning_is_counted_apart(tmp_path: Path) -> None:
    prompts = ["same " * 40 + letter * 20 for letter in "ab"]
    lines = [json.dumps({"prompt": prompt, "target": "t" * 59}) for prompt in prompts]
    (tmp_path / "train.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert tokens_of(tmp_path / "train.jsonl", tmp_path, "none") == RowTokens(50, 20)


def test_demonstrations_of_each_rows_own_are_read_for_each_row(demo: Params, tmp_path: Path) -> None:
    few = demo.systems["few_shot"]
    own = few.model_copy(update={"demonstrations": "bm25", "tasks": ("ner",)})
    shared = few.model_copy(update={"tasks": ("ner",)})
    found = steps(demo.model_copy(update={"systems": {"own": own, "shared": shared}}), tmp_path, 1e11)
    rows, longest = demo.tasks["ner"].test_size, demo.train.shared.max_length
    assert step(found, "predict@shared").tokens == (3 + rows) * longest
    assert step(found, "predict@own").tokens == 4 * rows * longest


def test_what_an_endpoint_reads_and_costs_is_told(demo: Params, tmp_path: Path) -> None:
    folder = tmp_path / "data/examples/ner"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps({"dataset": "demo_shop"}), encoding="utf-8")
    lines = [json.dumps({"prompt": letter * 39, "target": "t" * 40}) for letter in "pq"]
    (folder / "train.jsonl").write_text("\n".join(lines), encoding="utf-8")
    endpoint = {"model": "big", "input_price": 1000, "output_price": 10_000}
    given = {"kind": "endpoint", "reads": "data/examples", "tasks": ["ner"], "shots": 3, "endpoint": endpoint}
    large = System.model_validate(given)
    found = step(steps(demo.model_copy(update={"systems": {"large": large}}), tmp_path, 1e11), "predict@large")
    rows, answer = demo.tasks["ner"].test_size, demo.tasks["ner"].max_new_tokens
    read, written = rows * (20 + 3 * 20), rows * answer
    cost = (1000 * read + 10_000 * written) / 1e6
    assert found.downloads == f"big: {read:,} tokens in, ≤ {written:,} out, cost ≤ {cost:.2f}"
    assert found.rows == rows and found.tokens is None and found.memory is None

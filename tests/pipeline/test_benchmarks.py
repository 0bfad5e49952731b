"""Benchmarks: each comparison from end to end on a pico model, the counting formula, the table, and failing sides."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import harness, results
from benchmarks.counts import Shape, shared, training_flops, whole
from benchmarks.harness import BenchmarkError, Options, Turns
from benchmarks.results import COMPARISONS, Target
from ecomtune.core.files import dump_json
from ecomtune.models.tokenization import EncodedExample
from tests.support.scratch_clone import REPOSITORY

NEEDS_TRL = [name for name in COMPARISONS if name.startswith("train_")]
TURNS = 2
ENTRY_KEYS = {
    *("against", "bound_by_operations", "checks", "data", "memory_ratio", "ours", "ratio", "settings", "targets", "theirs"),
    *("turns", "unit", "warm_up_turns"),
}


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.run", *arguments]
    return subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, check=False, env={**os.environ, "ECOMTUNE_MIRROR": ""}
    )


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the results of all comparisons that can run here, measured once."""
    folder = tmp_path_factory.mktemp("bench")
    names = [name for name in COMPARISONS if name not in NEEDS_TRL or importlib.util.find_spec("trl")]
    only = [part for name in names for part in ("--only", name)]
    done = bench(
        "--quick", "--threads", "1", "--repeats", str(TURNS), "--out", str(folder), "--scratch", str(folder / "s"), *only
    )
    assert done.returncode == 0, done.stderr
    return folder


def entry(out: Path, name: str) -> dict[str, Any]:
    if name in NEEDS_TRL:
        pytest.importorskip("trl", reason="trl isn't installed: make bench brings it")
    found: dict[str, Any] = json.loads((out / "results.json").read_text(encoding="utf-8"))["comparisons"][name]
    return found


@pytest.mark.parametrize("name", COMPARISONS)
def test_every_comparison_writes_a_whole_entry(out: Path, name: str) -> None:
    found = entry(out, name)
    assert set(found) >= ENTRY_KEYS
    assert found["turns"] == TURNS
    assert found["ratio"]["min"] <= found["ratio"]["median"] <= found["ratio"]["max"]
    for side in ("ours", "theirs"):
        assert len(found[side]["seconds"]) == TURNS
        assert len(found[side]["warm_up_seconds"]) == found["warm_up_turns"] == 1
        assert found[side]["memory"]["peak_bytes"] >= found[side]["memory"]["at_start_bytes"] > 0
        assert found[side][f"{found['unit']}_per_second"]["median"] > 0
    for target in found["targets"].values():
        assert {"value", "aim", "reached"} < set(target)


@pytest.mark.parametrize("name", [name for name in COMPARISONS if name.startswith(("train_", "merge_", "format_"))])
def test_both_sides_compute_the_same(out: Path, name: str) -> None:
    assert entry(out, name)["checks"]["equal"] is True


@pytest.mark.parametrize("name", NEEDS_TRL)
def test_training_compares_losses_of_the_same_tokens(out: Path, name: str) -> None:
    found = entry(out, name)
    ours, theirs = found["ours"]["counts"], found["theirs"]["counts"]
    assert ours["rows"] == theirs["rows"] and ours["target_tokens"] == theirs["target_tokens"]
    assert ours["tokens"] < theirs["tokens"] - theirs["padding"]
    steps = (TURNS + 1) * (4 if "mixed" in name else 1)
    assert found["checks"]["loss_steps_compared"] == (1 if "dropout" in name else steps)
    assert found["matrix_product_peak_gflops"] > 0 and 0 < ours["share_of_peak"] < 1


@pytest.mark.parametrize("name", [name for name in COMPARISONS if name.startswith("answer_")])
def test_our_answers_are_never_malformed_and_quality_is_paired(out: Path, name: str) -> None:
    checks = entry(out, name)["checks"]
    assert checks["malformed"]["ours"] == 0 and checks["same_every_turn"] is True
    quality = checks["f1" if "ner" in name else "accuracy"]
    assert quality["difference"] == pytest.approx(quality["ours"] - quality["theirs"], abs=1e-3)
    assert quality["difference_95"][0] <= quality["difference"] <= quality["difference_95"][1]


def test_results_are_canonical_and_name_no_path(out: Path) -> None:
    text = (out / "results.json").read_text(encoding="utf-8")
    assert dump_json(json.loads(text)) == text
    table = (out / "RESULTS.md").read_text(encoding="utf-8")
    for written in (text, table):
        assert str(out) not in written and str(REPOSITORY) not in written
    machine = json.loads(text)["machine"]
    assert {"cpu", "cores", "threads", "blas", "versions"} <= set(machine)
    assert machine["cpu"] in table and machine["versions"]["torch"] in table


def test_an_unknown_comparison_or_missing_weights_stop_with_one_sentence(tmp_path: Path) -> None:
    done = bench("--only", "no_such")
    assert done.returncode == 1 and "no_such" in done.stderr and "train_ner_long" in done.stderr
    done = bench("--only", "merge_svd", "--base", str(tmp_path))
    assert done.returncode == 1 and "model.safetensors" in done.stderr and "Traceback" not in done.stderr


def examples(count: int) -> list[EncodedExample]:
    """Rows that share 30 tokens, each longer than the one before; target tokens are 100 and more."""
    return [
        EncodedExample(str(row), "t", (*range(10, 40), *range(50 + row, 55 + 2 * row)), tuple(range(100, 103 + row)))
        for row in range(count)
    ]


def flop_counter() -> FlopCounterMode:
    """torch's own count, with the in-place products and oneDNN's, which it leaves out."""

    def in_place(_into: Any, left: Any, right: Any, **_: Any) -> int:
        return int(2 * left[0] * left[1] * right[1])

    def onednn(x: Any, weight: Any, *_: Any, **__: Any) -> int:
        return int(2 * x[0] * x[1] * weight[0])

    counted = {torch.ops.aten.addmm_: in_place, torch.ops.mkldnn._linear_pointwise: onednn}
    return FlopCounterMode(display=False, custom_mapping=counted)


def linear_products(counter: FlopCounterMode) -> int:
    """FLOPs of the products of linear layers and head, attention apart."""
    counts = counter.get_flop_counts()["Global"]
    products = ("aten.mm", "aten.addmm", "aten.addmm_", "mkldnn._linear_pointwise")
    return sum(found for operation, found in counts.items() if str(operation) in products)


def test_our_operation_count_is_what_torch_counts(pico_causal: Path) -> None:
    from benchmarks.training import settings
    from ecomtune.lora.batches import SharedPrefixCollator
    from ecomtune.lora.model import lora_model

    batch = examples(4)
    model = lora_model(pico_causal, settings(Options(pico_causal, pico_causal), dropout=0.0))
    collator = SharedPrefixCollator(0)
    assert collator.prefix_length(batch) == 30
    with flop_counter() as counter:
        model(**collator(batch)).loss.backward()
    work = dataclasses.replace(shared(batch, 30), pairs=0)
    assert linear_products(counter) == training_flops(Shape.read(pico_causal, 8), work)


def test_their_operation_count_is_what_torch_counts(pico_causal: Path) -> None:
    utils = pytest.importorskip("trl.trainer.utils", reason="trl isn't installed: make bench brings it")
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    batch = examples(4)
    config = LoraConfig(task_type="CAUSAL_LM", r=8, target_modules="all-linear")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(pico_causal, dtype=torch.float32), config)
    utils.add_fused_lm_head(model.get_base_model(), outputs=("log_probs", "entropy", "is_top1"))
    width = max(map(len, batch))
    tokens = torch.tensor([[*row.prompt_ids, *row.target_ids, *[0] * (width - len(row))] for row in batch])
    labels = torch.where(tokens >= 100, tokens, -100)
    with flop_counter() as counter:
        model(input_ids=tokens, labels=labels, fused_lm_head=True).loss.backward()
    work = whole(batch, scores_all=True)
    assert work.head_products == 3
    work = dataclasses.replace(work, pairs=0)
    assert linear_products(counter) == training_flops(Shape.read(pico_causal, 8), work)


def test_targets_say_what_was_reached() -> None:
    assert Target(4.0, 5.0).judge(4.2) == {"value": 4.2, "at_least": 4.0, "aim": 5.0, "reached": True}
    assert Target(0.6, at_most=True).judge(0.7) == {"value": 0.7, "at_most": 0.6, "aim": None, "reached": False}


def test_results_of_another_machine_are_dropped(out: Path, tmp_path: Path) -> None:
    found = entry(out, "merge_svd")
    machine = json.loads((out / "results.json").read_text(encoding="utf-8"))["machine"]
    for name, described in (("merge_svd", machine), ("merge_svd_4096", machine), ("merge_svd", {**machine, "cores": 99})):
        results.add(tmp_path, "cpu", described, name, found)
        kept = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["comparisons"]
        assert name in kept
    assert list(kept) == ["merge_svd"]
    results.add(tmp_path, "cuda", machine, "merge_svd", found)
    assert (tmp_path / "results-cuda.json").is_file() and (tmp_path / "RESULTS-cuda.md").is_file()


def counting(turns: Turns) -> None:
    turns.ready({"name": "counting"})
    number = 0
    while turns.begin():
        number += 1
        turns.end(lambda number=number: number)


def failing(turns: Turns) -> None:
    turns.ready({})
    turns.begin()
    raise ValueError("no such luck")


def dying(turns: Turns) -> None:
    turns.ready({})
    turns.begin()
    os._exit(9)


def test_sides_take_turns_and_a_failing_or_dying_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "PRELOADED", ("ecomtune.models.process",))
    options = Options(tmp_path, tmp_path, warm_up=1, repeats=2, quick=True)
    found = harness.measure("test", {"ours": counting, "theirs": counting}, options)
    assert found["ours"].outputs == found["theirs"].outputs == [1, 2, 3]
    assert len(found["ours"].seconds) == 2 and found["ours"].facts == {"name": "counting"}
    with pytest.raises(BenchmarkError, match=r"(?s)test: theirs.*no such luck"):
        harness.measure("test", {"ours": counting, "theirs": failing}, options)
    with pytest.raises(BenchmarkError, match=r"test: theirs ended with exit code 9"):
        harness.measure("test", {"ours": counting, "theirs": dying}, options)

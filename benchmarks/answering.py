"""Answering side by side: the project's decoders and transformers' generate, with the same weights and prompts.

Both sides get an adapter that was trained for the task and added into the weights. generate has the prompts sorted by
length, in batches of 32, padded on the left, and as many new tokens as the longest gold answer with its end has; a batch ends
when all its rows have. A turn answers all test rows, from encoding prompts to the answers' texts.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.counts import Shape, answering_flops
from benchmarks.harness import Measured, Options, Turns, measure, run_once
from benchmarks.results import SIDES, Comparison, Entry, Target
from benchmarks.tasks import load_task
from ecomtune.core.config import Training
from ecomtune.core.files import dump_json, output_folder, sha256_file
from ecomtune.core.records import Example
from ecomtune.metrics.registry import load_metric
from ecomtune.tasks.row_text import texts_of

SEED = 7
RESAMPLES = 1000


@dataclass(frozen=True)
class Job:
    """What both sides answer; ``adapter`` is trained on ``train`` unless it exists."""

    options: Options
    task: str
    train: list[Example]
    test: list[Example]
    settings: Training
    adapter: Path
    batch_size: int = 32

    @property
    def prompts(self) -> list[str]:
        """The test rows' prompts."""
        return [example.prompt for example in self.test]


def job(options: Options, task: str, train: list[Example], test: list[Example]) -> Job:
    """A job whose adapter is kept in scratch under the hash of everything that determines it."""
    settings = Training(
        model="smollm2",
        rank=8,
        alpha=16,
        dropout=0.0,
        learning_rate=1e-3,
        epochs=1,
        batch_size=8,
        token_budget=16384,
        max_length=2048,
        threads=options.threads,
    )
    base = sha256_file(options.base / "model.safetensors")
    parts = [base, SEED, settings.model_dump(), [[example.prompt, example.target] for example in train]]
    key = hashlib.sha256(dump_json(parts).encode()).hexdigest()[:16]
    return Job(options, task, train, test, settings, options.scratch / "adapters" / key)


def train(turns: Turns, job: Job) -> None:
    """Train the job's adapter with the project's own trainer; not measured."""
    from ecomtune.lora.adapter_training import AdapterJob, save_trained, train_adapter
    from ecomtune.training.checkpoints import Checkpoints

    with tempfile.TemporaryDirectory(dir=job.options.scratch) as scratch:
        training = AdapterJob(job.train, [], job.options.base, job.settings, SEED)
        trained = train_adapter(training, Checkpoints(Path(scratch)))
        with output_folder(job.adapter) as folder:
            save_trained(trained, folder)
    turns.ready({})


def ours(turns: Turns, job: Job) -> None:
    """answer_tags or answer_labels."""
    from transformers import AutoTokenizer

    from ecomtune.inference.decoding.strategies import Decoder, answer_labels, answer_tags
    from ecomtune.models.tokenization import encode_prompt

    tokenizer = AutoTokenizer.from_pretrained(job.options.base)
    model = _model(job)
    decoder = Decoder(model, tokenizer, job.batch_size)
    task = load_task(job.task)
    read = _Read(model)
    turns.ready({})
    while turns.begin():
        prompts = [encode_prompt(tokenizer, prompt) for prompt in job.prompts]
        if task.decoder == "tags":
            queries = [texts_of(example.fields, "words") for example in job.test]
            tags = answer_tags(decoder, prompts, queries, task.answer_choices)
            answers = ["\n".join(map(" ".join, zip(*pair, strict=True))) for pair in zip(queries, tags, strict=True)]
        else:
            answers = answer_labels(decoder, prompts, task.labels)
        turns.end(partial(read.with_answers, answers))


def theirs(turns: Turns, job: Job) -> None:
    """transformers generate, greedy."""
    import torch
    from transformers import AutoTokenizer

    from ecomtune.models.tokenization import encode_prompt, encode_text

    tokenizer = AutoTokenizer.from_pretrained(job.options.base)
    model = _model(job)
    model.set_attn_implementation("sdpa")
    longest = max(len(encode_text(tokenizer, example.target)) + 1 for example in job.test)
    read = _Read(model)
    turns.ready({"max_new_tokens": longest})
    while turns.begin():
        encoded = [encode_prompt(tokenizer, prompt) for prompt in job.prompts]
        order = sorted(range(len(encoded)), key=lambda row: -len(encoded[row]))
        answers = [""] * len(encoded)
        for start in range(0, len(order), job.batch_size):
            rows = order[start : start + job.batch_size]
            width = max(len(encoded[row]) for row in rows)
            padded = [[tokenizer.pad_token_id or 0] * (width - len(encoded[row])) + list(encoded[row]) for row in rows]
            seen = [[0] * (width - len(encoded[row])) + [1] * len(encoded[row]) for row in rows]
            with torch.inference_mode():
                output = model.generate(
                    input_ids=torch.tensor(padded, device=model.device),
                    attention_mask=torch.tensor(seen, device=model.device),
                    max_new_tokens=longest,
                    do_sample=False,
                    eos_token_id=tokenizer.eos_token_id,
                    pad_token_id=tokenizer.pad_token_id or 0,
                )
            texts = tokenizer.batch_decode(output[:, width:], skip_special_tokens=True)
            for row, text in zip(rows, texts, strict=True):
                answers[row] = text.strip()
        turns.end(partial(read.with_answers, answers))


def _model(job: Job) -> Any:
    import torch

    from ecomtune.inference.decoding.local_model import load_causal

    model = load_causal(job.options.base, job.adapter)
    return model.to("cuda", torch.bfloat16) if job.options.device == "cuda" else model


class _Read:
    """Counts what a model reads: tokens, padding included, and positions that get logits over the whole vocabulary."""

    def __init__(self, model: Any) -> None:
        self.tokens = self.scored = 0
        model.base_model.register_forward_pre_hook(self._reads, with_kwargs=True)
        model.get_output_embeddings().register_forward_pre_hook(self._scores)

    def _reads(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.tokens += kwargs["input_ids"].numel()

    def _scores(self, _: Any, args: tuple[Any, ...]) -> None:
        self.scored += args[0].numel() // args[0].shape[-1]

    def with_answers(self, answers: list[str]) -> dict[str, Any]:
        """The answers and the counts since the last call."""
        found = {"answers": answers, "tokens": self.tokens, "scored": self.scored}
        self.tokens = self.scored = 0
        return found


def compare(title: str, source: str, job: Job, targets: dict[str, Target]) -> Entry:
    """Measure answering and judge both sides' answers."""
    options = job.options
    if not (job.adapter / "adapter_model.safetensors").is_file():
        run_once(f"{title}: adapter", partial(train, job=job), options)
    found = measure(title, {"ours": partial(ours, job=job), "theirs": partial(theirs, job=job)}, options)
    shape = Shape.read(options.base, job.settings.rank)
    counted = {side: _counts(found[side], shape, len(job.test)) for side in SIDES}
    return Comparison(
        against=f"transformers generate, batch {job.batch_size}, sorted by length",
        data=f"{source}, {len(job.test)} rows",
        unit="examples",
        settings={
            "adapter": {**job.settings.model_dump(exclude={"model"}), "train_rows": len(job.train)},
            "batch_size": job.batch_size,
            "max_new_tokens": found["theirs"].facts["max_new_tokens"],
        },
        per_turn=len(job.test),
        counts=counted,
        bound=counted["theirs"]["flops"] / counted["ours"]["flops"],
        targets=targets,
        checks=_check_answers(job, found),
    ).entry(found)


def _counts(found: Measured, shape: Shape, rows: int) -> dict[str, float]:
    last = found.outputs[-1]
    return {
        "rows": rows,
        "tokens": last["tokens"],
        "tokens_per_row": last["tokens"] / rows,
        "scored_positions": last["scored"],
        "flops": answering_flops(shape, last["tokens"], last["scored"]),
    }


def _check_answers(job: Job, found: dict[str, Measured]) -> dict[str, Any]:
    """Both sides' quality on the same rows: malformed answers, the metric, and its difference over resampled groups."""
    import numpy as np

    from ecomtune.metrics.bootstrap import group_sums, resample

    task = load_task(job.task)
    metric = load_metric(task.metric)
    name = "f1" if task.decoder == "tags" else "accuracy"
    answers = {side: found[side].outputs[-1]["answers"] for side in SIDES}
    parsed = {side: _parse(job, answers[side]) for side in SIDES}
    references = [example.reference for example in job.test]
    both = metric.count([*parsed["ours"], *parsed["theirs"]], [*references, *references])
    groups = [example.group for example in job.test]
    sums = {
        side: group_sums(part, groups) for side, part in zip(SIDES, (both[: len(groups)], both[len(groups) :]), strict=True)
    }
    drawn = {side: metric.values(resample(own, RESAMPLES, SEED))[name] for side, own in sums.items()}
    total = {side: float(metric.values(own.sum(axis=0))[name]) for side, own in sums.items()}
    return {
        "rows": len(job.test),
        "malformed": {side: sum(answer is None for answer in parsed[side]) for side in SIDES},
        name: {
            **total,
            "difference": total["ours"] - total["theirs"],
            "difference_95": [float(bound) for bound in np.quantile(drawn["ours"] - drawn["theirs"], [0.025, 0.975])],
        },
        "same_answer": sum(left == right for left, right in zip(parsed["ours"], parsed["theirs"], strict=True)),
        "same_every_turn": all(turn["answers"] == answers[side] for side in SIDES for turn in found[side].outputs),
    }


def _parse(job: Job, answers: Sequence[str]) -> list[Any]:
    task = load_task(job.task)
    return [task.parse(answer, example.fields) for answer, example in zip(answers, job.test, strict=True)]

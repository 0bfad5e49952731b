"""What every stage of a parameter file would download and cost.

A token costs 2 operations per weight in the forward pass and 2 for the gradient of its input (Kaplan et al. 2020, section 2.1),
plus 2 for the gradient of weights that are trained. The tokens of validation rows, which need a forward pass only, add to a
stage's time but not to its number of tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ecomtune.core.config import Baseline, Endpoint, Model, System
from ecomtune.core.config.params import Params, baseline_of
from ecomtune.core.paths import PRETRAINED
from ecomtune.inference.answer_costs import count_weights
from ecomtune.lora.mixing import row_counts
from ecomtune.plan import memory
from ecomtune.plan.tokens import MARKS, Basis, RowTokens, least_reliable, row_tokens

#: The share of the machine's matrix-product peak that training and answering reach in a run: less than alone, for which
#: benchmarks/RESULTS.md has the figures (up to 67% for training).
SHARE_OF_PEAK = 0.4
#: Seconds until a process that imports torch and transformers begins its work, and until any other process does.
HEAVY_START, LIGHT_START = 8.0, 1.0
#: How much larger a seq2seq model is than the encoder it starts from: it adds a decoder of the same size with cross-attention,
#: so that 22.7 million weights become 49.0 million.
WARM_START_RATIO = 2.16


@dataclass(frozen=True)
class Step:
    """One stage: what it downloads or requests, its rows and tokens, its peak memory in bytes, its seconds; None if unknown.

    ``memory`` is also None if no model is loaded. ``basis`` says where the number of tokens comes from.
    """

    stage: str
    downloads: str = ""
    rows: int | None = None
    tokens: int | None = None
    memory: float | None = None
    seconds: float | None = None
    basis: Basis = "counted"


def plan_steps(params: Params, root: Path, operations: float) -> list[Step]:
    """Every stage, in DVC's order, on a machine whose peak is ``operations`` multiplications and additions per second."""
    return list(_steps(_Study(params, root, operations * SHARE_OF_PEAK)))


@dataclass(frozen=True)
class _Study:
    params: Params
    root: Path
    speed: float

    def weights(self, model: str) -> int | None:
        """The number of a model's weights: counted in its files if they are here, otherwise as given in params.yaml."""
        return count_weights(self.root / PRETRAINED / model) or self.params.models[model].parameters

    def baseline_weights(self, baseline: Baseline) -> float | None:
        """The number of weights of a baseline, which may add a decoder to the encoder it starts from."""
        if baseline.model is None or (weights := self.weights(baseline.model)) is None:
            return None
        encoder = self.params.models[baseline.model].kind == "encoder"
        return weights * WARM_START_RATIO if encoder and baseline.family == "seq2seq" else weights

    def row(self, task: str) -> RowTokens:
        """Tokens of a row's prompt and target."""
        return row_tokens(self.params, task, self.root)

    def seconds(self, operations: float | None, start: float = HEAVY_START) -> float | None:
        """Start-up and computing; None if the number of operations is unknown."""
        return None if operations is None else start + operations / self.speed


def _steps(study: _Study) -> Iterator[Step]:
    params = study.params
    for name, dataset in params.datasets.items():
        size = sum(file.bytes for file in dataset.files if "://" in file.url)
        yield Step(f"download@{name}", f"{size / 1e6:.1f} MB" if size else "", seconds=LIGHT_START)
    for name, model in params.models.items():
        weights = study.weights(name)
        peak = None if weights is None else memory.loading(weights)
        yield Step(f"pretrained@{name}", _source(model), memory=peak, seconds=study.seconds(None if weights is None else 0))
    for name, task in params.tasks.items():
        yield Step(f"format@{name}", rows=task.train_size + task.validation_size + task.test_size, seconds=LIGHT_START)
    yield from _trainings(study)
    for name in params.merge.recipes:
        yield Step(f"merge@{name}", seconds=LIGHT_START)
    yield from _baselines(study)
    yield from _predictions(study)
    for name in params.systems:
        yield Step(f"score@{name}", seconds=LIGHT_START)
    yield Step("compare", seconds=LIGHT_START)


def _source(model: Model) -> str:
    return f"{model.source} {model.name or model.folder}" + (f" {model.version[:12]}" if model.version else "")


def _trainings(study: _Study) -> Iterator[Step]:
    params = study.params
    weights = study.weights(params.train.shared.model)
    for name, adapter in params.train.adapters.items():
        settings = params.train.settings_of(name)
        rows = {task: min(params.tasks[task].train_size, adapter.limit.get(task, 10**12)) for task in adapter.tasks}
        rows = row_counts(rows, adapter.mix) if adapter.mix else rows
        shards = adapter.shard[1] if adapter.shard else 1
        seen = sum(rows.values()) // shards * settings.epochs
        row = {task: study.row(task) for task in adapter.tasks}
        # a batch computes the instruction that its rows share once
        per_row = {task: each.own + each.prefix / settings.batch_size for task, each in row.items()}
        tokens = int(sum(number * per_row[task] for task, number in rows.items()) / shards * settings.epochs)
        validation = settings.epochs * sum(params.tasks[task].validation_size * per_row[task] for task in adapter.tasks)
        batch = min(settings.token_budget, max(each.prefix + settings.batch_size * each.own for each in row.values()))
        quantized = settings.quantization == "nf4"
        yield Step(
            f"train@{name}",
            rows=seen,
            tokens=tokens,
            memory=None if weights is None else memory.adapter_training(weights, batch, quantized),
            seconds=study.seconds(None if weights is None else weights * (4.0 * tokens + 2.0 * validation)),
            basis=least_reliable(each.basis for each in row.values()),
        )


def _baselines(study: _Study) -> Iterator[Step]:
    for name, baseline in study.params.baselines.items():
        task = study.params.tasks[baseline.task]
        if baseline.model is None:
            yield Step(f"baseline@{name}", rows=task.train_size, seconds=LIGHT_START)
            continue
        weights, row = study.weights(baseline.model), study.row(baseline.task)
        # a causal model reads the complete prompt of each row, the others its inputs only
        causal = baseline.family == "causal"
        per_row = min(row.own + row.prefix if causal else row.own, baseline.max_length)
        epochs = baseline.epochs_of(task.train_size)
        tokens = per_row * task.train_size * epochs * (2 if baseline.adversarial else 1)
        validation = per_row * (epochs if baseline.patience else baseline.epochs) * task.validation_size
        trained = study.baseline_weights(baseline)
        yield Step(
            f"baseline@{name}",
            rows=task.train_size * epochs,
            tokens=tokens,
            memory=None if trained is None else memory.full_training(trained, baseline.batch_size * per_row, causal),
            seconds=study.seconds(None if weights is None else weights * (6.0 * tokens + 2.0 * validation)),
            basis=row.basis,
        )


def _predictions(study: _Study) -> Iterator[Step]:
    params = study.params
    for name, system in params.systems.items():
        rows = sum(params.tasks[task].test_size for task in system.tasks)
        if system.endpoint is not None:
            yield _request(study, name, system, system.endpoint)
            continue
        models = _weights_of_models(study, system)
        if not models:
            yield Step(f"predict@{name}", rows=rows, seconds=LIGHT_START)
            continue
        largest = None if None in models else max(weights for weights in models if weights is not None)
        tokens = sum(_tokens_answered(study, system, task) for task in system.tasks)
        yield Step(
            f"predict@{name}",
            rows=rows,
            tokens=tokens,
            memory=None if largest is None else memory.loading(largest),
            seconds=study.seconds(None if largest is None else 2.0 * largest * tokens),
            basis=least_reliable(study.row(task).basis for task in system.tasks),
        )


def _weights_of_models(study: _Study, system: System) -> list[float | None]:
    """The number of weights of each model that a system runs here; None if it is unknown."""
    params = study.params
    if system.kind == "recorded":
        return []
    if system.kind != "baseline":
        return [study.weights(params.train.shared.model if system.kind == "adapter" else Path(system.reads).name)]
    baselines = [baseline_of(system, task, params) for task in system.tasks]
    return [study.baseline_weights(baseline) for baseline in baselines if baseline.model is not None]


def _tokens_answered(study: _Study, system: System, task: str) -> int:
    """Tokens that are computed for all test rows of a task; what all prompts share is computed once."""
    row, rows = study.row(task), study.params.tasks[task].test_size
    if system.demonstrations == "fixed":
        return row.prefix + system.shots * row.own + row.own * rows
    return row.prefix + (1 + system.shots) * row.own * rows


def _request(study: _Study, name: str, system: System, endpoint: Endpoint) -> Step:
    """What an endpoint reads, with the complete prompt in every row, and the most that it may answer."""
    sizes = {task: study.params.tasks[task].test_size for task in system.tasks}
    row = {task: study.row(task) for task in system.tasks}
    read = sum(size * (row[task].prefix + (1 + system.shots) * row[task].own) for task, size in sizes.items())
    written = sum(size * study.params.tasks[task].max_new_tokens for task, size in sizes.items())
    mark = MARKS[least_reliable(each.basis for each in row.values())]
    text = f"{endpoint.model}: {mark}{read:,} tokens in, ≤ {written:,} out"
    bound = mark or "≤ "  # an estimate, where the tokens are estimated
    if endpoint.input_price is not None and endpoint.output_price is not None:
        text += f", cost {bound}{(read * endpoint.input_price + written * endpoint.output_price) / 1e6:.2f}"
    return Step(f"predict@{name}", text, rows=sum(sizes.values()), seconds=LIGHT_START)

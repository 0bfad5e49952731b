"""Every stage of a parameter file with what it would bring and cost.

A token costs 2 operations a weight forward and as many for the gradient of its input (Kaplan et al. 2020, section 2.1), weights
that are trained 2 more. The tokens of validation rows, which are read forward alone, count for the time and not as a stage's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ecomtune.core.config import Baseline, Endpoint, Model, System
from ecomtune.core.config.params import Params, model_folder
from ecomtune.core.paths import BASELINES, PRETRAINED
from ecomtune.inference.answer_costs import count_weights
from ecomtune.lora.mixing import row_counts
from ecomtune.plan import memory
from ecomtune.plan.tokens import MARKS, Basis, RowTokens, row_tokens, weakest

#: Share of the machine's matrix-product peak that training and answering reach (benchmarks/RESULTS.md: 41% to 48%).
SHARE_OF_PEAK = 0.4
#: What a process that imports torch and transformers costs before its work, and any other.
HEAVY_START, LIGHT_START = 8.0, 1.0
#: A seq2seq model made of an encoder has a decoder of its size, with attention to the encoder: 49.0 of 22.7 million weights.
WARM_STARTED = 2.16


@dataclass(frozen=True)
class Step:
    """One stage: what it brings, how many tokens it computes, its peak memory in bytes, its seconds; None where unknown.

    ``memory`` is None too where no model is loaded. ``basis`` says how the tokens are known.
    """

    stage: str
    downloads: str = ""
    rows: int | None = None
    tokens: int | None = None
    memory: float | None = None
    seconds: float | None = None
    basis: Basis = "counted"


def steps(params: Params, root: Path, operations: float) -> list[Step]:
    """Every stage in dvc's order on a machine that does ``operations`` multiplications and additions a second at its peak."""
    return list(_steps(_Study(params, root, operations * SHARE_OF_PEAK)))


@dataclass(frozen=True)
class _Study:
    params: Params
    root: Path
    speed: float

    def weights(self, model: str) -> int | None:
        """The number of a model's weights: of its files where they are there, else as params say."""
        return count_weights(self.root / PRETRAINED / model) or self.params.models[model].parameters

    def trained(self, baseline: Baseline) -> float | None:
        """The number of weights of a baseline's model, which may have a decoder more than the one it starts from."""
        if baseline.model is None or (weights := self.weights(baseline.model)) is None:
            return None
        encoder = self.params.models[baseline.model].kind == "encoder"
        return weights * WARM_STARTED if encoder and baseline.family == "seq2seq" else weights

    def row(self, task: str) -> RowTokens:
        """Tokens of a row's prompt and target."""
        return row_tokens(self.params, task, self.root)

    def seconds(self, operations: float | None, start: float = HEAVY_START) -> float | None:
        return None if operations is None else start + operations / self.speed


def _steps(study: _Study) -> Iterator[Step]:
    params = study.params
    for name, dataset in params.datasets.items():
        size = sum(file.bytes for file in dataset.files if "://" in file.url)
        yield Step(f"download@{name}", f"{size / 1e6:.1f} MB" if size else "", seconds=LIGHT_START)
    for name, model in params.models.items():
        weights = study.weights(name)
        held = None if weights is None else memory.loaded(weights)
        yield Step(f"pretrained@{name}", _source(model), memory=held, seconds=study.seconds(None if weights is None else 0))
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
        shares = adapter.shard[1] if adapter.shard else 1
        rows = row_counts(rows, adapter.mix) if adapter.mix else rows
        learnt = sum(rows.values()) // shares * settings.epochs
        of_rows = {task: study.row(task) for task in adapter.tasks}
        # a batch runs the instruction that its rows share once
        each = {task: row.own + row.prefix / settings.batch_size for task, row in of_rows.items()}
        tokens = int(sum(number * each[task] for task, number in rows.items()) / shares * settings.epochs)
        batch = min(settings.token_budget, max(row.prefix + settings.batch_size * row.own for row in of_rows.values()))
        held = None if weights is None else memory.with_adapter(weights, batch, settings.quantization == "nf4")
        looked = settings.epochs * sum(params.tasks[task].validation_size * each[task] for task in adapter.tasks)
        seconds = study.seconds(None if weights is None else weights * (4.0 * tokens + 2.0 * looked))
        basis = weakest(row.basis for row in of_rows.values())
        yield Step(f"train@{name}", rows=learnt, tokens=tokens, memory=held, seconds=seconds, basis=basis)


def _baselines(study: _Study) -> Iterator[Step]:
    for name, baseline in study.params.baselines.items():
        rows = study.params.tasks[baseline.task].train_size
        if baseline.model is None:
            yield Step(f"baseline@{name}", rows=rows, seconds=LIGHT_START)
            continue
        weights, trained, row = study.weights(baseline.model), study.trained(baseline), study.row(baseline.task)
        # a causal model reads the whole prompt of each row, the others its fields alone
        prompted = baseline.family == "causal"
        each = min(row.own + row.prefix if prompted else row.own, baseline.max_length)
        learnt = rows * baseline.epochs_of(rows)
        tokens = each * learnt * (2 if baseline.adversarial else 1)
        held = None if trained is None else memory.fully_trained(trained, baseline.batch_size * each, prompted)
        looks = baseline.epochs_of(rows) if baseline.patience else baseline.epochs
        looked = each * looks * study.params.tasks[baseline.task].validation_size
        seconds = study.seconds(None if weights is None else weights * (6.0 * tokens + 2.0 * looked))
        yield Step(f"baseline@{name}", rows=learnt, tokens=tokens, memory=held, seconds=seconds, basis=row.basis)


def _predictions(study: _Study) -> Iterator[Step]:
    params = study.params
    outs = {str(BASELINES / baseline.out): baseline for baseline in params.baselines.values()}
    for name, system in params.systems.items():
        if system.endpoint is not None:
            yield _asked(study, name, system, system.endpoint)
            continue
        rows = sum(params.tasks[task].test_size for task in system.tasks)
        # instruction and demonstrations that all rows share are read once for all
        once, each = (0, system.shots) if system.demonstrations != "fixed" else (system.shots, 0)
        read_once = sum(study.row(task).prefix + once * study.row(task).own for task in system.tasks)
        tokens = read_once + sum((1 + each) * study.row(task).own * params.tasks[task].test_size for task in system.tasks)
        found: list[float | None] = []
        if system.kind == "baseline":
            own = [outs[model_folder(system, task, params)] for task in system.tasks]
            found = [study.trained(baseline) for baseline in own if baseline.model is not None]
        elif system.kind != "recorded":
            found = [study.weights(params.train.shared.model if system.kind == "adapter" else Path(system.reads).name)]
        if not found:
            yield Step(f"predict@{name}", rows=rows, seconds=LIGHT_START)
            continue
        largest = None if None in found else max(weights for weights in found if weights is not None)
        held = None if largest is None else memory.loaded(largest)
        seconds = study.seconds(None if largest is None else 2.0 * largest * tokens)
        basis = weakest(study.row(task).basis for task in system.tasks)
        yield Step(f"predict@{name}", rows=rows, tokens=tokens, memory=held, seconds=seconds, basis=basis)


def _asked(study: _Study, name: str, system: System, endpoint: Endpoint) -> Step:
    """What an endpoint reads for all rows, each with its whole prompt, and the most that it may answer."""
    sizes = {task: study.params.tasks[task].test_size for task in system.tasks}
    of_rows = {task: study.row(task) for task in system.tasks}
    read = sum(size * (of_rows[task].prefix + (1 + system.shots) * of_rows[task].own) for task, size in sizes.items())
    answered = sum(size * study.params.tasks[task].max_new_tokens for task, size in sizes.items())
    mark = MARKS[weakest(row.basis for row in of_rows.values())]
    text = f"{endpoint.model}: {mark}{read:,} tokens in, ≤ {answered:,} out"
    if endpoint.input_price is not None and endpoint.output_price is not None:
        text += f", cost ≤ {(read * endpoint.input_price + answered * endpoint.output_price) / 1e6:.2f}"
    return Step(f"predict@{name}", text, rows=sum(sizes.values()), seconds=LIGHT_START)

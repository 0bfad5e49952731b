"""Rules between the keys of one item of params.yaml. Each yields what is wrong and what to change."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from math import comb

from ecomtune.core.config import Baseline, Dataset, Endpoint, Mix, Model, Recipe, System, Training
from ecomtune.core.config.params import Params
from ecomtune.core.merge_rules import is_weighted_sum, method_problem
from ecomtune.core.paths import ADAPTERS, BASELINES, DATA, EXAMPLES, PRETRAINED

#: The most merges that a search for weights may try. Each takes a forward pass over the validation rows.
MAX_COMBINATIONS = 1000
#: Keys that have no effect on baselines of a family.
WITHOUT_EFFECT = {
    "floor": ("learning_rate", "epochs", "min_steps", "batch_size", "max_length", "max_new_tokens"),
    "encoder": ("max_new_tokens",),
}
#: The keys that a model's source requires, and those that have no meaning for it.
NEEDED_BY_SOURCE = {"package": ("name", "version", "sha256"), "hub": ("name", "version"), "folder": ("folder",)}
FOREIGN_TO_SOURCE: dict[str, tuple[str, ...]] = {"package": (), "hub": ("folder",), "folder": ("name", "version")}
#: The folder inside which a system of each kind reads.
HOMES = {"prompt": PRETRAINED, "adapter": ADAPTERS, "baseline": BASELINES, "endpoint": DATA, "recorded": EXAMPLES}


def check_items(params: Params) -> None:
    """Raises ValueError for the first rule that an item breaks, naming the item."""
    for place, problem in _problems(params):
        raise ValueError(f"{place}: {problem}")


def _problems(params: Params) -> Iterator[tuple[str, str]]:
    """Every broken rule in the order of the file: the item and what is wrong."""
    for name, dataset in params.datasets.items():
        yield from ((f"datasets.{name}", problem) for problem in _of_dataset(dataset))
    for name, model in params.models.items():
        yield from ((f"models.{name}", problem) for problem in _of_model(model))
    if problem := training_problem(params.train.shared):
        yield "train.shared", problem
    for name, adapter in params.train.adapters.items():
        if adapter.mix:
            yield from ((f"train.adapters.{name}.mix", problem) for problem in _of_mix(adapter.mix))
    for name, recipe in params.merge.recipes.items():
        yield from ((f"merge.recipes.{name}", problem) for problem in chain(_of_merge(recipe), _of_sparsify(recipe)))
    for name, baseline in params.baselines.items():
        yield from ((f"baselines.{name}", problem) for problem in _of_baseline(baseline))
    for name, system in params.systems.items():
        if system.endpoint:
            yield from ((f"systems.{name}.endpoint", problem) for problem in _of_endpoint(system.endpoint))
        yield from ((f"systems.{name}", problem) for problem in _of_system(system))


def _of_dataset(dataset: Dataset) -> Iterator[str]:
    paths = [file.path for file in dataset.files]
    if twice := [path for path in paths if paths.count(path) > 1]:
        yield f"files: two of them have the path {twice[0]}; give each its own"


def _of_model(model: Model) -> Iterator[str]:
    if missing := [key for key in NEEDED_BY_SOURCE[model.source] if not getattr(model, key)]:
        yield f"source {model.source} needs the key {missing[0]}"
    if needless := [key for key in FOREIGN_TO_SOURCE[model.source] if getattr(model, key)]:
        yield f"{needless[0]} doesn't go with source {model.source}; remove it"
    if model.source == "hub" and model.sha256:
        yield "sha256 doesn't go with source hub, whose commit in version pins the files; remove it"
    if model.source == "hub" and not (len(model.version) == 40 and set(model.version) <= set("0123456789abcdef")):
        yield "source hub needs a commit as version, 40 hex digits, since a branch or tag may move"


def training_problem(training: Training) -> str | None:
    """What is wrong between the keys of an adapter's training settings, or None."""
    if training.learning_rate * training.weight_decay >= 1:
        return (
            "learning_rate times weight_decay is the share of each weight that a step removes, and must be below 1; lower one"
        )
    return None


def _of_mix(mix: Mix) -> Iterator[str]:
    if (mix.temperature is not None) != (mix.by == "temperature"):
        advice = "add temperature: 2, say" if mix.temperature is None else "remove it"
        yield f"temperature goes with by: temperature, and only with it; {advice}"
    if bool(mix.weights) != (mix.by == "weights"):
        advice = "remove them" if mix.weights else "add one for each task"
        yield f"weights go with by: weights, and only with it; {advice}"
    if mix.by == "weights" and not any(mix.weights.values()):
        yield "weights must not all be 0; raise one"


def _of_merge(recipe: Recipe) -> Iterator[str]:
    weights = recipe.weights.values()
    if problem := method_problem(recipe.method, weights, is_weighted_sum(recipe.sparsify, recipe.consensus)):
        yield problem
    if (recipe.rank is not None) != (recipe.method == "svd"):
        advice = "add one" if recipe.method == "svd" else "remove it"
        yield f"rank goes with method svd, and only with it; {advice}"
    if not any(weights):
        yield "weights must not all be 0; change one"
    if recipe.search and min(weights) < 0:
        yield "search tries weights from 0 upwards; replace the negative weight"
    tried = comb(recipe.search.steps + len(weights) - 1, len(weights) - 1) if recipe.search else 0
    if tried > MAX_COMBINATIONS:
        yield f"search would try {tried} combinations of weights, more than {MAX_COMBINATIONS}; lower its steps"


def _of_sparsify(recipe: Recipe) -> Iterator[str]:
    if recipe.sparsify != "none" and recipe.density is None:
        yield f"sparsify {recipe.sparsify} needs density, the share of ΔW that it keeps; add density: 0.5, say"
    if recipe.sparsify == "none" and recipe.density is not None:
        yield "density goes with sparsify; set sparsify to magnitude or dare, or remove density"
    if recipe.sparsify == "none" and recipe.rescale is not None:
        yield "rescale goes with sparsify; set sparsify to magnitude or dare, or remove rescale"
    if recipe.sparsify != "dare" and recipe.seed:
        yield "seed goes with sparsify dare, since nothing else is drawn; remove it"


def _of_baseline(baseline: Baseline) -> Iterator[str]:
    family = baseline.family
    if baseline.patience and family == "floor":
        yield "patience goes with families causal, encoder and seq2seq, since a floor has no epochs; remove it"
    if baseline.class_weights and family != "encoder":
        yield "class_weights go with family encoder; remove the key"
    if baseline.crf and family != "encoder":
        yield "crf goes with family encoder; remove the key"
    if baseline.adversarial and family != "encoder":
        yield "adversarial goes with family encoder; remove the key"
    if baseline.crf and baseline.class_weights:
        yield "class_weights weight tags one by one, and crf scores whole sequences; remove one of the two"
    for key in WITHOUT_EFFECT.get(family, ()):
        if key in baseline.model_fields_set:
            yield f"family {family} has no use for {key}; remove the key"
    if family == "causal" and "max_new_tokens" in baseline.model_fields_set:
        yield f"max_new_tokens of family causal is that of tasks.{baseline.task}; set it there and remove it here"
    if (baseline.model is None) != (family == "floor"):
        yield "families causal, encoder and seq2seq need a model, floor has none; add or remove the key"
    if baseline.method and family != "floor":
        yield "method goes with family floor; remove it"


def _of_endpoint(endpoint: Endpoint) -> Iterator[str]:
    if (endpoint.input_price is None) != (endpoint.output_price is None):
        yield "input_price and output_price go together; add the other one, or remove both"


def _of_system(system: System) -> Iterator[str]:
    if system.shots and system.kind not in ("prompt", "endpoint"):
        yield "shots go with kind prompt or endpoint; remove the key"
    if system.demonstrations != "fixed" and not system.shots:
        yield f"demonstrations {system.demonstrations} need shots, the number of them; add shots"
    if (system.encoder is None) == (system.demonstrations == "nearest"):
        yield "encoder goes with demonstrations nearest, and only with them; add it, or remove it"
    if (system.endpoint is None) == (system.kind == "endpoint"):
        yield "the key endpoint goes with kind endpoint, and only with it; add it, or remove it"
    if system.kind == "endpoint" and system.reads != str(EXAMPLES):
        yield f"a system of kind endpoint has no model here, and reads {EXAMPLES}; correct reads"
    if system.kind == "recorded" and (system.reads, *system.tasks[1:]) != (str(EXAMPLES / system.tasks[0]),):
        yield f"a system of kind recorded has one task, and reads {EXAMPLES}/TASK; correct tasks or reads"
    if not system.reads.startswith(f"{HOMES[system.kind]}/"):
        yield f"a system of kind {system.kind} reads a folder in {HOMES[system.kind]}/; correct reads or kind"

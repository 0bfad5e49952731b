"""params.yaml: a valid file loads, and an invalid one is refused in one sentence that names the key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.serialize import parse_yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecomtune.checks.compatibility import check
from ecomtune.checks.parameters import load_params
from ecomtune.checks.references import modules_with
from ecomtune.core import config
from ecomtune.core.config.params import Params, model_folder, written_folders
from ecomtune.core.config.types import Config
from ecomtune.datasets.registry import load_reader
from ecomtune.messages.advice import nearest
from ecomtune.messages.errors import UserError
from ecomtune.metrics.registry import load_metric
from tests.support.scratch_clone import REPOSITORY

#: A small file with one item of every kind.
VALID = """
seed: 7
datasets:
  shop: {reader: demo_shop, seed: 7}
  real:
    reader: queryner
    files: [{path: train.txt, url: "https://example.org/train.txt", sha256: HASH, bytes: 1, licence: MIT}]
models:
  tiny: {kind: causal, source: package, name: tiny, version: "1.0", sha256: HASH, licence: MIT}
  small: {kind: encoder, source: folder, folder: small, licence: MIT}
tasks:
  ner: {dataset: real, train_size: 8, validation_size: 2, test_size: 4, max_new_tokens: 8}
  relevance: {dataset: shop, train_size: 8, validation_size: 2, test_size: 4, max_new_tokens: 8}
train:
  shared: {model: tiny, rank: 4, alpha: 8, dropout: 0.0, learning_rate: 0.01, epochs: 1, batch_size: 8,
    token_budget: 800, max_length: 100}
  adapters:
    ner: {out: single/ner, reads: data/examples/ner, tasks: [ner], settings: {}}
    relevance: {out: single/relevance, reads: data/examples/relevance, tasks: [relevance]}
    mixed: {out: mixed, reads: data/examples, tasks: [ner, relevance]}
    ner_1: {out: shards/ner/1, reads: data/examples/ner, tasks: [ner], shard: [1, 2]}
merge:
  recipes:
    tasks: {reads: models/adapters/single, method: svd, rank: 4, weights: {ner: 0.5, relevance: 0.5}}
    ner_shards: {reads: models/adapters/shards/ner, method: cat, weights: {"1": 1.0}}
baselines:
  encoder_ner: {family: encoder, task: ner, out: encoder/ner, model: small}
  floor_relevance: {family: floor, task: relevance, out: floor/relevance}
systems:
  few_shot: {kind: prompt, reads: models/pretrained/tiny, tasks: [ner], shots: 3}
  single: {kind: adapter, reads: models/adapters/single, tasks: [ner, relevance]}
  mixed: {kind: adapter, reads: models/adapters/mixed, tasks: [ner, relevance]}
  merged: {kind: adapter, reads: models/adapters/merged/tasks, tasks: [ner, relevance]}
  encoder: {kind: baseline, reads: models/baselines/encoder, tasks: [ner]}
  floor: {kind: baseline, reads: models/baselines/floor, tasks: [relevance]}
  large:
    kind: endpoint
    reads: data/examples
    tasks: [ner, relevance]
    shots: 2
    demonstrations: nearest
    encoder: small
    endpoint: {model: big, input_price: 1.0, output_price: 2.0}
score: {adapters: models/adapters}
""".replace("HASH", "a" * 64)
#: A config of every kind: its place in the file, and its class.
CONFIGS: dict[str, type[Config]] = {
    "": Params,
    "datasets.real": config.Dataset,
    "datasets.real.files.0": config.SourceFile,
    "models.tiny": config.Model,
    "tasks.ner": config.TaskSettings,
    "train": config.Train,
    "train.shared": config.Training,
    "train.adapters.ner_1": config.Adapter,
    "merge": config.Merge,
    "merge.recipes.tasks": config.Recipe,
    "baselines.encoder_ner": config.Baseline,
    "systems.few_shot": config.System,
    "systems.large.endpoint": config.Endpoint,
    "score": config.Score,
}
KEYS = [(place, key) for place, kind in CONFIGS.items() for key in kind.model_fields]
REQUIRED = [(place, key) for place, kind in CONFIGS.items() for key, info in kind.model_fields.items() if info.is_required()]


def dotted(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def valid() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(VALID)
    return values


def config_at(values: Any, place: str) -> Any:
    for part in filter(None, place.split(".")):
        values = values[int(part)] if isinstance(values, list) else values[part]
    return values


def dump(values: Any) -> str:
    text: str = yaml.dump(values, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False)
    return text


def load_text(folder: Path, text: str) -> Params:
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    return load_params(folder / "params.yaml")


def refusal(folder: Path, text: str) -> str:
    """The sentence that refuses a file, without the file's name."""
    with pytest.raises(UserError) as caught:
        load_text(folder, text)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.startswith(str(folder / "params.yaml"))
    return sentence.removeprefix(f"{folder / 'params.yaml'}: ")


def refusal_of(folder: Path, place: str, value: Any) -> str:
    """The sentence that refuses the valid file with ``value`` at ``place``."""
    values = valid()
    parent, _, key = place.rpartition(".")
    config_at(values, parent)[key] = value
    return refusal(folder, dump(values))


def test_params_yaml_is_the_demo_profile() -> None:
    assert (REPOSITORY / "params.yaml").read_bytes() == (REPOSITORY / "profiles" / "demo.yaml").read_bytes()


@pytest.mark.parametrize("profile", sorted((REPOSITORY / "profiles").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_profile_is_valid(profile: Path) -> None:
    assert isinstance(load_params(profile), Params)


def test_the_file_that_the_tests_below_break_is_valid(tmp_path: Path) -> None:
    assert load_text(tmp_path, VALID).datasets["real"].files[0].bytes == 1


@pytest.mark.parametrize("place", CONFIGS)
def test_an_unknown_key_is_named_in_every_config(tmp_path: Path, place: str) -> None:
    sentence = refusal_of(tmp_path, dotted(place, "colour"), 1)
    assert sentence == f"{dotted(place, 'colour')}: unknown key; remove it or correct its spelling"


@pytest.mark.parametrize(("place", "key"), REQUIRED)
def test_a_missing_key_is_named(tmp_path: Path, place: str, key: str) -> None:
    values = valid()
    del config_at(values, place)[key]
    assert refusal(tmp_path, dump(values)) == f"{dotted(place, key)}: this key is missing; add it"


@pytest.mark.parametrize("place", CONFIGS)
def test_a_mistyped_key_is_named_in_every_config(tmp_path: Path, place: str) -> None:
    values = valid()
    mistyped = config_at(values, place)
    key = next(iter(CONFIGS[place].model_fields))
    mistyped[f"{key}s"] = mistyped.pop(key, 100)
    assert refusal(tmp_path, dump(values)).startswith(f"{dotted(place, f'{key}s')}: unknown key")


@pytest.mark.parametrize(("place", "key"), KEYS)
def test_a_value_of_the_wrong_type_is_named(tmp_path: Path, place: str, key: str) -> None:
    assert refusal_of(tmp_path, dotted(place, key), [{}]).startswith(dotted(place, key))


@pytest.mark.parametrize(
    ("place", "path"),
    [
        ("datasets.real.files.0.path", "../train.txt"),
        ("train.adapters.ner.out", "../ner"),
        ("train.adapters.ner.reads", "../examples"),
        ("merge.recipes.tasks.reads", "../adapters"),
        ("baselines.encoder_ner.out", "../encoder"),
        ("systems.single.reads", "../adapters"),
        ("train.adapters.ner.out", "/etc"),
        ("train.adapters.ner.out", "single/../../ner"),
        ("train.adapters.ner.out", ""),
        ("train.adapters.ner.out", "."),
    ],
)
def test_a_path_outside_the_repository_or_of_no_folder_is_refused(tmp_path: Path, place: str, path: str) -> None:
    assert refusal_of(tmp_path, place, path) == f"{place}: must be a path inside the repository"


@pytest.mark.parametrize(
    ("out", "problem"),
    [
        (".gitkeep", ".gitkeep begins with a dot, like the files that git and DVC keep there; choose another name"),
        ("single/.ner", ".ner begins with a dot, like the files that git and DVC keep there; choose another name"),
        ("ner\0", "contains a NUL character, which no file name can have; remove it"),
        ("ner\nner", "contains an invisible character; use letters, digits, _ and - only"),
        ("ner\ud800", "contains an invisible character; use letters, digits, _ and - only"),
    ],
)
def test_an_out_that_is_hidden_or_has_invisible_characters_is_refused(tmp_path: Path, out: str, problem: str) -> None:
    values = valid()
    values["train"]["adapters"]["ner"]["out"] = "@"
    text = dump(values).replace("'@'", json.dumps(out))
    assert refusal(tmp_path, text) == f"train.adapters.ner.out: {problem}"


@pytest.mark.parametrize(
    ("place", "name"),
    [
        *((each, "a/b") for each in ("datasets", "models", "tasks", "train.adapters", "merge.recipes", "baselines", "systems")),
        *(("systems", name) for name in ("../x", "a.b", "", "a b", "ner\n")),
    ],
)
def test_an_item_whose_name_is_not_a_folder_name_is_refused(tmp_path: Path, place: str, name: str) -> None:
    values = valid()
    items = config_at(values, place)
    items[name] = next(iter(items.values()))
    assert refusal(tmp_path, dump(values)).startswith(f"{place}.{name.strip()}")


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        ("seed", -1, "seed: Input should be greater than or equal to 0"),
        ("seed", 2**32, "seed: Input should be less than 4294967296"),
        ("datasets.shop.seed", -1, "datasets.shop.seed: Input should be greater than or equal to 0"),
        ("tasks.ner.seed", 2**32, "tasks.ner.seed: Input should be less than 4294967296"),
        ("tasks.ner.train_size", 0, "tasks.ner.train_size: Input should be greater than 0"),
        ("tasks.ner.max_rejected", 1.5, "tasks.ner.max_rejected: Input should be less than or equal to 1"),
        ("tasks.ner.prompt", "short", "tasks.ner.prompt: Input should be 'compact' or 'long'"),
        ("train.shared.dropout", 1.0, "train.shared.dropout: Input should be less than 1"),
        ("train.shared.learning_rate", float("inf"), "train.shared.learning_rate: Input should be a finite number"),
        ("train.shared.alpha", float("nan"), "train.shared.alpha: Input should be a finite number"),
        ("merge.recipes.tasks.weights.ner", float("nan"), "merge.recipes.tasks.weights.ner: Input should be a finite"),
        ("score.bootstrap", 99, "score.bootstrap: Input should be greater than or equal to 100"),
        ("score.confidence", 1, "score.confidence: Input should be less than 1"),
        ("datasets.real.files.0.url", "ftp://example.org", "datasets.real.files.0.url: must be a web address, hf://"),
        ("datasets.real.files.0.sha256", "abc", "datasets.real.files.0.sha256: String should match pattern"),
        ("models.tiny.name", "", "models.tiny: source package needs the key name"),
        ("models.tiny.sha256", "", "models.tiny: source package needs the key sha256"),
        ("models.small.sha256", "abc", "models.small.sha256: String should match pattern"),
        ("models.small.name", "tiny", "models.small: name doesn't go with source folder; remove it"),
        ("models.small.licence", "", "models.small.licence: String should have at least 1 character"),
        ("train.shared.alpha", True, "train.shared.alpha: must be a number, not true or false"),
        ("train.shared.share_prefix", 1, "train.shared.share_prefix: must be true or false"),
        ("merge.recipes.tasks.weights", {"ner": True}, "merge.recipes.tasks.weights: ner must be a number, not true or false"),
        ("models.small.source", "git", "models.small.source: Input should be 'package', 'hub' or 'folder'"),
        ("train.adapters.ner_1.shard", [0, 2], "train.adapters.ner_1: shard is [i, n] with 1 <= i <= n"),
        ("train.adapters.ner_1.shard", [3, 2], "train.adapters.ner_1: shard is [i, n] with 1 <= i <= n"),
        (
            "train.adapters.ner_1.shard",
            [1],
            "train.adapters.ner_1.shard: must be two numbers [i, n], such as [1, 2] for the first",
        ),
        ("train.adapters.ner_1.shard", [1, 2, 3], "train.adapters.ner_1.shard: must be two numbers [i, n], such as [1, 2]"),
        (
            "train.adapters.mixed.mix",
            {"by": "temperature"},
            "train.adapters.mixed.mix: temperature goes with by: temperature, and only with it; add temperature: 2, say",
        ),
        (
            "train.adapters.mixed.mix",
            {"by": "equal", "temperature": 2},
            "train.adapters.mixed.mix: temperature goes with by: temperature, and only with it; remove it",
        ),
        ("train.adapters.mixed.mix", {"by": "weights"}, "train.adapters.mixed.mix: weights go with by: weights, and only"),
        (
            "train.adapters.mixed.mix",
            {"by": "equal", "weights": {"ner": 1}},
            "train.adapters.mixed.mix: weights go with by: weights, and only with it; remove them",
        ),
        (
            "train.adapters.mixed.mix",
            {"by": "weights", "weights": {"ner": 0}},
            "train.adapters.mixed.mix: weights must not all be 0; raise one",
        ),
        (
            "train.adapters.mixed.mix",
            {"by": "temperature", "temperature": 0.001},
            "train.adapters.mixed.mix.temperature: Input should be greater than or equal to 0.1",
        ),
        (
            "train.adapters.mixed.mix",
            {"by": "weights", "weights": {"ner": 1e-320, "relevance": 1e-320}},
            "train.adapters.mixed.mix.weights.ner: must be 0, or between 0.000001 and 1000000 in size",
        ),
        ("train.adapters.mixed.mix", {"by": "equal", "rows": 10**12}, "train.adapters.mixed.mix.rows: Input should be less"),
        ("merge.recipes.tasks.weights.ner", 1e308, "merge.recipes.tasks.weights.ner: must be 0, or between 0.000001 and"),
        ("merge.recipes.tasks.weights.ner", -1e-9, "merge.recipes.tasks.weights.ner: must be 0, or between 0.000001 and"),
        ("tasks.ner.temperature", 1e-300, "tasks.ner.temperature: must be 0, which takes the likeliest token, or at least"),
        ("train.shared.epochs", 10**9, "train.shared.epochs: Input should be less than or equal to 100000"),
        ("seed", 10**400, "seed: "),
        ("tasks.ner.train_size", 10**400, "tasks.ner.train_size: must be at most 1000000000000000 in size"),
        ("tasks.ner.max_rejected", 10**400, "tasks.ner.max_rejected: must be at most 1000000000000000 in size"),
        ("train.shared.alpha", 10**400, "train.shared.alpha: must be at most 1000000000000000 in size"),
        ("train.adapters.ner_1.shard", [1, 10**400], "train.adapters.ner_1.shard.1: must be at most 1000000000000000 in"),
        ("train.adapters.mixed.limit", {"ner": 10**400}, "train.adapters.mixed.limit.ner: must be at most 10000000000000"),
        (
            "merge.recipes.tasks.weights",
            {"ner": -(10**400)},
            "merge.recipes.tasks.weights: must be at most 1000000000000000 in",
        ),
        (
            "train.shared.rank",
            "+8",
            "train.shared.rank: Input should be a valid integer, but YAML reads +8 as text; write 8",
        ),
        ("train.shared.rank", "8", "train.shared.rank: Input should be a valid integer, but YAML reads 8 as text; write it"),
        (
            "merge.recipes.tasks.reads",
            "models/adapters",
            "merge.recipes.tasks.weights: 'models/adapters/ner' is not in the outs of train.adapters",
        ),
        ("train.shared.max_length", 5, "train.shared.max_length: Input should be greater than or equal to 6"),
        ("baselines.encoder_ner.max_length", 1, "baselines.encoder_ner.max_length: Input should be greater than or equal to 6"),
        ("systems.few_shot.shots", 1001, "systems.few_shot.shots: Input should be less than or equal to 1000"),
        ("merge.recipes.ner_shards.weights", {1: 1.0}, "merge.recipes.ner_shards.weights.1: a name is text; put it in quotes"),
        ("datasets", {"a/b": {}}, "datasets.a/b: a name holds letters, digits, _ and - only; rename it"),
        ("train", None, "train: it is empty; write its keys below it"),
        ("train.shared", None, "train.shared: it is empty; write its keys below it"),
        ("datasets", None, "datasets: it is empty; write its items below it, or {} for none"),
        ("train.adapters.ner_1.tasks", [], "train.adapters.ner_1.tasks: Tuple should have at least 1 item"),
        ("merge.recipes.ner_shards.rank", 8, "merge.recipes.ner_shards: rank goes with method svd, and only with it"),
        ("merge.recipes.tasks.method", "cat", "merge.recipes.tasks: rank goes with method svd, and only with it"),
        ("merge.recipes.tasks.rank", None, "merge.recipes.tasks: rank goes with method svd, and only with it; add one"),
        ("merge.recipes.tasks.weights", {}, "merge.recipes.tasks.weights: Dictionary should have at least 1 item"),
        ("merge.recipes.tasks.density", 0.5, "merge.recipes.tasks: density goes with sparsify; set sparsify to magnitude or"),
        ("merge.recipes.tasks.rescale", False, "merge.recipes.tasks: rescale goes with sparsify; set sparsify to magnitude or"),
        ("merge.recipes.tasks.seed", 1, "merge.recipes.tasks: seed goes with sparsify dare, since nothing else is drawn"),
        ("merge.recipes.tasks.sparsify", "dare", "merge.recipes.tasks: sparsify dare needs density, the share of ΔW that it"),
        (
            "merge.recipes.tasks.sparsify",
            "random",
            "merge.recipes.tasks.sparsify: Input should be 'none', 'magnitude' or 'dare'",
        ),
        (
            "merge.recipes.ner_shards.consensus",
            "ties",
            "merge.recipes.ner_shards: sparsify and consensus produce a ΔW of full rank, which method cat can't represent",
        ),
        ("baselines.encoder_ner.model", None, "baselines.encoder_ner: families causal, encoder and seq2seq need a model"),
        ("baselines.floor_relevance.model", "small", "baselines.floor_relevance: families causal, encoder and seq2seq need"),
        ("baselines.encoder_ner.out", "encoder/tags", "baselines.encoder_ner: out must be encoder/ner, or encoder_NAME/ner"),
        ("baselines.encoder_ner.out", "encoders/ner", "baselines.encoder_ner: out must be encoder/ner"),
        ("baselines.encoder_ner.out", "encoder_a/b/ner", "baselines.encoder_ner: out must be encoder/ner"),
        ("baselines.encoder_ner.out", "floor/ner", "baselines.encoder_ner: out must be encoder/ner"),
        ("baselines.encoder_ner.method", "majority", "baselines.encoder_ner: method goes with family floor; remove it"),
        ("baselines.floor_relevance.method", "most", "baselines.floor_relevance.method: Input should be 'tfidf', 'majority'"),
        ("train.shared.warmup", 1, "train.shared.warmup: Input should be less than 1"),
        ("systems.mixed.shots", 3, "systems.mixed: shots go with kind prompt"),
        (
            "systems.few_shot.demonstrations",
            "best",
            "systems.few_shot.demonstrations: Input should be 'fixed', 'random', 'bm25'",
        ),
        ("systems.few_shot.demonstrations", "nearest", "systems.few_shot: encoder goes with demonstrations nearest, and only"),
        ("systems.few_shot.encoder", "small", "systems.few_shot: encoder goes with demonstrations nearest, and only with them"),
        (
            "systems.single.demonstrations",
            "random",
            "systems.single: demonstrations random need shots, the number of them; add",
        ),
        ("systems.large.shots", 0, "systems.large: demonstrations nearest need shots, the number of them; add shots"),
        (
            "systems.large.reads",
            "data/examples/ner",
            "systems.large: a system of kind endpoint has no model here, and reads data/",
        ),
        ("systems.large.kind", "prompt", "systems.large: the key endpoint goes with kind endpoint, and only with it"),
        ("systems.large.endpoint", None, "systems.large: the key endpoint goes with kind endpoint, and only with it"),
        ("systems.large.endpoint.model", "", "systems.large.endpoint.model: String should have at least 1 character"),
        (
            "systems.large.endpoint.concurrency",
            65,
            "systems.large.endpoint.concurrency: Input should be less than or equal to 64",
        ),
        ("systems.large.endpoint.temperature", -1, "systems.large.endpoint.temperature: Input should be greater than or equal"),
        ("systems.large.endpoint.input_price", None, "systems.large.endpoint: input_price and output_price go together; add"),
        ("systems.large.endpoint.key", "sk-1", "systems.large.endpoint.key: unknown key; remove it or correct its spelling"),
        ("systems.mixed.kind", "prompt", "systems.mixed: a system of kind prompt reads a folder in models/pretrained/;"),
        ("systems.floor.kind", "adapter", "systems.floor: a system of kind adapter reads a folder in models/adapters/;"),
        ("systems.single.kind", "recorded", "systems.single: a system of kind recorded has one task, and reads data/examples/"),
        (
            "systems.encoder.kind",
            "recorded",
            "systems.encoder: a system of kind recorded has one task, and reads data/examples/",
        ),
        ("systems.single.kind", "baseline", "systems.single: a system of kind baseline reads a folder in models/baselines/"),
    ],
)
def test_a_value_that_is_out_of_range_or_does_not_fit_the_others_is_refused(
    tmp_path: Path, place: str, value: Any, sentence: str
) -> None:
    assert refusal_of(tmp_path, place, value).startswith(sentence)


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (
            "datasets.shop.reader",
            "shopp",
            "datasets.shop.reader: 'shopp' is not in src/ecomtune/datasets (there: amasum, demo_shop, ",
        ),
        (
            "datasets.shop.reader",
            "fetch",
            "datasets.shop.reader: 'fetch' is not in src/ecomtune/datasets (there: amasum, demo_shop, ",
        ),
        ("train.shared.model", "gpt", "train.shared.model: 'gpt' is not in models of kind causal (there: tiny); add it there"),
        ("train.shared.model", "small", "train.shared.model: 'small' is not in models of kind causal (there: tiny)"),
        ("tasks.ner.dataset", "esci", "tasks.ner.dataset: 'esci' is not in datasets (there: shop, real); add it there"),
        ("train.adapters.mixed.tasks", ["ner", "price"], "train.adapters.mixed: 'price' is not in tasks"),
        ("train.adapters.mixed.limit", {"ner": 4, "price": 4}, "train.adapters.mixed.limit: 'price' is not in its tasks"),
        (
            "train.adapters.ner.limit",
            {"relevance": 4},
            "train.adapters.ner.limit: 'relevance' is not in its tasks (there: ner)",
        ),
        ("baselines.encoder_ner.model", "bert", "baselines.encoder_ner.model: 'bert' is not in models of kind encoder"),
        ("baselines.encoder_ner.model", "tiny", "baselines.encoder_ner.model: 'tiny' is not in models of kind encoder"),
        ("systems.single.tasks", ["price"], "systems.single.tasks: 'price' is not in tasks"),
        (
            "systems.encoder",
            {"kind": "baseline", "reads": "models/baselines/encoder/ner", "tasks": ["relevance"]},
            "systems.encoder.reads: 'models/baselines/encoder/ner' is not in the baselines of task relevance",
        ),
        (
            "merge.recipes.ner_shards.weights",
            {"1": 0.5, "3": 0.5},
            "merge.recipes.ner_shards.weights: 'models/adapters/shards/ner/3' is not in the outs of train.adapters",
        ),
        (
            "merge.recipes.tasks.reads",
            "models/adapters/shards",
            "merge.recipes.tasks.weights: 'models/adapters/shards/ner' is not in the outs of train.adapters",
        ),
        (
            "systems.few_shot.reads",
            "models/pretrained/gpt",
            "systems.few_shot.reads: 'gpt' is not in models of kind causal (there: tiny)",
        ),
        (
            "systems.few_shot.reads",
            "models/pretrained/small",
            "systems.few_shot.reads: 'small' is not in models of kind causal (there: tiny)",
        ),
        ("systems.large.encoder", "tiny", "systems.large.encoder: 'tiny' is not in models of kind encoder (there: small); add"),
        ("systems.large.tasks", ["price"], "systems.large.tasks: 'price' is not in tasks"),
        (
            "systems.encoder.tasks",
            ["relevance"],
            "systems.encoder.reads: 'models/baselines/encoder/relevance' is not in the folders that stages write",
        ),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path: Path, place: str, value: Any, sentence: str) -> None:
    found = refusal_of(tmp_path, place, value)
    assert found.startswith(sentence)
    assert "(there: " in found


@pytest.mark.parametrize(
    ("place", "wrong", "right"),
    [
        ("", "modls", "models"),
        ("train.shared", "lerning_rate", "learning_rate"),
        ("tasks.ner", "trainsize", "train_size"),
        ("train.adapters.ner_1", "shards", "shard"),
        ("datasets.real.files.0", "sha265", "sha256"),
        ("systems.few_shot", "SHOTS", "shots"),
        ("systems.large.endpoint", "temprature", "temperature"),
        ("merge.recipes.tasks", "weight", "weights"),
    ],
)
def test_the_nearest_known_key_is_suggested_for_an_unknown_one(tmp_path: Path, place: str, wrong: str, right: str) -> None:
    sentence = refusal_of(tmp_path, dotted(place, wrong), 1)
    assert sentence == f"{dotted(place, wrong)}: unknown key; remove it or correct its spelling to {right}"


@pytest.mark.parametrize(
    ("place", "value", "right"),
    [
        ("datasets.shop.reader", "demoshop", "demo_shop"),
        ("tasks.ner.dataset", "Shop", "shop"),
        ("train.adapters.mixed.tasks", ["nre", "relevance"], "ner"),
        ("systems.mixed.reads", "models/adapters/mixd", "models/adapters/mixed"),
    ],
)
def test_the_nearest_known_name_is_suggested_for_an_unknown_one(tmp_path: Path, place: str, value: Any, right: str) -> None:
    assert refusal_of(tmp_path, place, value).endswith(f"add it there or correct the name to {right}")


def test_case_does_not_matter_to_the_nearest_name() -> None:
    assert nearest("SHOTS", ["shots", "tasks"]) == "shots" and nearest("shots", ["SHOTS", "TASKS"]) == "SHOTS"


def test_only_the_nearest_of_many_names_are_listed(tmp_path: Path) -> None:
    known = len(written_folders(load_text(tmp_path, VALID)))
    sentence = refusal_of(tmp_path, "systems.mixed.reads", "models/adapters/mix")
    assert "(there: models/adapters/mixed, " in sentence and f" and {known - 3} others)" in sentence
    assert len(sentence) < 300


@pytest.mark.parametrize(
    ("package", "constant", "load"), [("datasets", "KINDS", load_reader), ("metrics", "METRIC", load_metric)]
)
def test_the_modules_that_params_may_name_are_those_that_load(package: str, constant: str, load: Any) -> None:
    def loads(name: str) -> bool:
        try:
            return bool(load(name))
        except UserError:
            return False

    names = sorted(file.stem for file in (REPOSITORY / "src/ecomtune" / package).glob("*.py"))
    assert modules_with(constant, package) == [name for name in names if loads(name)]


@pytest.mark.parametrize("version", ["main", "v1.0", "a" * 39, "a" * 41, "A" * 40, "a" * 39 + "g"])
def test_a_hub_model_without_a_complete_commit_is_refused(tmp_path: Path, version: str) -> None:
    hub = {"kind": "causal", "source": "hub", "name": "owner/tiny", "licence": "MIT"}
    assert refusal_of(tmp_path, "models.tiny", {**hub, "version": version}) == (
        "models.tiny: source hub needs a commit as version, 40 hex digits, since a branch or tag may move"
    )


def test_a_hub_model_with_a_hash_that_nothing_would_check_is_refused(tmp_path: Path) -> None:
    hub = {"kind": "causal", "source": "hub", "name": "owner/tiny", "licence": "MIT", "version": "a" * 40, "sha256": "b" * 64}
    message = "models.tiny: sha256 doesn't go with source hub, whose commit in version pins the files; remove it"
    assert refusal_of(tmp_path, "models.tiny", hub) == message


def test_a_hub_model_with_a_commit_a_folder_with_a_hash_and_the_largest_seed_are_valid(tmp_path: Path) -> None:
    values = valid()
    values["seed"] = values["datasets"]["shop"]["seed"] = values["tasks"]["ner"]["seed"] = 2**32 - 1
    values["models"]["small"]["sha256"] = "a" * 64
    values["models"]["tiny"] = {"kind": "causal", "source": "hub", "name": "owner/tiny", "licence": "MIT", "version": "0a" * 20}
    values["train"]["adapters"]["mixed"]["limit"] = {"ner": 4}
    assert load_text(tmp_path, dump(values)).seed == 2**32 - 1


@pytest.mark.parametrize(
    ("adapter", "reads", "expected"),
    [
        ("ner", "data/examples", "must be data/examples/ner for tasks ner"),
        ("ner", "data/examples/relevance", "must be data/examples/ner for tasks ner"),
        ("mixed", "data/examples/ner", "must be data/examples for tasks ner, relevance"),
    ],
)
def test_an_adapter_reads_the_folder_of_its_tasks(tmp_path: Path, adapter: str, reads: str, expected: str) -> None:
    place = f"train.adapters.{adapter}.reads"
    assert refusal_of(tmp_path, place, reads) == f"{place}: {expected}"


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ({"rang": 4}, "rang: unknown key; remove it or correct its spelling to rank"),
        ({"rank": 0}, "rank: Input should be greater than 0"),
        ({"rank": "high"}, "rank: Input should be a valid integer"),
        ({"model": "small"}, "model: all adapters start from train.shared.model; remove it here"),
    ],
)
def test_the_settings_of_an_adapter_are_checked(tmp_path: Path, override: dict[str, Any], sentence: str) -> None:
    place = "train.adapters.ner.settings"
    assert refusal_of(tmp_path, place, override) == f"{place}.{sentence}"


@pytest.mark.parametrize(
    "choices",
    [
        {"sparsify": "dare", "density": 0.5, "seed": 3},
        {"sparsify": "magnitude", "density": 1, "rescale": True, "consensus": "ties"},
        {"consensus": "ties"},
    ],
)
def test_a_recipe_may_sparsify(tmp_path: Path, choices: dict[str, Any]) -> None:
    values = valid()
    values["merge"]["recipes"]["tasks"] |= choices
    assert load_text(tmp_path, dump(values)).merge.recipes["tasks"].model_dump().items() >= choices.items()


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"sparsify": "dare", "density": 0.0}, "density: Input should be greater than or equal to 0.0001"),
        ({"sparsify": "dare", "density": 1e-300}, "density: Input should be greater than or equal to 0.0001"),
        (
            {"method": "linear", "rank": None, "weights": {"ner": -1, "relevance": 1}},
            "method linear takes the square root of each weight",
        ),
        ({"sparsify": "dare", "density": 1.1}, "density: Input should be less than or equal to 1"),
        ({"sparsify": "magnitude", "density": 0.5, "seed": 3}, "seed goes with sparsify dare, since nothing else is drawn"),
        (
            {"method": "linear", "sparsify": "dare", "density": 0.5},
            "sparsify and consensus produce a ΔW of full rank, which method linear can't represent; set",
        ),
    ],
)
def test_keys_of_a_recipe_that_do_not_fit_together_are_refused(tmp_path: Path, choices: dict[str, Any], sentence: str) -> None:
    values = valid()
    values["merge"]["recipes"]["tasks"] |= choices
    assert refusal(tmp_path, dump(values)).removeprefix("merge.recipes.tasks")[1:].strip().startswith(sentence)


def test_the_settings_of_an_adapter_override_the_shared_ones(tmp_path: Path) -> None:
    values = valid()
    values["train"]["adapters"]["ner"]["settings"] = {"rank": 4, "share_prefix": False}
    train = load_text(tmp_path, dump(values)).train
    assert train.settings_of("ner") == train.shared.model_copy(update={"rank": 4, "share_prefix": False})
    assert train.settings_of("relevance") == train.shared


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("seed: 7\nseed: 8\n", 2, "seed"),
        ("tasks:\n  ner: {train_size: 1}\n  ner: {train_size: 2}\n", 3, "ner"),
        ("score: {confidence: 1, confidence: 2}", 1, "confidence"),
    ],
)
def test_a_repeated_key_is_named_with_its_line(tmp_path: Path, text: str, line: int, key: str) -> None:
    sentence = f'is not valid YAML: line {line}: the key "{key}" occurs twice; remove or rename one'
    assert refusal(tmp_path, text).endswith(sentence)


@pytest.mark.parametrize(
    "text",
    [
        "seed: [7",
        "seed: 7\n\tscore: 1",
        "a: &x 1\nb: *y",
        "licence: 2026-13-45",
        "? {a: b}\n: c",
        "<<: 1",
        "!!map seed",
        "!!python/object:os.system {}",
        "[" * 600,
        'seed: !!int ""',
        "seed: !!bool maybe",
        "!!omap [seed: 1, seed: 2]",
        "seed: \x07",
    ],
)
def test_invalid_yaml_is_refused(tmp_path: Path, text: str) -> None:
    assert "not valid YAML" in refusal(tmp_path, text)


@pytest.mark.parametrize("number", ["010", "08", "0o10", "0x10", "1_000", "0b11"])
def test_a_number_is_read_as_dvc_reads_it(tmp_path: Path, number: str) -> None:
    loaded = load_text(tmp_path, VALID.replace("\nseed: 7", f"\nseed: {number}"))
    assert loaded.seed == parse_yaml(f"seed: {number}", "params.yaml")["seed"]


@pytest.mark.parametrize("rate", ["1e-3", "1.e-3", "1_0e-3"])
def test_a_learning_rate_is_read_as_dvc_reads_it(tmp_path: Path, rate: str) -> None:
    loaded = load_text(tmp_path, VALID.replace("learning_rate: 0.01", f"learning_rate: {rate}"))
    assert loaded.train.shared.learning_rate == parse_yaml(f"rate: {rate}", "params.yaml")["rate"]


@pytest.mark.parametrize("text", ["seed: 1:30", "seed: yes", "seed: 0o9"])
def test_a_text_that_dvc_reads_as_no_number_is_not_read_as_one(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path, VALID.replace("\nseed: 7", f"\n{text}")).startswith("seed")


@pytest.mark.parametrize("text", ["", "7", "- seed", "null"])
def test_yaml_that_is_not_a_mapping_is_refused(tmp_path: Path, text: str) -> None:
    sentence = refusal(tmp_path, text)
    assert "must be a mapping of keys" in sentence and sentence.endswith("; write it again with: ecomtune profile demo")


def test_a_file_of_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes("licence: Schöner".encode("latin-1"))
    with pytest.raises(UserError, match=r"params\.yaml is not valid YAML"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("name", ["nothing.yaml", "."])
def test_a_missing_file_is_refused_with_the_command_that_writes_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"is missing; run in the repository's root, or write it with: ecomtune profile demo"):
        load_params(tmp_path / name)


def test_several_floors_of_a_task_are_several_systems(tmp_path: Path) -> None:
    values = valid()
    values["baselines"]["guess"] = {
        "family": "floor",
        "method": "majority",
        "task": "relevance",
        "out": "floor_guess/relevance",
    }
    values["systems"]["guess"] = {"kind": "baseline", "reads": "models/baselines/floor_guess", "tasks": ["relevance"]}
    params = load_text(tmp_path, dump(values))
    found = [model_folder(params.systems[name], "relevance", params) for name in ("floor", "guess")]
    assert found == ["models/baselines/floor/relevance", "models/baselines/floor_guess/relevance"]


@pytest.mark.parametrize(
    ("place", "item", "out"),
    [
        ("baselines", "floor_relevance", "models/baselines/floor/relevance"),
        ("train.adapters", "ner", "models/adapters/single/ner"),
    ],
)
def test_two_items_that_write_the_same_folder_are_refused(tmp_path: Path, place: str, item: str, out: str) -> None:
    values = valid()
    config_at(values, place)["again"] = config_at(values, place)[item]
    assert refusal(tmp_path, dump(values)) == f"two items write {out}; give each a different out"


@pytest.mark.parametrize(
    ("out", "sentence"),
    [
        ("single/ner/y", "train.adapters.new.out: models/adapters/single/ner/y is inside models/adapters/single/ner, which"),
        ("shards", "train.adapters.ner_1.out: models/adapters/shards/ner/1 is inside models/adapters/shards, which another"),
        ("merged", "train.adapters.new.out: models/adapters/merged is where merges are written; choose another folder"),
        ("merged/tasks/x", "train.adapters.new.out: models/adapters/merged is where merges are written; choose another"),
        ("merged/other", "train.adapters.new.out: models/adapters/merged is where merges are written; choose another"),
        ("merged/tasks", "two items write models/adapters/merged/tasks; give each a different out"),
    ],
)
def test_an_out_inside_another_or_among_the_merges_is_refused(tmp_path: Path, out: str, sentence: str) -> None:
    values = valid()
    values["train"]["adapters"]["new"] = {"out": out, "reads": "data/examples/ner", "tasks": ["ner"]}
    assert refusal(tmp_path, dump(values)).startswith(sentence)


def test_an_out_that_only_begins_with_the_name_of_another_is_valid(tmp_path: Path) -> None:
    values = valid()
    values["train"]["adapters"]["new"] = {"out": "single/ner_2", "reads": "data/examples/ner", "tasks": ["ner"]}
    assert "models/adapters/single/ner_2" in written_folders(load_text(tmp_path, dump(values)))


@pytest.mark.parametrize("kind", ["encoder", "seq2seq"])
def test_a_seq2seq_baseline_starts_from_an_encoder_or_a_seq2seq_model(tmp_path: Path, kind: str) -> None:
    values = valid()
    values["models"]["other"] = {**values["models"]["small"], "kind": kind}
    values["tasks"]["description"] = {**values["tasks"]["relevance"]}
    values["baselines"]["t5"] = {"family": "seq2seq", "task": "description", "out": "seq2seq_t5/description", "model": "other"}
    assert load_text(tmp_path, dump(values)).models["other"].kind == kind
    values["baselines"]["t5"]["model"] = "tiny"
    sentence = "baselines.t5.model: 'tiny' is not in models of kind encoder or seq2seq (there: small, other); add it there"
    assert refusal(tmp_path, dump(values)).startswith(sentence)


def test_an_encoder_baseline_with_a_seq2seq_model_is_refused(tmp_path: Path) -> None:
    sentence = "baselines.encoder_ner.model: 'small' is not in models of kind encoder (there: none); add it there"
    assert refusal_of(tmp_path, "models.small.kind", "seq2seq").startswith(sentence)


def with_causal(**changes: Any) -> str:
    """The valid file with a baseline of family causal, changed by ``changes``."""
    values = valid()
    full = {"family": "causal", "task": "relevance", "out": "causal_full/relevance", "model": "tiny"}
    values["baselines"]["full"] = {**full, **changes}
    values["systems"]["full"] = {"kind": "baseline", "reads": "models/baselines/causal_full", "tasks": ["relevance"]}
    return dump(values)


def test_a_causal_baseline_starts_from_a_causal_model(tmp_path: Path) -> None:
    params = load_text(tmp_path, with_causal(patience=2))
    assert model_folder(params.systems["full"], "relevance", params) == "models/baselines/causal_full/relevance"
    sentence = "baselines.full.model: 'small' is not in models of kind causal (there: tiny); add it there or correct the name"
    assert refusal(tmp_path, with_causal(model="small")) == sentence


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"class_weights": True}, "class_weights go with family encoder; remove the key"),
        ({"crf": True}, "crf goes with family encoder; remove the key"),
        ({"adversarial": 0.5}, "adversarial goes with family encoder; remove the key"),
        ({"method": "majority"}, "method goes with family floor; remove it"),
        ({"max_new_tokens": 8}, "max_new_tokens of family causal is that of tasks.relevance; set it there and remove it here"),
        ({"model": None}, "families causal, encoder and seq2seq need a model, floor has none; add or remove the key"),
        (
            {"out": "full/relevance"},
            "out must be causal/relevance, or causal_NAME/relevance for a further baseline of its family",
        ),
    ],
)
def test_what_does_not_go_with_a_causal_baseline_is_refused(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    assert refusal(tmp_path, with_causal(**changes)).startswith(f"baselines.full: {problem}")


@pytest.mark.parametrize("section", ["datasets", "models", "tasks", "baselines", "systems"])
def test_a_name_that_no_file_could_have_is_refused(tmp_path: Path, section: str) -> None:
    """60 characters of up to four bytes each leave room for a suffix and the random part of a scratch file's name."""
    values = valid()
    name = "\U00020000" * 61
    values[section][name] = next(iter(values[section].values()))
    assert refusal(tmp_path, dump(values)) == f"{section}.{name}: String should have at most 60 characters"


@pytest.mark.parametrize("part", ["x" * 241, "ö" * 121])
def test_a_folder_whose_name_is_too_long_for_a_file_system_is_refused(tmp_path: Path, part: str) -> None:
    values = valid()
    values["train"]["adapters"]["ner"]["out"] = f"single/{part}"
    sentence = "contains a name of more than 240 bytes, too long for a file system; shorten it"
    assert refusal(tmp_path, dump(values)) == f"train.adapters.ner.out: {sentence}"


@pytest.mark.parametrize("section", ["shared", "adapter"])
def test_a_weight_decay_that_removes_all_of_the_weights_is_refused(tmp_path: Path, section: str) -> None:
    values = valid()
    decay = {"learning_rate": 0.001, "weight_decay": 1000}
    if section == "shared":
        values["train"]["shared"].update(decay)
    else:
        values["train"]["adapters"]["ner"]["settings"] = decay
    place = "train.shared" if section == "shared" else "train.adapters.ner.settings"
    sentence = refusal(tmp_path, dump(values))
    assert sentence.startswith(f"{place}: learning_rate times weight_decay is ") and sentence.endswith("; lower one")


def test_class_weights_and_a_crf_are_refused_together(tmp_path: Path) -> None:
    values = valid()
    values["baselines"]["encoder_ner"].update(crf=True, class_weights=True)
    sentence = "class_weights weight tags one by one, and crf scores whole sequences; remove one of the two"
    assert refusal(tmp_path, dump(values)) == f"baselines.encoder_ner: {sentence}"


@pytest.mark.parametrize(
    ("system", "task", "folder"),
    [
        ("few_shot", "ner", "models/pretrained/tiny"),
        ("single", "ner", "models/adapters/single/ner"),
        ("single", "relevance", "models/adapters/single/relevance"),
        ("mixed", "ner", "models/adapters/mixed"),
        ("merged", "relevance", "models/adapters/merged/tasks"),
        ("encoder", "ner", "models/baselines/encoder/ner"),
        ("floor", "relevance", "models/baselines/floor/relevance"),
    ],
)
def test_a_system_answers_with_its_folder_or_the_subfolder_of_the_task(
    tmp_path: Path, system: str, task: str, folder: str
) -> None:
    params = load_text(tmp_path, VALID)
    assert model_folder(params.systems[system], task, params) == folder


def key_paths(values: Any, parents: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every key of nested dicts and lists."""
    for key in values if isinstance(values, dict) else range(len(values)):
        yield (*parents, key)
        if isinstance(values[key], dict | list):
            yield from key_paths(values[key], (*parents, key))


#: Values of any type, among them texts that PyYAML reads as something else or that contain a line break.
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.text(max_size=6)
    | st.sampled_from(["a\nb", ".."]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=2),
    max_leaves=3,
)


@st.composite
def broken(draw: st.DrawFn) -> Any:
    """The valid file with up to three keys removed, renamed or given another value."""
    values: Any = valid()
    for _ in range(draw(st.integers(1, 3))):
        *parents, key = draw(st.sampled_from(list(key_paths(values)) or [("seed",)]))
        holder = values
        for part in parents:
            holder = holder[part]
        value = holder.pop(key) if values else None
        action = draw(st.sampled_from(["remove", "rename", "retype"]))
        if action == "retype":
            value = draw(ANYTHING)
        name = draw(ANYTHING.filter(lambda made: not isinstance(made, list | dict))) if action == "rename" else key
        if action != "remove" and isinstance(holder, dict):
            holder[name] = value
    return values


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(values=broken())
def test_a_broken_file_loads_or_is_refused_in_one_sentence_and_nothing_else(tmp_path: Path, values: Any) -> None:
    try:
        load_text(tmp_path, dump(values))
    except UserError as error:
        assert "\n" not in str(error)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.integers(0, 1500),
    length=st.integers(0, 20),
    text=st.text(max_size=4) | st.sampled_from(["!!", "&", "*", "<<", "? "]),
)
def test_a_mistyped_file_loads_or_is_refused_in_one_sentence_and_nothing_else(
    tmp_path: Path, start: int, length: int, text: str
) -> None:
    try:
        load_text(tmp_path, VALID[:start] + text + VALID[start + length :])
    except UserError as error:
        assert "\n" not in str(error)


def test_two_source_files_with_the_same_path_are_refused(tmp_path: Path) -> None:
    files = valid()["datasets"]["real"]["files"]
    sentence = "datasets.real: files: two of them have the path train.txt; give each its own"
    assert refusal_of(tmp_path, "datasets.real.files", files * 2) == sentence


def test_a_recorded_system_needs_the_column_of_its_answers(tmp_path: Path) -> None:
    def written(**columns: str) -> Path:
        values = yaml.safe_load(VALID)
        values["datasets"]["real"] = {"reader": "table", "columns": {"words": "q", "reference": "t", **columns}}
        values["systems"]["mine"] = {"kind": "recorded", "reads": "data/examples/ner", "tasks": ["ner"]}
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return path

    assert load_params(written(answer_mine="old")).systems["mine"].kind == "recorded"
    with pytest.raises(UserError, match=r"systems.mine: 'answer_mine' is not in the columns of its data set \(there:"):
        load_params(written(answer_other="old"))


@pytest.mark.parametrize(("reads", "prefix"), [("models/adapters", ""), ("models", "adapters/")])
def test_a_recipe_that_reads_the_folder_it_writes_to_is_refused(tmp_path: Path, reads: str, prefix: str) -> None:
    values = valid()
    weights = {f"{prefix}mixed": 0.5, f"{prefix}single/ner": 0.5}
    values["merge"]["recipes"]["tasks"] |= {"reads": reads, "weights": weights}
    assert refusal(tmp_path, dump(values)) == (
        f"merge.recipes.tasks.reads: {reads} contains the recipe's own output, models/adapters/merged/tasks; let the adapters "
        "write to a folder of their own, such as single/ner, and read that folder"
    )


def test_a_mistyped_task_of_a_baseline_is_reported_before_its_folder(tmp_path: Path) -> None:
    assert refusal_of(tmp_path, "baselines.floor_relevance.task", "relevence") == (
        "baselines.floor_relevance.task: 'relevence' is not in tasks (there: ner, relevance); add it there or correct the name "
        "to relevance"
    )


FLOOR = {"learning_rate": 0.01, "epochs": 5, "min_steps": 9, "batch_size": 16, "max_length": 256, "max_new_tokens": 96}


@pytest.mark.parametrize(
    ("baseline", "key", "value"),
    [*(("floor_relevance", key, value) for key, value in FLOOR.items()), ("encoder_ner", "max_new_tokens", 96)],
)
def test_a_key_without_effect_on_a_family_is_refused_where_it_is_written(
    tmp_path: Path, baseline: str, key: str, value: float
) -> None:
    sentence = f"baselines.{baseline}: family {baseline.partition('_')[0]} has no use for {key}; remove the key"
    assert refusal_of(tmp_path, f"baselines.{baseline}.{key}", value) == sentence


def without_adapters() -> dict[str, Any]:
    """The valid file without adapters, merges and what reads them."""
    values = valid()
    values["train"]["adapters"] = values["merge"]["recipes"] = {}
    for name in ("single", "mixed", "merged"):
        del values["systems"][name]
    return values


@pytest.mark.parametrize("values", [valid(), without_adapters()], ids=["with adapters", "without adapters"])
def test_compare_depends_on_the_adapters_or_on_a_folder_that_exists_without_any(tmp_path: Path, values: Any) -> None:
    right, wrong = "models/adapters", "models/pretrained"
    if not values["train"]["adapters"]:
        right, wrong = wrong, right
    values["score"]["adapters"] = right
    assert load_text(tmp_path, dump(values)).score.adapters == right
    for score in ({"adapters": wrong}, {"adapters": f"{right}/single"}, {}):  # {}: a file from before the key existed
        sentence = refusal(tmp_path, dump({**values, "score": score}))
        assert sentence.startswith("score.adapters: this study has ") and sentence.endswith(f"; set it to {right}")


def test_adapters_are_compared_without_merges_too(tmp_path: Path) -> None:
    values = valid()
    values["merge"]["recipes"] = {}
    del values["systems"]["merged"]
    assert load_text(tmp_path, dump(values)).score.adapters == "models/adapters"


@pytest.mark.parametrize(
    ("place", "changes", "sentence"),
    [
        ("train.adapters.ner", {"mix": {"by": "equal"}}, "train.adapters.ner.mix: a single task needs no mix; remove it"),
        (
            "train.adapters.mixed",
            {"mix": {"by": "weights", "weights": {"ner": 1}}},
            "train.adapters.mixed.mix.weights: task relevance has no weight; add it",
        ),
        ("train.adapters.ner", {"reads": "data//examples"}, "train.adapters.ner.reads: must be written as data/examples"),
        (
            "train.adapters.mixed",
            {"tasks": ["ner", "ner"]},
            "train.adapters.mixed.tasks: the same name is listed twice; remove",
        ),
        (
            "merge.recipes.tasks",
            {"weights": {"ner": 0, "relevance": 0}},
            "merge.recipes.tasks: weights must not all be 0; change one",
        ),
        (
            "merge.recipes.tasks",
            {"weights": {"ner": -1, "relevance": 1}, "search": {"tasks": ["ner"]}},
            "merge.recipes.tasks: search tries weights from 0 upwards; replace the negative weight",
        ),
        (
            "baselines.floor_relevance",
            {"patience": 1},
            "baselines.floor_relevance: patience goes with families causal, encoder and seq2seq",
        ),
    ],
)
def test_keys_of_an_item_that_do_not_fit_together_are_refused(
    tmp_path: Path, place: str, changes: dict[str, Any], sentence: str
) -> None:
    values = valid()
    config_at(values, place).update(changes)
    assert refusal(tmp_path, dump(values)).startswith(sentence)


def test_a_search_for_weights_tries_a_limited_number_of_combinations(tmp_path: Path) -> None:
    values = valid()
    names = [f"many_{number}" for number in range(6)]
    for name in names:
        values["train"]["adapters"][name] = {"out": f"many/{name}", "reads": "data/examples/ner", "tasks": ["ner"]}
    search = {"tasks": ["ner"], "steps": 8}
    many = {"reads": "models/adapters/many", "method": "cat", "weights": dict.fromkeys(names, 0.1), "search": search}
    values["merge"]["recipes"]["many"] = many
    assert refusal(tmp_path, dump(values)) == (
        "merge.recipes.many: search would try 1287 combinations of weights, more than 1000; lower its steps"
    )
    search["steps"] = 7
    assert load_text(tmp_path, dump(values)).merge.recipes["many"].search is not None


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (
            "systems.given",
            {"kind": "recorded", "reads": "data/examples/ner", "tasks": ["ner", "relevance"]},
            "systems.given: a system of kind recorded has one task",
        ),
        ("merge.recipes.tasks.search", {"tasks": ["nowhere"]}, "merge.recipes.tasks.search.tasks: 'nowhere' is not in tasks"),
        *(
            (f"systems.{name}.shots", 2, f"systems.{name}: shots go with kind prompt or endpoint; remove the key")
            for name in ("merged", "encoder", "floor")
        ),
    ],
)
def test_a_rule_names_the_key_that_breaks_it(tmp_path: Path, place: str, value: Any, message: str) -> None:
    assert refusal_of(tmp_path, place, value).startswith(message)


def test_a_mix_weighs_its_own_tasks_only(tmp_path: Path) -> None:
    values = valid()
    adapters = values["train"]["adapters"]
    mixed = next(name for name, each in adapters.items() if len(each["tasks"]) > 1)
    adapters[mixed]["mix"] = {"by": "weights", "weights": {**dict.fromkeys(adapters[mixed]["tasks"], 1), "other": 1}}
    message = f"train.adapters.{mixed}.mix.weights: 'other' is not in its tasks"
    assert refusal(tmp_path, dump(values)).startswith(message)


def test_a_key_that_dvc_tracks_by_itself_must_be_written_out() -> None:
    values = yaml.safe_load((REPOSITORY / "profiles/demo.yaml").read_text())
    del values["train"]["shared"]["threads"]
    with pytest.raises(UserError, match=r"^train\.shared\.threads: DVC tracks this key by itself"):
        check(Params.model_validate(values))

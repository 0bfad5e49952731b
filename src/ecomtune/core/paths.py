"""Names of files and folders, relative to the repository's root. No other module spells them out."""

from __future__ import annotations

from pathlib import Path

PARAMS_FILE = Path("params.yaml")
PIPELINE_FILE = Path("dvc.yaml")
LOCK_FILE = Path("dvc.lock")
PROFILES = Path("profiles")
#: The definitions of tasks, one YAML file each.
TASKS = Path("tasks")

DATA = Path("data")
RAW = DATA / "raw"
EXAMPLES = DATA / "examples"
PREDICTIONS = DATA / "predictions"

MODELS = Path("models")
PRETRAINED = MODELS / "pretrained"
ADAPTERS = MODELS / "adapters"
MERGED = ADAPTERS / "merged"
BASELINES = MODELS / "baselines"

METRICS = Path("metrics")
REPORTS = Path("reports")
SUMMARY = REPORTS / "summary.json"
PLOTS = Path("plots")
COMPARE_PLOTS = PLOTS / "compare"
CURVE_PLOTS = PLOTS / "curve"
RESULTS = Path("results")

#: Half-written outputs, checkpoints, logs and the prediction cache: outside every folder that a stage reads, never tracked.
SCRATCH = Path(".scratch")

#: Next to trained weights: the rows and tokens they were trained on, and the losses by step.
TRAINING_RECORD = "training.json"
#: Next to merged weights: the recipe, and the training totals of all merged adapters.
RECIPE = "recipe.json"
#: Next to predictions: the cost of an answer.
ANSWER_COSTS = "costs.json"
#: Next to predictions: the definition of each task, by which they are scored.
DEFINITIONS = "definitions.json"
#: The weights of an adapter and its config, named as PEFT does.
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
#: Next to a task's examples: counts of rows, groups, labels and rejections.
FORMAT_REPORT = "report.json"
#: Next to a task's examples: rows that could not be used, each with the reason.
REJECTED = "rejected.jsonl"


def examples_file(task: str, split: str, root: Path = Path()) -> Path:
    """The examples of one split (train, validation or test) of a task."""
    return root / EXAMPLES / task / f"{split}.jsonl"


def formatted_definition(task: str) -> Path:
    """The definition by which a task's examples were formatted, next to them."""
    return EXAMPLES / task / "task.json"


def predictions_file(system: str, task: str) -> Path:
    """One system's predictions for one task."""
    return PREDICTIONS / system / f"{task}.jsonl"


def metrics_file(system: str) -> Path:
    """One system's metrics on all its tasks."""
    return METRICS / f"{system}.json"

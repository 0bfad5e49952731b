"""Names of files and folders, relative to the repository's root: each is written here and nowhere else."""

from __future__ import annotations

from pathlib import Path

PARAMS_FILE = Path("params.yaml")
PIPELINE_FILE = Path("dvc.yaml")
LOCK_FILE = Path("dvc.lock")
PROFILES = Path("profiles")
TASK_FILES = Path("tasks")

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

#: Half-written outputs, checkpoints, logs and cached answers: outside every folder that a stage reads, and never tracked.
SCRATCH = Path(".scratch")

#: Beside trained weights: what they were trained on, and the losses by step.
TRAINING_RECORD = "training.json"
#: Beside merged weights: the recipe, and what all the parts were trained on.
RECIPE = "recipe.json"
#: Beside predictions: what an answer costs.
ANSWER_COSTS = "costs.json"
#: The weights of an adapter and its config, named as PEFT does.
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
#: Beside a task's examples: counts of rows, groups, labels and rejections.
FORMAT_REPORT = "report.json"
#: Beside a task's examples: rows that could not be used, each with its reason.
REJECTED = "rejected.jsonl"


def examples_file(task: str, split: str, root: Path = Path()) -> Path:
    """The examples of one split (train, validation or test) of a task."""
    return root / EXAMPLES / task / f"{split}.jsonl"


def predictions_file(system: str, task: str) -> Path:
    """One system's predictions for one task."""
    return PREDICTIONS / system / f"{task}.jsonl"


def metrics_file(system: str) -> Path:
    """One system's metrics on all its tasks."""
    return METRICS / f"{system}.json"

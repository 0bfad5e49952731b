"""Sweeps: every combination of values is checked, queued as a DVC experiment, and run."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ecomtune.checks.compatibility import check_fits
from ecomtune.checks.parameters import load_params
from ecomtune.core.config.params import Params
from ecomtune.core.files import read_yaml
from ecomtune.core.paths import PARAMS_FILE, PIPELINE_FILE, SCRATCH
from ecomtune.messages.advice import nearest
from ecomtune.messages.errors import UserError
from ecomtune.runs.experiment_queue import read_queue, run_queue, visible_gpus
from ecomtune.runs.revisions import git


def combinations(overrides: Sequence[str]) -> list[list[str]]:
    """Every combination of the values of ``key=a,b,c`` overrides, in DVC's grammar, which is Hydra's.

    Raises UserError for the first one that doesn't override a parameter, or that breaks a rule of params.yaml.
    """
    from dvc.utils.hydra import apply_overrides, get_hydra_sweeps

    keys = [override.partition("=")[0] for override in overrides]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise UserError(f"{twice[0]} is given twice, and only the last one would count; write its values as -S {twice[0]}=1,2")
    try:
        found = [list(each[str(PARAMS_FILE)]) for each in get_hydra_sweeps({str(PARAMS_FILE): list(overrides)})]
    except Exception as error:  # Hydra and its parser raise their own
        raise UserError(f"-S {' '.join(overrides)}: {_first_line(error)}; write it like -S train.shared.rank=4,8") from error
    SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        trial = Path(scratch) / PARAMS_FILE
        for values in found:
            shutil.copy(PARAMS_FILE, trial)
            try:
                apply_overrides(trial, values)
                check_fits(load_params(trial))
            except Exception as error:
                reason = _first_line(error if isinstance(error, UserError) else error.__cause__ or error)
                if reason.startswith("Could not override"):
                    reason += f", which params.yaml doesn't have; {_correction(values)}"
                what = f"-S {' -S '.join(values)}: {reason.removeprefix(f'{trial}: ')}"
                raise UserError(f"{what}; nothing was queued") from error
    return found


def _correction(values: Sequence[str]) -> str:
    """What to write instead of the override whose key the file doesn't have."""
    known = list(_keys(read_yaml(PARAMS_FILE)))
    wrong = next((key for value in values if (key := value.partition("=")[0]).lstrip("+~") not in known), "key")
    near = nearest(wrong, known)
    return f"correct the key{f' to {near}' if near else ''}, or add it with -S +{wrong}=..."


def _keys(values: Mapping[Any, Any], prefix: str = "") -> Iterator[str]:
    """The dotted paths of all keys, each after ``prefix``."""
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def missing_in_copies(params: Params) -> str | None:
    """The first file that experiments would lack, since they run in copies of what git and DVC track; None if there is none."""
    untracked = git("ls-files", "--others", "--exclude-standard", "--", "src", str(PIPELINE_FILE), str(PARAMS_FILE))
    if untracked:
        return untracked.splitlines()[0]
    for stage, path in _own_paths(params):
        if not git("ls-files", "--", path) and not _is_up_to_date(stage):
            return path
    return None


def _own_paths(params: Params) -> Iterator[tuple[str, str]]:
    """The stage and the relative path of each of the user's own files and folders that a stage reads."""
    for name, dataset in params.datasets.items():
        own = [file.url for file in dataset.files if "://" not in file.url and not Path(file.url).is_absolute()]
        yield from ((f"download@{name}", path) for path in own)
    for name, model in params.models.items():
        if model.source == "folder" and not Path(model.folder).is_absolute():
            yield f"pretrained@{name}", model.folder


def _is_up_to_date(stage: str) -> bool:
    done = subprocess.run(["dvc", "status", "--json", stage], capture_output=True, text=True, check=False)
    return done.stdout.splitlines() == ["{}"]


def enqueue(overrides: Sequence[str]) -> list[str]:
    """Queue an experiment for each combination, and return their names. Raises UserError with the reason if DVC refuses."""
    before = set(read_queue().states)
    command = ["dvc", "exp", "run", "--queue", *(part for override in overrides for part in ("-S", override))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
        reason = (errors or lines or ["no reason given"])[-1]
        raise UserError(f"dvc exp run --queue failed ({reason}); run it alone to see more")
    return [name for name in read_queue().states if name not in before]


def run_sweep(overrides: Sequence[str], jobs: int, report: Callable[[str], Any]) -> None:
    """Check, queue and run every combination of ``overrides``. Raises UserError, before anything is queued, if it can't."""
    if 1 < (gpus := len(visible_gpus())) < jobs:
        raise UserError(f"-j {jobs} is more than the {gpus} GPUs, and each experiment needs one of its own; use -j {gpus}")
    number = len(combinations(overrides))
    missing = missing_in_copies(load_params())
    if missing is not None:
        raise UserError(
            f"{missing} isn't tracked by git, and queued experiments run in copies without it; git add it, or run dvc repro "
            "once so that DVC has what is made from it"
        )
    names = enqueue(overrides)
    report(f"{number} experiments: {', '.join(names)}")
    run_queue(names, jobs, report)

"""The current run as the study's questions look at it: its params, its summary, and what other training sizes gave."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from ecomtune.core.config.params import Params
from ecomtune.core.files import read_json, read_yaml
from ecomtune.core.paths import LOCK_FILE, SUMMARY
from ecomtune.messages.errors import UserError
from ecomtune.report.summary import summarize
from ecomtune.runs import curve
from ecomtune.runs.revisions import WORKSPACE, run_at
from ecomtune.runs.roles import role_of


@dataclass(frozen=True)
class Study:
    """A run: ``summary`` is what stage compare wrote, ``curves`` by task the systems' values at each training size."""

    params: Params
    summary: dict[str, Any]
    curves: dict[str, dict[str, curve.Curve]]

    def scored(self, task: str, *roles: str) -> list[str]:
        """The systems that have been scored in a task and play one of these parts in it (report/roles.py)."""
        names = [name for name, cells in self.summary["systems"].items() if task in cells]
        return [name for name in names if role_of(self.params, name, task) in roles]

    def tuned(self, task: str) -> list[str]:
        """The LLM tuned on the task alone, or where there is none, on a mix."""
        return self.scored(task, "single") or self.scored(task, "mixed")


def read_study(params: Params) -> Study:
    """The run in the current folder.

    Raises UserError where a system has no metrics, or the summary on disk, which git doesn't have, is of another run.
    """
    try:
        locked = {out["path"]: out["md5"] for out in read_yaml(LOCK_FILE)["stages"]["compare"]["outs"]}
    except (FileNotFoundError, KeyError, TypeError):
        locked = {}
    found = hashlib.md5(SUMMARY.read_bytes(), usedforsecurity=False).hexdigest() if SUMMARY.is_file() else None
    if found is None or found != locked.get(str(SUMMARY)):
        raise UserError(f"{SUMMARY} isn't that of the run in {LOCK_FILE}; run dvc checkout compare, or dvc repro")
    study = Study(params, {**read_json(SUMMARY), **summarize(params)}, {})
    study.curves.update(_curves(study))
    return study


def _curves(study: Study) -> dict[str, dict[str, curve.Curve]]:
    """By task, the curves over the training sizes that this commit and its experiments have run, where these are several."""
    tasks = [task for task in study.params.tasks if study.tuned(task)]
    found: dict[str, dict[str, curve.Curve]] = {}
    try:
        runs = list(curve.runs().ended.values()) if tasks else []
    except UserError:  # not in a git repository
        return found
    current = run_at(WORKSPACE).params
    for task in tasks:
        try:
            found[task] = curve.learning_curves(runs, current, f"tasks.{task}.train_size", task)
        except UserError:  # fewer than two sizes
            continue
    return found

"""The current run as the study's questions need it: its params, its summary, and the results of other training sizes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ecomtune.core.config.params import Params
from ecomtune.core.files import read_yaml
from ecomtune.core.paths import LOCK_FILE, SUMMARY
from ecomtune.messages.errors import UserError
from ecomtune.report.summary import Summary, read_summary, summarize
from ecomtune.runs.curve import Curve, learning_curves
from ecomtune.runs.freshness import md5_file
from ecomtune.runs.revisions import WORKSPACE, run_at, runs_of_commit
from ecomtune.runs.roles import role_of


@dataclass(frozen=True)
class Study:
    """A run: its params, the summary that stage compare wrote, and learning curves over training sizes by task and system."""

    params: Params
    summary: Summary
    curves: dict[str, dict[str, Curve]] = field(default_factory=dict)

    def scored(self, task: str, *roles: str) -> list[str]:
        """The systems that were scored on a task and have one of these roles in it (see :func:`role_of`)."""
        return [name for name in self.summary.cells(task) if role_of(self.params, name, task) in roles]

    def tuned(self, task: str) -> list[str]:
        """The LLM tuned on the task alone or, if there is none, on a mix."""
        return self.scored(task, "single") or self.scored(task, "mixed")


def read_study(params: Params) -> Study:
    """The run in the current folder.

    Raises UserError if a system has no metrics, or if the summary on disk, which git doesn't hold, belongs to another run.
    """
    try:
        locked = {out["path"]: out["md5"] for out in read_yaml(LOCK_FILE)["stages"]["compare"]["outs"]}
    except (FileNotFoundError, KeyError, TypeError):
        locked = {}
    found = md5_file(SUMMARY) if SUMMARY.is_file() else None
    if found is None or found != locked.get(str(SUMMARY)):
        problem = "is missing" if not SUMMARY.is_file() else f"is not that of the run in {LOCK_FILE}"
        raise UserError(f"{SUMMARY} {problem}; run dvc checkout compare, or dvc repro")
    # metrics/ may be newer than the summary, and then the answers are called stale
    study = Study(params, read_summary().with_scores(summarize(params)))
    return replace(study, curves=_curves(study))


def _curves(study: Study) -> dict[str, dict[str, Curve]]:
    """By task, the curves over the training sizes of this commit's run and its experiments, if there are several sizes."""
    tasks = [task for task in study.params.tasks if study.tuned(task)]
    found: dict[str, dict[str, Curve]] = {}
    try:
        runs = list(runs_of_commit().finished.values()) if tasks else []
    except UserError:  # not in a git repository
        return found
    current = run_at(WORKSPACE).params
    for task in tasks:
        try:
            found[task] = learning_curves(runs, current, f"tasks.{task}.train_size", task)
        except UserError:  # fewer than two sizes
            continue
    return found

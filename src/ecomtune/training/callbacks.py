"""What every training adds to transformers' Trainer: complete checkpoints, validation losses, a progress bar, live losses."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from accelerate import PartialState
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import ProgressCallback, TrainerCallback

from ecomtune.models.process import is_main_process
from ecomtune.training.checkpoints import Checkpoints
from ecomtune.training.distributed import from_main_process, set_trained_weights, trained_weights

#: Loss of each task's validation rows, by the task's name.
Losses = dict[str, float]
#: The key of validation losses, in the trainer's log history and in training.json.
VALIDATION = "validation"


class KeepCheckpoints(TrainerCallback):
    """Asks for a checkpoint whenever the interval has passed, and marks it as complete once it is written.

    It asks for none at the last step, or where the training stops early: Trainer would continue the training from there.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints
        self.last = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        ends = state.global_step >= state.max_steps or control.should_training_stop
        if not ends and from_main_process(time.monotonic() - self.last >= self.checkpoints.interval):
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        PartialState().wait_for_everyone()  # each process writes its random state
        if is_main_process():
            self.checkpoints.mark_complete(state.global_step)
        self.last = time.monotonic()


class Validation(TrainerCallback):
    """Logs the losses on validation rows at ``steps``; with ``patience``, keeps the best weights and stops early.

    ``losses`` computes each task's mean loss; their mean decides. ``patience`` is how many times in a row that mean may fail
    to fall before the training stops, 0 for never. Everything is derived from the losses in the trainer's state, so that a
    resumed training decides like one that was never stopped.
    """

    def __init__(self, losses: Callable[[], Losses], steps: Collection[int], patience: int, best: Path) -> None:
        self.losses = losses
        self.steps = frozenset(steps)
        self.patience = patience
        self.best = best

    def on_step_end(self, args: Any, state: Any, control: Any, model: nn.Module, **_: Any) -> None:
        if state.global_step not in self.steps:
            return
        state.log_history.append({"step": state.global_step, VALIDATION: from_main_process(self.losses())})
        means = _mean_losses(state)
        best = means.index(min(means))
        if self.patience and best == len(means) - 1:
            weights = trained_weights(model)  # in all processes, since each may hold a shard
            if is_main_process():
                save_file(weights, self.best)
        if self.patience and len(means) - 1 - best >= self.patience:
            control.should_training_stop = True

    def restore_best(self, state: Any, model: nn.Module) -> None:
        """Load the weights of the lowest loss into ``model``, unless they are the last ones."""
        means = _mean_losses(state)
        if self.patience and means and means.index(min(means)) < len(means) - 1:
            set_trained_weights(model, load_file(self.best))


def _mean_losses(state: Any) -> list[float]:
    """The mean over the tasks of each validation in the log history."""
    logged = [list(entry[VALIDATION].values()) for entry in state.log_history if VALIDATION in entry]
    return [sum(losses) / len(losses) for losses in logged]


class LossBar(ProgressCallback):
    """A progress bar that shows the loss of the last step, where Trainer would print a line at each step."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if self.training_bar is not None and "loss" in logs:
            self.training_bar.set_postfix(loss=f"{logs['loss']:.3f}", refresh=False)


class LiveLosses(TrainerCallback):
    """Writes each loss to ``folder`` at once, in dvclive's format: plots/metrics/train/loss.tsv, and metrics.json.

    A resumed training first writes the earlier losses again, so that each appears once.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        from dvclive import Live  # here: only a training needs it, and it opens the repository

        # no experiment and no dvc.yaml of its own, which would change the checkout
        self.live = Live(dir=str(self.folder), save_dvc_exp=False, dvcyaml=None)
        for entry in state.log_history:
            self._write(entry)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.log_history and VALIDATION in state.log_history[-1]:  # of this step, whose training loss is logged later
            self._write(state.log_history[-1])

    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._write(state.log_history[-1])

    def _write(self, entry: Mapping[str, Any]) -> None:
        losses = {f"validation/{task}": loss for task, loss in entry.get(VALIDATION, {}).items()}
        losses |= {"train/loss": entry["loss"]} if "loss" in entry else {}
        self.live.step = entry["step"]
        for name, loss in losses.items():
            self.live.log_metric(name, loss)
        self.live.make_summary()


def can_write_live() -> bool:
    """Whether dvclive is installed and this is a folder of DVC, in which it makes no repository of its own."""
    return importlib.util.find_spec("dvclive") is not None and Path(".dvc").is_dir()

"""What every training adds to transformers' Trainer: whole checkpoints, losses on validation rows, and the loss as it falls."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType, broadcast_object_list
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import CheckpointWrapper
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import ProgressCallback, Trainer, TrainerCallback

from ecomtune.messages.errors import UserError
from ecomtune.models.process import is_main_process, is_sharded, world_size
from ecomtune.training.checkpoints import Checkpoints

T = TypeVar("T")

#: Loss of each task's validation rows, by the task's name.
Losses = dict[str, float]
VALIDATION = "validation"


class KeepCheckpoints(TrainerCallback):
    """Asks for a checkpoint whenever the interval has passed, and marks it as whole once it is written.

    None is asked for at the last step, or where the training is stopped: from there Trainer would train on.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints
        self.last = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        ends = state.global_step >= state.max_steps or control.should_training_stop
        if not ends and _of_main(time.monotonic() - self.last >= self.checkpoints.interval):
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        PartialState().wait_for_everyone()  # each process writes its random state
        if is_main_process():
            self.checkpoints.complete(state.global_step)
        self.last = time.monotonic()


class Validation(TrainerCallback):
    """Notes the losses on validation rows at ``steps``; with ``patience``, keeps the best weights and stops without progress.

    ``losses`` gives each task's mean loss; their mean decides. ``patience`` is the number of times in a row that it may fail
    to fall, 0 for as many as there are. Everything is derived from the losses that the trainer's state holds, so that a
    resumed training decides as one that was never stopped.
    """

    def __init__(self, losses: Callable[[], Losses], steps: Collection[int], patience: int, best: Path) -> None:
        self.losses = losses
        self.steps = frozenset(steps)
        self.patience = patience
        self.best = best

    def on_step_end(self, args: Any, state: Any, control: Any, model: nn.Module, **_: Any) -> None:
        if state.global_step not in self.steps:
            return
        state.log_history.append({"step": state.global_step, VALIDATION: _of_main(self.losses())})
        means = _means(state)
        best = means.index(min(means))
        if self.patience and best == len(means) - 1:
            weights = trained_weights(model)  # of all processes together
            if is_main_process():
                save_file(weights, self.best)
        if self.patience and len(means) - 1 - best >= self.patience:
            control.should_training_stop = True

    def restore_best(self, state: Any, model: nn.Module) -> None:
        """Give ``model`` the weights of the lowest loss, where those of the end are not."""
        means = _means(state)
        if self.patience and means and means.index(min(means)) < len(means) - 1:
            weights = load_file(self.best)
            with torch.no_grad():
                for name, parameter in _trained(model).items():
                    parameter.copy_(_sharded_as(parameter, weights[name]))


def _of_main(value: T) -> T:
    """What the first of the processes has: all must decide alike."""
    (agreed,) = broadcast_object_list([value])
    return cast(T, agreed)


def _means(state: Any) -> list[float]:
    """The mean validation loss of each time that it was noted."""
    noted = [list(entry[VALIDATION].values()) for entry in state.log_history if VALIDATION in entry]
    return [sum(losses) / len(losses) for losses in noted]


def _trained(model: nn.Module) -> dict[str, Tensor]:
    """The parameters that are trained, by the names that they have where no layer is wrapped to be computed anew."""
    trained = {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}
    return {name.replace("._checkpoint_wrapped_module", ""): each for name, each in trained.items()}


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """The whole weights that are trained, by name. Of a model that processes share (FSDP), each of them must ask."""
    return {name: each.full_tensor() if isinstance(each, DTensor) else each for name, each in _trained(model).items()}


def _unwrap(model: nn.Module) -> None:
    """Take off what FSDP wraps layers in so that they are computed anew: PEFT writes no weight that lies in it."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, CheckpointWrapper):
                setattr(parent, name, child._checkpoint_wrapped_module)


def _sharded_as(parameter: Tensor, weight: Tensor) -> Tensor:
    """A whole weight as this process holds the parameter: its share of it, where processes share a model."""
    if not isinstance(parameter, DTensor):
        return weight
    return distribute_tensor(weight.to(parameter.device), parameter.device_mesh, parameter.placements)


def check_processes(trainer: Trainer) -> None:
    """Raises UserError where other processes train together than were asked for: each would train an adapter of its own."""
    found, asked = trainer.accelerator.num_processes, world_size()
    if found != asked:
        raise UserError(f"{asked} processes were started, and {found} would train together; start them with torchrun")
    if is_sharded() and trainer.accelerator.distributed_type != DistributedType.FSDP:
        raise UserError("FSDP was asked for, and the processes would run without it, since it needs GPUs; use DDP on a CPU")
    if is_sharded() and not trainer.accelerator.is_fsdp2:
        raise UserError("FSDP of version 1 was asked for, whose shards are flat; set fsdp_version to 2 (FSDP_VERSION=2)")


class LossBar(ProgressCallback):
    """A progress bar that shows the loss of the last step, where Trainer prints a line each time."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if self.training_bar is not None and "loss" in logs:
            self.training_bar.set_postfix(loss=f"{logs['loss']:.3f}", refresh=False)


class LiveLosses(TrainerCallback):
    """Writes each loss as it comes into ``folder``, in dvclive's form: plots/metrics/train/loss.tsv, and metrics.json.

    A resumed training writes the losses before it anew, so that none is there twice.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        from dvclive import Live  # here: only a training needs it, and it opens the repository

        # neither an experiment nor a dvc.yaml of its own: these would make the checkout another
        self.live = Live(dir=str(self.folder), save_dvc_exp=False, dvcyaml=None)
        for entry in state.log_history:
            self._write(entry)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.log_history and VALIDATION in state.log_history[-1]:  # noted at this step, whose own loss is logged later
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


def can_show_live() -> bool:
    """Whether dvclive is installed, and this folder DVC's: in another one it would make one."""
    return importlib.util.find_spec("dvclive") is not None and Path(".dvc").is_dir()


def train(trainer: Trainer, checkpoints: Checkpoints, validation: Validation, live: Path | None = None) -> None:
    """Run a trainer from the newest whole checkpoint on; its model then has the weights that ``validation`` chooses.

    The trainer must log every step: a loss over several steps would come out differently after a checkpoint between them.
    ``live`` is a folder for the losses as they come, where dvclive is there to write them.
    """
    check_processes(trainer)
    trainer.remove_callback(ProgressCallback)
    for callback in (LossBar(), validation, KeepCheckpoints(checkpoints)):  # a stop is decided before a checkpoint
        trainer.add_callback(callback)
    if live is not None and is_main_process() and can_show_live():
        trainer.add_callback(LiveLosses(live))
    newest = _of_main(checkpoints.newest() if is_main_process() else None)
    if newest is not None and is_main_process():
        print(f"resumed from step {newest.name.partition('-')[2]}", flush=True)
    trainer.train(resume_from_checkpoint=None if newest is None else str(newest))
    trainer.accelerator.wait_for_everyone()
    _unwrap(trainer.model)
    validation.restore_best(trainer.state, trainer.model)
    trainer.accelerator.wait_for_everyone()  # the first process may remove the checkpoints now


def history(state: Any, points: int = 20) -> dict[str, Any]:
    """The losses of a training by step: of ``points`` equal stretches of steps their mean, and those on validation rows."""
    losses = [(entry["step"], entry["loss"]) for entry in state.log_history if "loss" in entry]
    width = -(-len(losses) // points)
    stretches = [losses[start : start + width] for start in range(0, len(losses), width or 1)]
    return {
        "loss": [[part[-1][0], round(sum(loss for _, loss in part) / len(part), 4)] for part in stretches],
        "steps": state.global_step,
        VALIDATION: [
            {"step": entry["step"], **{task: round(loss, 4) for task, loss in sorted(entry[VALIDATION].items())}}
            for entry in state.log_history
            if VALIDATION in entry
        ],
    }

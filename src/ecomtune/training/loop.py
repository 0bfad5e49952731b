"""Running a Trainer from the newest complete checkpoint, and the losses that a training's record keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import ProgressCallback, Trainer

from ecomtune.models.process import is_main_process
from ecomtune.training.callbacks import VALIDATION, KeepCheckpoints, LiveLosses, LossBar, Validation, can_write_live
from ecomtune.training.checkpoints import Checkpoints
from ecomtune.training.distributed import check_processes, from_main_process, unwrap_checkpointed_layers

#: The most points that a record's training loss has.
LOSS_POINTS = 20


def train(trainer: Trainer, checkpoints: Checkpoints, validation: Validation, live: Path | None = None) -> None:
    """Run a trainer from the newest complete checkpoint; its model then has the weights that ``validation`` chooses.

    The trainer must log every step: a loss over several steps would come out differently after a checkpoint between them.
    Losses are written to the folder ``live`` as they are computed, if dvclive is installed.
    """
    check_processes(trainer)
    trainer.remove_callback(ProgressCallback)
    for callback in (LossBar(), validation, KeepCheckpoints(checkpoints)):  # stopping is decided before checkpointing
        trainer.add_callback(callback)
    if live is not None and is_main_process() and can_write_live():
        trainer.add_callback(LiveLosses(live))
    newest = from_main_process(checkpoints.newest() if is_main_process() else None)
    if newest is not None and is_main_process():
        print(f"resumed from step {newest.name.partition('-')[2]}", flush=True)
    trainer.train(resume_from_checkpoint=None if newest is None else str(newest))
    trainer.accelerator.wait_for_everyone()
    unwrap_checkpointed_layers(trainer.model)
    validation.restore_best(trainer.state, trainer.model)
    trainer.accelerator.wait_for_everyone()  # rank 0 may remove the checkpoints from now on


def loss_history(state: Any) -> dict[str, Any]:
    """A training's losses by step: the mean of each of LOSS_POINTS equal stretches of steps, and every validation's."""
    losses = [(entry["step"], entry["loss"]) for entry in state.log_history if "loss" in entry]
    width = -(-len(losses) // LOSS_POINTS)
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

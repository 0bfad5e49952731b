"""Weights averaged over a training's steps, which answer in place of the last step's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ecomtune.trainer_callbacks import Validation

_FILE = "average.safetensors"


class AveragedValidation(Validation):
    """A validation by, and in the end a model of, the exponential moving average of all weights (Polyak and Juditsky 1992).

    After step n the average moves by 1 - min(``decay``, (1 + n) / (10 + n)) of the way to the step's weights, so that it soon
    forgets where the training began (the schedule of TensorFlow's ExponentialMovingAverage). It stands in each checkpoint.
    """

    average: dict[str, Tensor]

    def __init__(self, decay: float, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.decay = decay

    def on_train_begin(self, args: Any, state: Any, control: Any, model: nn.Module, **_: Any) -> None:
        kept = Path(args.output_dir) / f"checkpoint-{state.global_step}" / _FILE
        held = load_file(kept) if state.global_step else {name: weight.clone() for name, weight in _weights(model).items()}
        self.average = {name: held[name].to(weight.device) for name, weight in _weights(model).items()}

    def on_step_end(self, args: Any, state: Any, control: Any, model: nn.Module, **_: Any) -> None:
        step = state.global_step
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, weight in _weights(model).items():
            self.average[name].lerp_(weight, share)
        if step in self.steps:
            with self._in_place(model):
                super().on_step_end(args, state, control, model)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        save_file(self.average, Path(args.output_dir) / f"checkpoint-{state.global_step}" / _FILE)

    def restore_best(self, state: Any, model: nn.Module) -> None:
        """Give ``model`` the average of the end, or the one of the lowest loss."""
        _copy(self.average, model)
        super().restore_best(state, model)

    @contextmanager
    def _in_place(self, model: nn.Module) -> Iterator[None]:
        """The block sees the average as the model's weights."""
        own = {name: weight.clone() for name, weight in _weights(model).items()}
        _copy(self.average, model)
        yield
        _copy(own, model)


def _weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach() for name, weight in model.named_parameters()}


def _copy(weights: dict[str, Tensor], model: nn.Module) -> None:
    for name, weight in _weights(model).items():
        weight.copy_(weights[name])

"""What processes that train one model together need: one decision for all, and the complete weights of a sharded model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar, cast

import torch
from accelerate.utils import DistributedType, broadcast_object_list
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import CheckpointWrapper
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import Trainer

from ecomtune.messages.errors import UserError
from ecomtune.models.process import is_sharded, world_size

T = TypeVar("T")


def check_processes(trainer: Trainer) -> None:
    """Raises UserError where the processes don't train together as they were started to: each would train its own adapter."""
    found, asked = trainer.accelerator.num_processes, world_size()
    if found != asked:
        raise UserError(f"{asked} processes were started, and {found} would train together; start them with torchrun")
    if is_sharded() and trainer.accelerator.distributed_type != DistributedType.FSDP:
        raise UserError("FSDP was asked for, and the processes would run without it, since it needs GPUs; use DDP on a CPU")
    if is_sharded() and not trainer.accelerator.is_fsdp2:
        raise UserError("FSDP of version 1 was asked for, whose shards are flat; set fsdp_version to 2 (FSDP_VERSION=2)")


def from_main_process(value: T) -> T:
    """The value of rank 0, so that all processes decide alike."""
    (agreed,) = broadcast_object_list([value])
    return cast(T, agreed)


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """The complete trained weights by name. Where processes share a model (FSDP), all of them must call this."""
    return {name: each.full_tensor() if isinstance(each, DTensor) else each for name, each in _trained(model).items()}


def set_trained_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy complete ``weights`` into the trained parameters, or into this process's shards of them."""
    with torch.no_grad():
        for name, parameter in _trained(model).items():
            parameter.copy_(_sharded_like(parameter, weights[name]))


def unwrap_checkpointed_layers(model: nn.Module) -> None:
    """Remove FSDP's wrappers for activation checkpointing: PEFT doesn't save weights inside them."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, CheckpointWrapper):
                setattr(parent, name, child._checkpoint_wrapped_module)


def _trained(model: nn.Module) -> dict[str, Tensor]:
    """The trained parameters, by the names that they have without wrappers for activation checkpointing."""
    trained = {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}
    return {name.replace("._checkpoint_wrapped_module", ""): each for name, each in trained.items()}


def _sharded_like(parameter: Tensor, weight: Tensor) -> Tensor:
    """A complete weight as this process holds the parameter: its shard of it, where processes share a model."""
    if not isinstance(parameter, DTensor):
        return weight
    return distribute_tensor(weight.to(parameter.device), parameter.device_mesh, parameter.placements)

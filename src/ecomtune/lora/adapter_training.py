"""Training one adapter: transformers' Trainer over shared-prefix batches."""

from __future__ import annotations

import importlib.util
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.pytorch_utils import Conv1D

from ecomtune.core.adapter_files import write_config
from ecomtune.core.config import Training
from ecomtune.core.files import dump_json, read_json, write_text
from ecomtune.core.paths import ADAPTER_CONFIG, ADAPTER_WEIGHTS, SCRATCH, TRAINING_RECORD
from ecomtune.core.records import Example
from ecomtune.lora import prefix_attention
from ecomtune.lora.batches import SharedPrefixCollator, plan_batches, plan_of_process
from ecomtune.lora.fused_linear import FusedLoraLinear
from ecomtune.lora.fused_norm import fuse_norms
from ecomtune.lora.shared_prefix import SharedPrefixLora
from ecomtune.messages.errors import UserError, reading
from ecomtune.models.loading import load_whole
from ecomtune.models.process import world_size
from ecomtune.models.tokenization import EncodedExample, Tokenizer, context_of, encode_example
from ecomtune.training.arguments import training_arguments
from ecomtune.training.callbacks import Validation, history, train, trained_weights
from ecomtune.training.checkpoints import Checkpoints


@dataclass(frozen=True)
class Trained:
    """A trained LoRA model, the weights of its adapter, and its record: rows, steps and tokens learnt from, losses by step."""

    model: SharedPrefixLora
    weights: dict[str, Tensor]
    record: dict[str, Any]


def train_adapter(
    examples: Sequence[Example],
    validation: Sequence[Example],
    base: Path,
    settings: Training,
    seed: int,
    checkpoints: Checkpoints,
    live: Path | None = None,
) -> Trained:
    """Train an adapter of the weights in ``base`` on ``examples``, from the newest whole checkpoint on.

    After each epoch the loss on ``validation`` is noted by task; where ``settings.patience`` is set, it decides when to stop
    and which epoch's weights to take. ``live`` is a folder for the losses as they come. Raises UserError naming the row where
    an example is too long or empty, and where the training diverges.
    """
    set_seed(seed)
    if not examples:
        raise UserError("there are no training examples; raise the adapter's limit, or give it fewer shards")
    if settings.patience and not validation:
        raise UserError("train.shared.patience needs validation rows to stop by; raise validation_size, or set it to 0")
    with reading(base):
        tokenizer = AutoTokenizer.from_pretrained(base)
    encoded, held_out = (encode_rows(tokenizer, rows, settings.max_length) for rows in (examples, validation))
    model = lora_model(base, settings)
    context = context_of(model.get_base_model().config)
    if settings.max_length > context:
        raise UserError(f"train.shared.max_length {settings.max_length} is beyond the model's context of {context}; lower it")
    limits = {"batch_size": settings.batch_size, "token_budget": settings.token_budget, "seed": seed}
    epochs = [plan_batches(encoded, epoch=epoch, **limits) for epoch in range(settings.epochs)]
    plan = [batch for epoch in epochs for batch in epoch]
    collate = SharedPrefixCollator(tokenizer.pad_token_id or 0, share=settings.share_prefix)
    trainer = PlannedTrainer(
        model=model,
        args=_arguments(settings, seed, checkpoints),
        train_dataset=encoded,
        data_collator=collate,
        plan=plan,
    )
    torch.set_num_threads(settings.threads)  # after the trainer's arguments, which set it where several processes train
    each_step = settings.accumulation * world_size()
    ends = [-(-batches // each_step) for batches in accumulate(map(len, epochs))]
    batches = [[held_out[row] for row in rows] for rows in plan_batches(held_out, epoch=0, **limits)]
    losses = partial(validation_losses, model, collate, batches)
    train(trainer, checkpoints, Validation(losses, ends if batches else [], settings.patience, checkpoints.best), live)
    trained = trained_weights(model)
    if not all(weight.isfinite().all() for weight in trained.values()):
        raise UserError("the training has diverged: its weights are not finite numbers; lower train.shared.learning_rate")
    learnt = {
        "rows": sum(map(len, plan)),
        "tokens": sum(collate.tokens([encoded[row] for row in batch]) for batch in plan),
        "trained_parameters": sum(weight.numel() for weight in trained.values()),
    }
    return Trained(model, trained, {**learnt, **history(trainer.state)})


def encode_rows(tokenizer: Tokenizer, rows: Sequence[Example], max_length: int) -> list[EncodedExample]:
    """Each example's tokens. Raises UserError naming the one that is too long or empty."""
    return [
        encode_example(tokenizer, identity=row.id, group=row.task, prompt=row.prompt, target=row.target, max_length=max_length)
        for row in rows
    ]


@torch.no_grad()
def validation_losses(
    model: SharedPrefixLora, collate: SharedPrefixCollator, batches: Sequence[Sequence[EncodedExample]]
) -> dict[str, float]:
    """Mean cross-entropy of a target token, by task; each batch holds one task's rows. Without dropout."""
    sums: dict[str, float] = defaultdict(float)
    tokens: dict[str, int] = defaultdict(int)
    model.eval()
    for batch in batches:
        inputs = {name: value.to(model.device) for name, value in collate(batch).items()}
        with torch.autocast(model.device.type, torch.bfloat16, enabled=model.device.type == "cuda"):
            sums[batch[0].group] += float(model(**inputs, num_items_in_batch=1).loss)
        tokens[batch[0].group] += sum(len(example.target_ids) for example in batch)
    model.train()
    return {task: sums[task] / tokens[task] for task in sorted(sums)}


def lora_model(base: Path, settings: Training) -> SharedPrefixLora:
    """The weights of ``base`` with a fresh adapter on every linear layer but the head (the paper's choice).

    Raises UserError where they are missing or broken, lack a layer that is named, or can't be quantized here.
    """
    options: dict[str, Any] = {"quantization_config": four_bits()} if settings.quantization == "nf4" else {}
    options |= {"dtype": torch.float32, "attn_implementation": prefix_attention.NAME}
    causal = load_whole(AutoModelForCausalLM, base, **options)
    known = linear_names(causal)
    if unknown := sorted(set(settings.target_modules) - set(known)):
        have = f"name some of its linear layers: {', '.join(known)}"
        raise UserError(f"train.shared.target_modules: the base model has no {unknown[0]!r}; {have}")
    fuse_norms(causal)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        use_rslora=settings.rslora,
        use_dora=settings.dora,
        target_modules=list(settings.target_modules) or "all-linear",
        base_model_name_or_path=base.as_posix(),
    )
    config._register_custom_module({torch.nn.Linear: FusedLoraLinear})
    return SharedPrefixLora(causal, config)


def linear_names(model: nn.Module) -> list[str]:
    """The names that linear layers have in their blocks, such as q_proj, sorted."""
    layers = [name for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)]
    return sorted({name.rpartition(".")[2] for name in layers})


def four_bits() -> BitsAndBytesConfig:
    """QLoRA's base weights: 4-bit NormalFloat, its constants quantized too, multiplied in bf16 (arXiv 2305.14314)."""
    if not torch.cuda.is_available():
        raise UserError("train.shared.quantization: nf4 needs a CUDA GPU, and there is none; set it to none")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UserError("train.shared.quantization: nf4 needs the package bitsandbytes; install it, or set it to none")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def _arguments(settings: Training, seed: int, checkpoints: Checkpoints) -> TrainingArguments:
    """Trainer's arguments. The plan holds all epochs, so that for Trainer there is one."""
    return training_arguments(
        checkpoints.folder,
        seed,
        num_train_epochs=1,
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        bf16=torch.cuda.is_available(),
    )


class PlannedBatches:
    """A batch sampler that yields a plan of batches in its order."""

    def __init__(self, plan: Sequence[list[int]]) -> None:
        self.plan = plan

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.plan)


class PlannedTrainer(Trainer):
    """Trainer that takes its batches, all epochs of them, from a plan."""

    def __init__(self, *args: Any, plan: Sequence[list[int]], **kwargs: Any) -> None:
        self.plan = plan
        super().__init__(*args, **kwargs)

    def get_train_dataloader(self) -> DataLoader[EncodedExample]:
        """One pass over this process's part of the plan."""
        own = plan_of_process(self.plan, self.accelerator.process_index, self.accelerator.num_processes)
        return DataLoader(self.train_dataset, batch_sampler=PlannedBatches(own), collate_fn=self.data_collator)


def save_trained(trained: Trained, folder: Path) -> None:
    """Write the adapter as a plain PEFT folder with its record beside it; the same bytes for the same weights."""
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        trained.model.save_pretrained(scratch, state_dict=trained.weights)
        (folder / ADAPTER_WEIGHTS).write_bytes((Path(scratch) / ADAPTER_WEIGHTS).read_bytes())
        write_config(read_json(Path(scratch) / ADAPTER_CONFIG), folder)
    write_text(folder / TRAINING_RECORD, dump_json(trained.record))

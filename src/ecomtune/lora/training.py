"""Training one adapter: transformers' Trainer over shared-prefix batches."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from torch.utils.data import DataLoader
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    Trainer,
    TrainingArguments,
    set_seed,
)

from ecomtune.encoding import EncodedExample, context_of, encode_example
from ecomtune.errors import UserError, reading
from ecomtune.files import SCRATCH, read_json
from ecomtune.lora import prefix_attention
from ecomtune.lora.adapter import CONFIG, WEIGHTS, write_config
from ecomtune.lora.batches import SharedPrefixCollator, plan_batches
from ecomtune.lora.fused_linear import FusedLoraLinear
from ecomtune.lora.fused_norm import fuse_norms
from ecomtune.lora.shared_prefix import SharedPrefixLora
from ecomtune.records import Example
from ecomtune.sections import Training


def train_adapter(examples: Sequence[Example], base: Path, settings: Training, seed: int) -> SharedPrefixLora:
    """A LoRA model of the weights in ``base``, trained on ``examples``.

    Raises UserError naming the row where an example is too long or empty, and where the training diverges.
    """
    set_seed(seed)
    torch.set_num_threads(settings.threads)
    if not examples:
        raise UserError("there are no training examples; raise the adapter's limit, or give it fewer shards")
    with reading(base):
        tokenizer = AutoTokenizer.from_pretrained(base)
    encoded = [
        encode_example(
            tokenizer,
            identity=row.id,
            group=row.task,
            prompt=row.prompt,
            target=row.target,
            max_length=settings.max_length,
        )
        for row in examples
    ]
    model = lora_model(base, settings)
    context = context_of(model.get_base_model().config)
    if settings.max_length > context:
        raise UserError(f"train.shared.max_length {settings.max_length} is beyond the model's context of {context}; lower it")
    plan = plan_batches(
        encoded, batch_size=settings.batch_size, token_budget=settings.token_budget, epochs=settings.epochs, seed=seed
    )
    SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        trainer = PlannedTrainer(
            model=model,
            args=training_arguments(settings, seed, scratch),
            train_dataset=encoded,
            data_collator=SharedPrefixCollator(tokenizer.pad_token_id or 0, share=settings.share_prefix),
            plan=plan,
        )
        trainer.train()
    if not all(weight.isfinite().all() for weight in model.parameters() if weight.requires_grad):
        raise UserError("the training has diverged: its weights are not finite numbers; lower train.shared.learning_rate")
    return model


def lora_model(base: Path, settings: Training) -> SharedPrefixLora:
    """The weights of ``base`` with a fresh adapter on every linear layer but the head (the paper's choice).

    Raises UserError where they are missing or broken, or can't be quantized here.
    """
    options = {"quantization_config": four_bits()} if settings.quantization == "nf4" else {}
    with reading(base):
        causal = AutoModelForCausalLM.from_pretrained(
            base, dtype=torch.float32, attn_implementation=prefix_attention.NAME, **options
        )
    fuse_norms(causal)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        base_model_name_or_path=base.as_posix(),
    )
    config._register_custom_module({torch.nn.Linear: FusedLoraLinear})
    return SharedPrefixLora(causal, config)


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


def training_arguments(settings: Training, seed: int, folder: str) -> TrainingArguments:
    """Trainer's arguments. The plan holds all epochs, so that for Trainer there is one."""
    arguments = TrainingArguments(
        output_dir=folder,
        num_train_epochs=1,
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        seed=seed,
        use_cpu=not torch.cuda.is_available(),
        bf16=torch.cuda.is_available(),
        save_strategy="no",
        report_to="none",
        logging_strategy="steps",
        logging_steps=0.1,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        disable_tqdm=False,  # its default follows the log level
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # with more, DataParallel would cut the shared prefix in pieces
    return arguments


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
        """One pass over the plan."""
        loader: DataLoader[EncodedExample] = DataLoader(
            self.train_dataset, batch_sampler=PlannedBatches(self.plan), collate_fn=self.data_collator
        )
        prepared: DataLoader[EncodedExample] = self.accelerator.prepare(loader)
        return prepared


def save_trained(model: SharedPrefixLora, folder: Path) -> None:
    """Write the adapter as a plain PEFT folder, with the same bytes for the same weights."""
    with tempfile.TemporaryDirectory(dir=SCRATCH) as scratch:
        model.save_pretrained(scratch)
        (folder / WEIGHTS).write_bytes((Path(scratch) / WEIGHTS).read_bytes())
        write_config(read_json(Path(scratch) / CONFIG), folder)

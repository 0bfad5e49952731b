"""Training side by side: the project's own trainer and trl's SFTTrainer, on the same batches in the same order.

Both sides get the same rows in the same batches (the project's length-bucketed plan, one task a batch, which spares trl
most of its padding too), the same tokens and loss tokens, the same initial adapter, optimizer, schedule, clipping,
precision and threads, and attention through SDPA. trl runs without the gradient checkpointing that it defaults to, without
packing (which would need flash attention), truncation, logging, saving and evaluation.
A turn is one optimizer step on one batch of each task, from fetching the batch to the scheduler's step.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.counts import Shape, Work, shared, training_flops, whole
from benchmarks.harness import Measured, Options, Side, Turns, measure
from benchmarks.machine import matmul_peak
from benchmarks.results import Comparison, Entry, Target
from ecomtune.core.config import Training
from ecomtune.core.records import Example
from ecomtune.models.tokenization import EncodedExample, encode_example

SEED = 7
#: Relative difference of losses above which the two sides don't count as equal, by device (GPU: bfloat16).
TOLERANCE = {"cpu": 1e-4, "cuda": 1e-2}
#: What trl's arguments take from the project's.
SAME_ARGUMENTS = (
    *("adam_beta1", "adam_beta2", "adam_epsilon", "bf16", "dataloader_pin_memory", "gradient_accumulation_steps"),
    *("learning_rate", "lr_scheduler_type", "max_grad_norm", "num_train_epochs", "optim", "output_dir", "report_to"),
    *("save_strategy", "seed", "use_cpu", "warmup_steps", "weight_decay"),
)


@dataclass(frozen=True)
class Job:
    """What both sides train."""

    options: Options
    settings: Training
    examples: list[Example]

    def rounds(self, tokenizer: Any) -> list[list[list[EncodedExample]]]:
        """For each turn its batches, one of each task: the warm-up's are among those measured, which are all different."""
        from ecomtune.lora.batches import plan_batches

        encoded = [encode_example(tokenizer, row, self.settings.max_length) for row in self.examples]
        size = self.settings.batch_size
        plan = plan_batches(encoded, batch_size=size, token_budget=self.settings.token_budget, epoch=0, seed=SEED)
        by_task: dict[str, list[list[EncodedExample]]] = defaultdict(list)
        for batch in plan:
            by_task[encoded[batch[0]].group].append([encoded[row] for row in batch])
        measured = [list(turn) for turn in zip(*by_task.values(), strict=True)]
        if len(measured) != self.options.repeats or any(len(batch) != size for turn in measured for batch in turn):
            raise ValueError("the rows don't make whole batches for every turn")
        return [*(measured[turn % len(measured)] for turn in range(self.options.warm_up)), *measured]


def ours(turns: Turns, job: Job) -> None:
    """SharedPrefixLora in PlannedTrainer with SharedPrefixCollator, as ``train_adapter`` puts them together."""
    from transformers import AutoTokenizer, set_seed

    from ecomtune.lora.batches import SharedPrefixCollator
    from ecomtune.lora.model import lora_model
    from ecomtune.lora.planned_trainer import PlannedTrainer

    base, settings = job.options.base, job.settings
    tokenizer = AutoTokenizer.from_pretrained(base)
    rounds = job.rounds(tokenizer)
    batches = [batch for turn in rounds for batch in turn]
    set_seed(SEED)
    trainer_class = _recording(PlannedTrainer)
    collator = SharedPrefixCollator(tokenizer.pad_token_id or 0)
    trainer = trainer_class(
        model=lora_model(base, settings),
        args=_quiet(_arguments(job)),
        train_dataset=[example for batch in batches for example in batch],
        data_collator=collator,
        plan=list(_in_order(batches)),
    )
    _gate(turns, trainer, len(rounds[0]))
    turns.ready({"work": [[shared(batch, collator.prefix_length(batch)).as_json() for batch in turn] for turn in rounds]})
    trainer.train()


def theirs(turns: Turns, job: Job) -> None:
    """trl's SFTTrainer with completion-only loss on the same token ids."""
    import torch
    from datasets import Dataset, disable_progress_bars
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    disable_progress_bars()
    base, settings = job.options.base, job.settings
    tokenizer = AutoTokenizer.from_pretrained(base)
    rounds = job.rounds(tokenizer)
    dataset = Dataset.from_list(
        [
            {
                "input_ids": [*example.prompt_ids, *example.target_ids],
                "completion_mask": [0] * len(example.prompt_ids) + [1] * len(example.target_ids),
            }
            for turn in rounds
            for batch in turn
            for example in batch
        ]
    )
    own = _arguments(job)
    arguments = SFTConfig(
        **{name: getattr(own, name) for name in SAME_ARGUMENTS},
        per_device_train_batch_size=settings.batch_size,
        train_sampling_strategy="sequential",
        completion_only_loss=True,
        gradient_checkpointing=False,
        packing=False,
        max_length=None,
    )
    set_seed(SEED)
    causal = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
    )
    trainer = _recording(SFTTrainer)(
        model=get_peft_model(causal, config),
        args=_quiet(arguments),
        train_dataset=dataset,
        processing_class=tokenizer,
    )
    _gate(turns, trainer, len(rounds[0]))
    scores_all = job.options.device == "cpu"  # trl's fused head leaves other positions out only where Triton runs
    turns.ready({"work": [[whole(batch, scores_all=scores_all).as_json() for batch in turn] for turn in rounds]})
    trainer.train()


def _arguments(job: Job) -> Any:
    from ecomtune.lora.planned_trainer import lora_arguments

    return lora_arguments(job.settings, SEED, job.options.scratch / "trainer")  # nothing is saved there


def _quiet(arguments: Any) -> Any:
    """Neither side spends time on logs."""
    from transformers.trainer_utils import IntervalStrategy

    arguments.logging_strategy = IntervalStrategy.NO
    arguments.disable_tqdm = True
    return arguments


def _in_order(batches: list[list[EncodedExample]]) -> Iterator[list[int]]:
    """Places of each batch's rows when all batches lie in a row."""
    start = 0
    for batch in batches:
        yield list(range(start, start + len(batch)))
        start += len(batch)


def _recording(trainer_class: type) -> type:
    """The trainer, keeping each step's loss, which Trainer itself only sums."""

    class Recording(trainer_class):
        def training_step(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().training_step(*args, **kwargs)
            self.step_losses = [*getattr(self, "step_losses", []), loss.detach()]
            return loss

    return Recording


def _gate(turns: Turns, trainer: Any, steps: int) -> None:
    """Let the trainer run ``steps`` optimizer steps a turn, and print nothing."""
    from transformers import PrinterCallback, TrainerCallback

    class Gate(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            turns.begin()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % steps == 0:
                turns.end(lambda: [float(loss) for loss in trainer.step_losses[-steps:]])
                control.should_training_stop = not turns.begin()

    trainer.add_callback(Gate())
    trainer.remove_callback(PrinterCallback)


def compare(title: str, source: str, job: Job, targets: dict[str, Target]) -> Entry:
    """Measure one training against trl and the machine's matrix products. ``targets``: time, memory, share of peak."""
    options = job.options
    sides: dict[str, Side] = {"ours": partial(ours, job=job), "theirs": partial(theirs, job=job), "peak": matmul_peak}
    found = measure(title, sides, options)
    shape = Shape.read(options.base, job.settings.rank)
    peak = max(gigaflops for turn in found["peak"].outputs for gigaflops in turn.values())
    counted = {side: _counts(found[side], shape) for side in ("ours", "theirs")}
    shares = {side: count["flops"] / sum(found[side].seconds) / 1e9 / peak for side, count in counted.items()}
    return Comparison(
        against="trl SFTTrainer, completion-only loss, same batches",
        data=f"{source}, {len(job.examples)} rows",
        unit="examples",
        settings=job.settings.model_dump(exclude={"model", "share_prefix", "epochs", "accumulation"}),
        per_turn=counted["ours"]["rows"] / options.repeats,
        counts={side: {**count, "share_of_peak": shares[side]} for side, count in counted.items()},
        bound=counted["theirs"]["flops"] / counted["ours"]["flops"],
        targets=targets,
        checks=_check_losses(found, options, job.settings.dropout),
        peak_gflops=peak,
    ).entry(found)


def _counts(found: Measured, shape: Shape) -> dict[str, float]:
    works = [Work(**work) for turn in found.facts["work"][found.warm_up :] for work in turn]
    rows, tokens = sum(work.rows for work in works), sum(work.tokens for work in works)
    return {
        "rows": rows,
        "tokens": tokens,
        "tokens_per_row": tokens / rows,
        "padding": sum(work.padding for work in works),
        "target_tokens": sum(work.targets for work in works),
        "scored_positions": sum(work.scored for work in works),
        "flops": sum(training_flops(shape, work) for work in works),
    }


def _check_losses(found: dict[str, Measured], options: Options, dropout: float) -> dict[str, Any]:
    """Equal losses, step by step; with dropout the two sides draw other masks, so that only the first step is equal."""
    pairs = [
        (left, right)
        for ours_turn, theirs_turn in zip(found["ours"].outputs, found["theirs"].outputs, strict=True)
        for left, right in zip(ours_turn, theirs_turn, strict=True)
    ]
    differences = [abs(left - right) / abs(right) for left, right in pairs]
    compared = differences[:1] if dropout else differences
    return {
        "loss_mean": {
            "ours": statistics.fmean(left for left, _ in pairs),
            "theirs": statistics.fmean(right for _, right in pairs),
        },
        "loss_steps_compared": len(compared),
        "loss_relative_difference": max(compared),
        "equal": max(compared) <= TOLERANCE[options.device],
    }


def settings(options: Options, dropout: float) -> Training:
    """LoRA of rank 8 on all linear layers, batches of 16."""
    return Training(
        model="smollm2",
        rank=8,
        alpha=16,
        dropout=dropout,
        learning_rate=1e-3,
        epochs=1,
        batch_size=4 if options.quick else 16,
        token_budget=16384,
        max_length=2048,
        threads=options.threads,
    )

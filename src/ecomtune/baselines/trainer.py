"""What the trained baselines share: reading a model, training it with transformers' Trainer, batches of answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer, PreTrainedModel, Trainer, TrainingArguments, set_seed

from ecomtune.baselines.adversarial import AdversarialTrainer
from ecomtune.baselines.job import Job
from ecomtune.encoding import check_tokenizer
from ecomtune.errors import UserError, reading
from ecomtune.files import TRAINING_RECORD, dump_json, write_text
from ecomtune.sections import Baseline
from ecomtune.trainer_callbacks import IGNORED, Validation, history, train
from ecomtune.weights import load_whole

Encoded = dict[str, Any]
Loss = Callable[..., Tensor]


def model_folder(settings: Baseline) -> Path:
    """The pretrained weights that a baseline starts from."""
    return Path("models/pretrained") / str(settings.model)


def load_with_head(kind: Any, job: Job, names: Sequence[str]) -> tuple[Any, PreTrainedModel]:
    """The tokenizer and the pretrained encoder, with a fresh head of ``kind`` over the named classes.

    Raises UserError where the weights are missing or broken.
    """
    folder = model_folder(job.settings)
    classes = {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}
    set_seed(job.seed)  # the head starts at random
    model = load_whole(kind, folder, fresh_head=True, num_labels=len(names), **classes, dtype=torch.float32)
    with reading(folder):
        return AutoTokenizer.from_pretrained(folder), model


def load_trained(kind: Any, folder: Path) -> tuple[Any, PreTrainedModel]:
    """The tokenizer and model of a trained baseline. Raises UserError where they are missing, broken or unlike each other."""
    model = load_whole(kind, folder).eval()
    with reading(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        check_tokenizer(tokenizer, len(model.get_input_embeddings().weight), causal=False)
    return tokenizer, model


def finite(scores: Tensor, folder: Path) -> Tensor:
    """The scores as they are. Raises UserError, naming the model's folder, where they aren't finite numbers."""
    with reading(folder):
        if not scores.isfinite().all():
            raise ValueError("its scores are not finite numbers")
    return scores


def train_model(
    model: PreTrainedModel,
    rows: Sequence[Encoded],
    held_out: Sequence[Encoded],
    collate: Callable[[list[Encoded]], Any],
    job: Job,
    loss: Loss | None = None,
) -> dict[str, Any]:
    """Train all weights of ``model`` on ``rows`` (AdamW, linear decay after a tenth of warm-up, the usual BERT recipe).

    As many epochs as ``settings`` give so many rows, from the newest whole checkpoint on; after them the loss on
    ``held_out`` is noted, and decides where ``settings.patience`` is set. ``loss`` takes the place of the model's own.
    Gives the training's record: its losses by step, rows, tokens without padding, and weights. Raises UserError where the
    training diverges.
    """
    settings, checkpoints = job.settings, job.checkpoints
    steps, epochs = -(-len(rows) // job.settings.batch_size), job.settings.epochs_of(len(rows))
    set_seed(job.seed)
    if settings.patience and not held_out:
        raise UserError("a baseline's patience needs validation rows to stop by; raise validation_size, or set it to 0")
    arguments = TrainingArguments(
        output_dir=str(checkpoints.folder),
        num_train_epochs=epochs,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=0.1,
        weight_decay=0.01,
        seed=job.seed,
        use_cpu=not torch.cuda.is_available(),
        save_strategy="no",
        logging_strategy="steps",
        logging_steps=1,  # see trainer_callbacks.train
        report_to="none",
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        disable_tqdm=False,  # its default follows the log level
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # with more, DataParallel would cut what all rows of a batch share
    kind = partial(AdversarialTrainer, settings.adversarial) if settings.adversarial else Trainer
    trainer = kind(model=model, args=arguments, train_dataset=list(rows), data_collator=collate, compute_loss_func=loss)
    ends = _validations(settings, steps, epochs) if held_out else []
    losses = partial(held_out_loss, model, held_out, collate, loss)
    train(trainer, checkpoints, Validation(losses, ends, settings.patience, checkpoints.best), job.live)
    if not all(weight.isfinite().all() for weight in model.parameters()):
        raise UserError("the training has diverged: its weights are not finite numbers; lower the baseline's learning_rate")
    parameters = sum(weight.numel() for weight in model.parameters())
    seen_epochs = trainer.state.global_step // steps  # whole ones: a training stops early at an epoch's end
    texts = ("input_ids", "labels") if settings.family == "seq2seq" else ("input_ids",)  # else labels are no text
    tokens = sum(len(row[text]) for row in rows for text in texts)
    seen = {"rows": seen_epochs * len(rows), "tokens": seen_epochs * tokens, "trained_parameters": parameters}
    return {**seen, **history(trainer.state)}


def _validations(settings: Baseline, steps: int, epochs: int) -> list[int]:
    """The steps after which validation rows are read: each epoch's end, or where ``min_steps`` makes epochs many and nothing
    is decided by them, as many of these as ``settings.epochs``."""
    every = 1 if settings.patience else -(-epochs // settings.epochs)
    return sorted({steps * epoch for epoch in (*range(every, epochs + 1, every), epochs)})


@torch.no_grad()
def held_out_loss(
    model: PreTrainedModel, rows: Sequence[Encoded], collate: Callable[[list[Encoded]], Any], loss: Loss | None
) -> dict[str, float]:
    """The mean over ``rows`` of the loss that the model trains by, a batch's weighed by its rows."""
    total = 0.0
    model.eval()
    for batch in batches(rows):
        inputs = {name: value.to(model.device) for name, value in collate([dict(row) for row in batch]).items()}
        outputs = model(**inputs)
        total += len(batch) * float(outputs.loss if loss is None else loss(outputs, inputs["labels"]))
    model.train()
    return {"loss": total / len(rows)}


def class_weights(classes: Sequence[int], number: int) -> Tensor:
    """Weights [number] that give every class that is there the same say: n / (classes there * n of the class)."""
    counts = torch.bincount(torch.tensor(list(classes)), minlength=number).float()
    return torch.where(counts > 0, counts.sum() / ((counts > 0).sum() * counts.clamp(min=1)), 0.0)


def weighted_loss(weights: Tensor) -> Loss:
    """Cross-entropy over logits [..., C] and labels [...] with a weight for each class; IGNORED labels count nowhere."""

    def loss(outputs: Any, labels: Tensor, num_items_in_batch: Any = None) -> Tensor:
        logits = outputs.logits.flatten(0, -2)
        return cross_entropy(logits, labels.flatten(), weights.to(logits.device), ignore_index=IGNORED)

    return loss


def save(tokenizer: Any, model: PreTrainedModel, record: dict[str, Any], folder: Path) -> None:
    """Write a trained model, its tokenizer and its training's record."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_text(folder / TRAINING_RECORD, dump_json(record))


def batches(rows: Sequence[Any], size: int = 32) -> Iterator[Sequence[Any]]:
    """``rows`` in their order, ``size`` at a time."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]

"""Training an adapter lowers the loss, writes the same bytes every time, and leaves a plain PEFT folder."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from ecomtune.core.config import Training
from ecomtune.core.files import output_folder
from ecomtune.core.records import Example
from ecomtune.lora.adapter_training import AdapterJob, Trained, save_trained, train_adapter
from ecomtune.lora.shared_prefix import SharedPrefixLora
from ecomtune.messages.errors import UserError
from ecomtune.models.process import prepare
from ecomtune.models.tokenization import encode_example
from ecomtune.training.checkpoints import Checkpoints
from tests.support.tasks import load_task

#: The pretrained folder, relative to the working folder as in a checkout.
BASE = Path("models/pretrained/pico")
SETTINGS = Training(
    model="pico",
    rank=4,
    alpha=8,
    dropout=0.0,
    learning_rate=0.02,
    epochs=3,
    batch_size=4,
    token_budget=2000,
    max_length=400,
    warmup=0.0,
    threads=1,
)


@pytest.fixture(scope="module", autouse=True)
def home(pico_causal: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working folder of this module, like a fresh clone with its pretrained weights."""
    folder = tmp_path_factory.mktemp("home")
    shutil.copytree(pico_causal, folder / BASE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def example(task: str, number: int) -> Example:
    """A row whose target follows from its input."""
    word = ["red", "running", "shoes", "men", "pack"][number % 5]
    fields: dict[str, str | list[str]]
    if task == "ner":
        fields, reference = {"words": [word, "shoes"]}, ["B-color", "B-core_product_type"]
    else:
        fields, reference = {"query": word, "title": f"Acme {word}"}, ["Exact", "Irrelevant"][number % 2]
    loaded = load_task(task)
    return Example(
        id=f"{task}-{number}",
        task=task,
        prompt=loaded.prompt(fields, "compact"),
        target=loaded.target(fields, reference),
        reference=reference,
        fields=fields,
        group=word,
        source=f"made:{number}",
    )


RELEVANCE = [example("relevance", number) for number in range(12)]
NER = [example("ner", number) for number in range(12)]


def fit(examples: Sequence[Example], validation: Sequence[Example] = (), seed: int = 5, **changes: Any) -> Trained:
    """Train like the stage, without a checkpoint."""
    job = AdapterJob(examples, validation, BASE, SETTINGS.model_copy(update=changes), seed)
    with tempfile.TemporaryDirectory() as scratch:
        return train_adapter(job, Checkpoints(Path(scratch)))


def save(trained: Trained, folder: str) -> Path:
    with output_folder(Path(folder)) as new:
        save_trained(trained, new)
    return Path(folder)


def train(examples: Sequence[Example], folder: str, seed: int = 5, **changes: Any) -> Path:
    """Train and save like the stage."""
    return save(fit(examples, seed=seed, **changes), folder)


@pytest.fixture(scope="module")
def fitted(home: Path) -> Trained:
    return fit(RELEVANCE)


@pytest.fixture(scope="module")
def model(fitted: Trained) -> SharedPrefixLora:
    return fitted.model


@pytest.fixture(scope="module")
def trained(fitted: Trained) -> Path:
    return save(fitted, "models/adapters/single/relevance")


def read_bytes(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def load_weights(folder: Path) -> dict[str, Tensor]:
    return dict(sorted(load_file(folder / "adapter_model.safetensors").items()))


def plain_model(adapter: Path | None) -> Any:
    """The base, with or without an adapter, loaded with plain transformers and PEFT."""
    model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    return model.eval() if adapter is None else PeftModel.from_pretrained(model, adapter).eval()


def plain_loss(adapter: Path | None, examples: Sequence[Example]) -> float:
    """transformers' own loss, one row at a time."""
    model, tokenizer = plain_model(adapter), AutoTokenizer.from_pretrained(BASE)
    losses = []
    for row in examples:
        encoded = encode_example(tokenizer, row, 400)
        ids = torch.tensor([[*encoded.prompt_ids, *encoded.target_ids]])
        labels = ids.clone()
        labels[:, : len(encoded.prompt_ids)] = -100
        with torch.no_grad():
            losses.append(model(input_ids=ids, labels=labels).loss.item())
    return sum(losses) / len(losses)


def test_training_lowers_the_loss_of_its_rows(trained: Path) -> None:
    assert plain_loss(trained, RELEVANCE) < 0.75 * plain_loss(None, RELEVANCE)


def test_training_changes_every_layer(trained: Path) -> None:
    changed = [weight for name, weight in load_weights(trained).items() if name.endswith("lora_B.weight")]
    assert len(changed) == 2 * 7  # in seven linear layers of two blocks, where it starts at zero
    assert all(weight.norm() > 0 for weight in changed)


def test_training_does_not_change_the_base(model: SharedPrefixLora) -> None:
    before = plain_model(None).state_dict()
    after = {name.replace("base_layer.", ""): weight for name, weight in model.get_base_model().state_dict().items()}
    assert all(torch.equal(after[name], weight) for name, weight in before.items())


def test_equal_trainings_write_equal_bytes(trained: Path) -> None:
    assert read_bytes(train(RELEVANCE, "again")) == read_bytes(trained)


def test_another_seed_yields_other_weights(trained: Path) -> None:
    first, other = load_weights(trained), load_weights(train(RELEVANCE, "other", seed=6))
    assert all(not torch.equal(weight, other[name]) for name, weight in first.items())


def test_a_saved_adapter_is_a_plain_peft_folder(model: SharedPrefixLora, trained: Path) -> None:
    assert sorted(read_bytes(trained)) == ["adapter_config.json", "adapter_model.safetensors", "training.json"]
    ids = torch.tensor([[5, 300, 17, 44, 8]])
    with torch.no_grad():
        expected = model.get_base_model().eval()(input_ids=ids).logits
        torch.testing.assert_close(plain_model(trained)(input_ids=ids).logits, expected, rtol=1e-5, atol=1e-5)


def test_the_saved_config_names_the_base_by_its_path_in_the_repository(trained: Path) -> None:
    config = json.loads((trained / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["base_model_name_or_path"] == "models/pretrained/pico"


def test_the_saved_config_has_all_linear_layers_but_the_head_in_sorted_order(trained: Path) -> None:
    config = json.loads((trained / "adapter_config.json").read_text(encoding="utf-8"))
    mlp = [f"mlp.{name}_proj" for name in ("down", "gate", "up")]
    attention = [f"self_attn.{name}_proj" for name in ("k", "o", "q", "v")]
    assert config["target_modules"] == [f"model.layers.{layer}.{name}" for layer in range(2) for name in (*mlp, *attention)]


def test_a_mixed_training_with_accumulation_lowers_the_loss_of_both_tasks() -> None:
    mixed = train([*RELEVANCE, *NER], "models/adapters/mixed", accumulation=2)
    for rows in (RELEVANCE, NER):
        assert plain_loss(mixed, rows) < 0.85 * plain_loss(None, rows)


def distance(first: Path, second: Path) -> float:
    """The greatest relative difference between two adapters' weights of one name."""
    pairs = zip(load_weights(first).values(), load_weights(second).values(), strict=True)
    return max(float((one - other).norm() / other.norm()) for one, other in pairs)


def test_accumulated_micro_batches_train_like_one_large_batch() -> None:
    rows = [row.model_copy(update={"target": "red shoes " * (1 + place)}) for place, row in enumerate(RELEVANCE[:4])]
    whole = train(rows, "whole", epochs=1, batch_size=4)
    assert distance(train(rows, "parts", epochs=1, batch_size=2, accumulation=2), whole) < 1e-4
    assert distance(train(rows, "steps", epochs=1, batch_size=2), whole) > 0.1


def test_sharing_the_prefix_trains_the_same_adapter() -> None:
    shared, plain = (train(RELEVANCE, f"shared {share}", epochs=1, share_prefix=share) for share in (True, False))
    assert distance(shared, plain) < 1e-4


def test_more_epochs_lower_the_loss_further(trained: Path) -> None:
    assert plain_loss(trained, RELEVANCE) < plain_loss(train(RELEVANCE, "once", epochs=1), RELEVANCE)


def test_a_training_without_rows_is_refused() -> None:
    with pytest.raises(UserError, match="there are no training examples"):
        fit([])


def test_a_training_that_diverges_is_refused() -> None:
    rows = [example("ner", number) for number in range(8)]
    with pytest.raises(UserError, match=r"the training has diverged: .* lower train.shared.learning_rate"):
        fit(rows, learning_rate=1e38, epochs=9)


def test_a_row_that_is_too_long_stops_training_with_its_id() -> None:
    with pytest.raises(UserError, match=r"relevance-0: .*max_length 20\b"):
        fit(RELEVANCE, max_length=20)


def test_a_row_over_the_token_budget_stops_training_with_its_id() -> None:
    with pytest.raises(UserError, match=r"relevance-\d+: .*token_budget 20\b"):
        fit(RELEVANCE, token_budget=20)


def test_a_row_with_an_empty_target_stops_training_with_its_id() -> None:
    rows = [*RELEVANCE[:3], RELEVANCE[3].model_copy(update={"target": ""})]
    with pytest.raises(UserError, match="relevance-3: its target is empty"):
        fit(rows)


def test_training_leaves_nothing_in_the_scratch_folder(trained: Path) -> None:
    assert list(Path(".scratch").iterdir()) == []


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_training_uses_the_number_of_threads_in_its_settings() -> None:
    fit(RELEVANCE[:1], threads=2, epochs=1)
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("threads")
def test_a_process_is_set_up_with_its_threads_offline_and_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_OFFLINE", "TOKENIZERS_PARALLELISM"):
        monkeypatch.delenv(name, raising=False)
    verbosity = logging.get_verbosity()
    prepare(threads=2)
    try:
        assert torch.get_num_threads() == 2
        assert os.environ["HF_HUB_OFFLINE"] == "1"
        assert logging.get_verbosity() == logging.ERROR
    finally:
        logging.set_verbosity(verbosity)


def test_four_bits_without_a_gpu_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        UserError, match=r"train\.shared\.quantization: nf4 needs a CUDA GPU, and there is none; set it to none"
    ):
        fit(RELEVANCE[:1], quantization="nf4")


@pytest.mark.parametrize("named", [("nope",), ("q_proj", "nope")])
def test_a_module_that_the_base_model_lacks_is_refused_with_those_it_has(named: tuple[str, ...]) -> None:
    names = r"down_proj, gate_proj, k_proj, lm_head, o_proj, q_proj, up_proj, v_proj"
    error = rf"^train\.shared\.target_modules: the base model has no 'nope'; name some of its linear layers: {names}$"
    with pytest.raises(UserError, match=error):
        fit(RELEVANCE[:1], target_modules=named)


def test_a_max_length_beyond_the_context_is_refused() -> None:
    with pytest.raises(UserError, match=r"train\.shared\.max_length 4096 is beyond the model's context of 2048; lower it"):
        fit(RELEVANCE[:1], max_length=4096)


def test_the_record_holds_the_rows_tokens_and_losses(trained: Path) -> None:
    record = json.loads((trained / "training.json").read_text())
    assert record["rows"] == 36 and record["steps"] == 9 and [step for step, _ in record["loss"]] == list(range(1, 10))
    assert record["loss"][-1][1] < record["loss"][0][1]
    assert record["trained_parameters"] == sum(weight.numel() for weight in load_weights(trained).values())
    assert record["validation"] == []
    alone = fit(RELEVANCE, share_prefix=False).record["tokens"]
    assert 0 < record["tokens"] < alone


def test_validation_losses_are_those_of_plain_transformers_after_each_epoch() -> None:
    one_target = [RELEVANCE[0], RELEVANCE[2]]  # so that the mean over rows is the mean over tokens
    made = fit(RELEVANCE, [*one_target, NER[0]], epochs=2)
    folder = save(made, "validated")
    assert [entry["step"] for entry in made.record["validation"]] == [3, 6]
    last = made.record["validation"][-1]
    assert last["relevance"] == pytest.approx(plain_loss(folder, one_target), abs=2e-4)
    assert last["ner"] == pytest.approx(plain_loss(folder, NER[:1]), abs=2e-4)


def test_validation_changes_no_weight(trained: Path) -> None:
    validated = save(fit(RELEVANCE, NER[:2]), "with validation")
    assert (validated / "adapter_model.safetensors").read_bytes() == (trained / "adapter_model.safetensors").read_bytes()


def test_without_progress_training_stops_and_takes_the_best_epochs_weights() -> None:
    # training on the rest raises the loss of these
    other = [row.model_copy(update={"target": "zebra crossing"}) for row in RELEVANCE[:3]]
    made = fit(RELEVANCE, other, epochs=12, patience=2, learning_rate=0.05)
    losses = [entry["relevance"] for entry in made.record["validation"]]
    assert losses[-3] == min(losses) and len(losses) < 12
    assert plain_loss(save(made, "stopped"), other) == pytest.approx(min(losses), rel=1e-3)


def test_patience_without_validation_rows_is_refused() -> None:
    with pytest.raises(UserError, match=r"train\.shared\.patience needs validation rows"):
        fit(RELEVANCE, patience=1)


def test_only_the_chosen_modules_are_trained() -> None:
    weights = load_weights(train(RELEVANCE, "chosen", epochs=1, target_modules=("q_proj", "v_proj")))
    assert {name.split(".")[-3] for name in weights} == {"q_proj", "v_proj"}


def test_rank_stabilized_scaling_and_dora_are_written_for_plain_peft() -> None:
    for folder, option, changes in (("rs", "use_rslora", {"rslora": True}), ("dora", "use_dora", {"dora": True})):
        made = train(RELEVANCE, folder, **changes)
        assert json.loads((made / "adapter_config.json").read_text())[option] is True
        assert plain_loss(made, RELEVANCE) < 0.85 * plain_loss(None, RELEVANCE)

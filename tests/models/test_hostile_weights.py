"""Untrusted weights: no pickle is read whatever its name, no code is run, and a header that lies is reported."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForSequenceClassification

from ecomtune.core.config import Model
from ecomtune.core.files import sha256_folder
from ecomtune.messages.errors import UserError
from ecomtune.models import sources
from ecomtune.models.loading import load_model
from ecomtune.models.sources import save_pretrained
from ecomtune.stages.runner import Terminated
from tests.support.pico import ENDLESS_SPLIT

CODE = "open('ran', 'w').close()\n"


class Payload:
    """An object whose pickle runs code when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (CODE,)


def pickled() -> bytes:
    return pickle.dumps({"model.embed_tokens.weight": Payload()})


def saved_by_torch() -> bytes:
    torch.save({"model.embed_tokens.weight": Payload()}, "payload.bin")
    content = Path("payload.bin").read_bytes()
    Path("payload.bin").unlink()
    return content


@pytest.fixture
def weights(pico_causal: Path, workplace: Path) -> Path:
    """A copy of a small model, in a working folder with scratch."""
    (workplace / ".scratch").mkdir()
    return Path(shutil.copytree(pico_causal, workplace / "weights"))


def save(**changes: Any) -> None:
    values = {"kind": "causal", "source": "folder", "folder": "weights", "licence": "MIT", **changes}
    save_pretrained("tiny", Model.model_validate(values), Path("out"))


def refusal(**changes: Any) -> str:
    """The error that refuses the folder, from which nothing was run or kept."""
    with pytest.raises(UserError) as caught:
        save(**changes)
    assert not Path("ran").exists() and not Path("out").exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_payload_of_these_tests_runs_when_it_is_unpickled(workplace: Path) -> None:
    pickle.loads(pickled())
    assert Path("ran").exists()
    Path("ran").unlink()
    (workplace / "x.bin").write_bytes(saved_by_torch())
    torch.load(workplace / "x.bin", weights_only=False)
    assert Path("ran").exists()


@pytest.mark.parametrize("content", [pickled, saved_by_torch])
def test_a_pickle_under_the_name_of_safetensors_is_refused(weights: Path, content: Callable[[], bytes]) -> None:
    (weights / "model.safetensors").write_bytes(content())
    sentence = "models.tiny: no causal model in safetensors or GGUF can be read from folder weights (model.safetensors: "
    assert refusal().startswith(sentence)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.bin", "model.pt", "model.ckpt", "model.safetensors.bin"])
def test_weights_that_are_only_a_pickle_are_refused(weights: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = load_file(weights / "model.safetensors")
    (weights / "model.safetensors").unlink()
    (weights / name).write_bytes(saved_by_torch())
    refused = "no causal model in safetensors or GGUF can be read from folder weights ("
    assert f"{refused}it holds no safetensors file)" in refusal()
    monkeypatch.setattr(sources, "check_size", lambda *_: None)  # as for weights from a hub
    assert refused in refusal()
    torch.save(real, weights / name)  # a harmless pickle is refused too
    assert refused in refusal()


def test_an_index_that_leads_to_a_pickle_is_refused(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = load_file(weights / "model.safetensors")
    (weights / "model.safetensors").unlink()
    (weights / "part.bin").write_bytes(saved_by_torch())
    index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(names, "part.bin")}
    (weights / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "it holds no safetensors file" in refusal()
    monkeypatch.setattr(sources, "check_size", lambda *_: None)
    assert "no causal model in safetensors or GGUF can be read from folder weights (" in refusal()


def test_pickles_and_code_next_to_the_weights_are_neither_read_nor_copied(weights: Path) -> None:
    for name in ("pytorch_model.bin", "tokenizer.pkl", "training_args.bin", "optimizer.pt"):
        (weights / name).write_bytes(saved_by_torch())
    for name in ("modeling_llama.py", "tokenization.py", "__init__.py", "setup.py", "custom_generate.py"):
        (weights / name).write_text(CODE)
    save()
    assert not Path("ran").exists()
    assert {file.suffix for file in Path("out").iterdir()} <= {".json", ".safetensors", ".jinja", ".txt"}


@pytest.mark.parametrize("adapter", ["adapter_model.bin", "adapter_model.safetensors", ""])
def test_an_adapter_next_to_the_weights_is_refused(weights: Path, adapter: str) -> None:
    """transformers would load it into the model unasked, and from a pickle if there is no safetensors file."""
    LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"]).save_pretrained(weights)
    if adapter:
        (weights / adapter).write_bytes(saved_by_torch())
    assert refusal() == "models.tiny: folder weights holds an adapter (adapter_config.json); name a complete model without one"


def edit(file: Path, **changes: Any) -> None:
    values = json.loads(file.read_text())
    file.write_text(json.dumps({**values, **changes}))


@pytest.mark.parametrize("answer", ["y", "n"])
@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("config.json", {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}}),
        ("tokenizer_config.json", {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", "own.Own"]}}),
    ],
)
def test_code_that_a_config_names_is_not_run_and_nobody_is_asked(
    weights: Path, monkeypatch: pytest.MonkeyPatch, file: str, changes: dict[str, Any], answer: str
) -> None:
    asked = []
    monkeypatch.setattr("builtins.input", lambda question="": asked.append(question) or answer)
    (weights / "own.py").write_text(CODE + "class Own: pass\n")
    edit(weights / file, **changes)
    assert "can be read from folder weights (" in refusal()
    assert asked == []


def test_a_known_model_that_names_its_own_code_is_read_without_it(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    (weights / "own.py").write_text(CODE + "class Own: pass\n")
    edit(weights / "config.json", auto_map={"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"})
    save()
    assert not Path("ran").exists() and not list(Path("out").glob("*.py"))
    assert all("auto_map" not in file.read_text() for file in Path("out").glob("*.json"))


def header(content: bytes, **changes: Any) -> bytes:
    """A safetensors file with another header entry for its first tensor; its data is unchanged."""
    length = int.from_bytes(content[:8], "little")
    values = json.loads(content[8 : 8 + length])
    first = next(name for name in values if name != "__metadata__")
    values[first] |= changes
    text = json.dumps(values).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


LIES: dict[str, Callable[[bytes], bytes]] = {
    "a header longer than the file": lambda content: (2**40).to_bytes(8, "little") + content[8:],
    "a header of the longest length": lambda content: (2**64 - 1).to_bytes(8, "little") + content[8:],
    "a header of length zero": lambda content: bytes(8) + content[8:],
    "a header that is not JSON": lambda content: content[:8] + b"x" + content[9:],
    "deep JSON": lambda _: (100_000).to_bytes(8, "little") + b"[" * 100_000,
    "a tensor beyond the end": lambda content: header(content, data_offsets=[0, 2**40]),
    "a tensor before the start": lambda content: header(content, data_offsets=[-8, 0]),
    "a tensor that ends before it begins": lambda content: header(content, data_offsets=[64, 0]),
    "a larger shape than bytes": lambda content: header(content, shape=[2**31, 2**31]),
    "a shape that overflows": lambda content: header(content, shape=[2**63, 2**63]),
    "an unknown type": lambda content: header(content, dtype="PICKLE"),
}


@pytest.mark.parametrize("lie", LIES)
def test_safetensors_whose_header_lies_are_named(weights: Path, lie: str) -> None:
    content = (weights / "model.safetensors").read_bytes()
    (weights / "model.safetensors").write_bytes(LIES[lie](content))
    sentence = "models.tiny: no causal model in safetensors or GGUF can be read from folder weights (model.safetensors: "
    assert refusal().startswith(sentence)


def without(folder: Path, part: str) -> None:
    """Remove the weights with ``part`` in their name from a folder's safetensors."""
    held = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in held.items() if part not in name}
    assert len(kept) < len(held)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def test_missing_weights_are_not_made_up(weights: Path) -> None:
    without(weights, "layers.1.")
    assert "weights that the model needs are missing: model.layers.1.input_layernorm.weight, " in refusal()


def test_layers_that_the_config_leaves_out_are_not_dropped_silently(weights: Path) -> None:
    config = json.loads((weights / "config.json").read_text())
    (weights / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    assert "(its config leaves out layers that its files hold: model.layers.1.input_layernorm.weight, " in refusal()


TOKENIZERS: dict[str, tuple[str, dict[str, Any], str]] = {
    "a word beyond the embeddings": ("added_tokens", {"content": "Product", "special": False}, "its weights have"),
    "no EOS": ("tokenizer_config.json", {"eos_token": None}, "its tokenizer has no eos_token"),
    "an EOS beyond the embeddings": ("tokenizer_config.json", {"eos_token": "<nosuch>"}, "its weights have"),
    "an endless pattern": (
        "tokenizer.json",
        {"pre_tokenizer": ENDLESS_SPLIT},
        "retry-limit-in-match",
    ),
    "a normalizer that removes all text": (
        "tokenizer.json",
        {"normalizer": {"type": "Replace", "pattern": {"Regex": ".*"}, "content": ""}},
        "makes no tokens of ordinary text",
    ),
    "a length in words": ("tokenizer_config.json", {"model_max_length": "x"}, "not supported between"),
}


@pytest.mark.parametrize("what", TOKENIZERS)
def test_a_tokenizer_that_fails_or_does_not_fit_its_weights_is_refused(weights: Path, what: str) -> None:
    name, changes, reason = TOKENIZERS[what]
    if name == "added_tokens":
        add_token(weights, **changes)
    else:
        edit(weights / name, **changes)
    sentence = refusal()
    assert sentence.startswith("models.tiny: no tokenizer that fits its weights can be read from folder weights (")
    assert reason in sentence


def add_token(weights: Path, **changes: Any) -> None:
    """Add a token whose id is one more than the last one's, so that there are no weights for it."""
    tokenizer = json.loads((weights / "tokenizer.json").read_text())
    number = json.loads((weights / "config.json").read_text())["vocab_size"]
    plain = {"id": number, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    edit(weights / "tokenizer.json", added_tokens=[*tokenizer["added_tokens"], {**plain, **changes}])


def test_a_special_token_that_is_never_used_may_lie_beyond_the_embeddings(weights: Path) -> None:
    add_token(weights, content="<picture>", special=True)
    save()
    assert (Path("out") / "tokenizer.json").is_file()


def test_a_chat_template_that_leaves_out_the_message_is_refused_where_it_is_used(weights: Path) -> None:
    (weights / "chat_template.jinja").write_text("hi")
    assert "its chat template leaves out the message's text" in refusal(chat=True)
    save()  # without chat


def test_an_encoder_whose_tokenizer_cannot_pad_is_refused(pico_encoder: Path, workplace: Path) -> None:
    (workplace / ".scratch").mkdir()
    shutil.copytree(pico_encoder, "weights")
    edit(Path("weights/tokenizer_config.json"), pad_token=None)
    assert "its tokenizer has no pad_token" in refusal(kind="encoder")


def test_the_layer_from_which_qwen_slides_its_window_is_not_taken_for_a_number_of_layers(weights: Path) -> None:
    edit(weights / "config.json", max_window_layers=10_000)  # Qwen2's default is 28, even with fewer layers
    save()
    assert (Path("out") / "model.safetensors").is_file()


def test_a_pipe_which_is_neither_file_nor_folder_is_not_waited_for(weights: Path) -> None:
    (weights / "tokenizer.json").unlink()
    os.mkfifo(weights / "tokenizer.json")
    assert refusal() == "models.tiny: weights/tokenizer.json is neither a file nor a folder; put complete files there"


def test_an_encoder_without_a_pooler_is_saved_to_the_same_bytes_each_time(pico_encoder: Path, workplace: Path) -> None:
    """Masked language models are published without one, and transformers draws it at random."""
    (workplace / ".scratch").mkdir()
    shutil.copytree(pico_encoder, workplace / "weights")
    without(workplace / "weights", "pooler")
    model = Model.model_validate({"kind": "encoder", "source": "folder", "folder": "weights", "licence": "MIT"})
    for folder in ("first", "second"):
        save_pretrained("tiny", model, Path(folder))
    assert sha256_folder(Path("first")) == sha256_folder(Path("second"))


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def gguf(
    *,
    tensors: int = 1,
    keys: int = 6,
    layers: int = 1,
    width: int = 4,
    name: bytes = text(b"general.architecture"),
    table: bytes | None = None,
) -> bytes:
    """A GGUF file with six keys and one tensor, parts of which a test can forge."""
    architecture = name + struct.pack("<I", 8) + text(b"llama")
    numbers = {"block_count": layers, "embedding_length": width, "feed_forward_length": width}
    numbers |= {"attention.head_count": 1, "attention.head_count_kv": 1}
    settings = b"".join(text(f"llama.{key}".encode()) + struct.pack("<II", 4, value) for key, value in numbers.items())
    tensor = text(b"token_embd.weight") + struct.pack("<IQQIQ", 2, 4, 4, 0, 0)
    start = b"GGUF" + struct.pack("<IQQ", 3, tensors, keys)
    return start + architecture + settings + (tensor if table is None else table) + bytes(256)


HUGE = 2**64 - 1
FORGED = {
    "an endless number of keys": gguf(keys=HUGE),
    "an endless number of tensors": gguf(tensors=HUGE),
    "a name longer than the file": gguf(name=struct.pack("<Q", 2**60) + b"general.architecture"),
    "a name of the longest length": gguf(name=struct.pack("<Q", HUGE) + b"general.architecture"),
    "a name that is not UTF-8": gguf(name=text(b"general.\xff\xfe")),
    "a tensor with 2^32 dimensions": gguf(table=text(b"token_embd.weight") + struct.pack("<I", 2**32 - 1)),
    "a tensor that is too large": gguf(table=text(b"token_embd.weight") + struct.pack("<IQQIQ", 2, 2**40, 2**40, 0, 0)),
    "a tensor of an unknown type": gguf(table=text(b"token_embd.weight") + struct.pack("<IQQIQ", 2, 4, 4, 999, 0)),
    "a tensor beyond the end": gguf(table=text(b"token_embd.weight") + struct.pack("<IQQIQ", 2, 4, 4, 0, 2**50)),
    "an endless array": gguf(name=text(b"a") + struct.pack("<IIQ", 9, 8, HUGE)),
    "an endless array of numbers": gguf(name=text(b"a") + struct.pack("<IIQ", 9, 4, 2**61)),
    "more layers than tensors": gguf(layers=2**32 - 1),
    "more weights than numbers": gguf(width=2**20),
    "a future version": b"GGUF" + struct.pack("<IQQ", 999, 1, 1) + bytes(64),
    "the other byte order": b"GGUF" + struct.pack(">IQQ", 3, 1, 1) + bytes(64),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_gguf_is_refused_in_one_sentence(weights: Path, what: str) -> None:
    (weights / "m.gguf").write_bytes(FORGED[what])
    kind = "causal model in safetensors or GGUF"
    assert refusal(gguf="m.gguf").startswith(f"models.tiny: no {kind} can be read from folder weights/m.gguf (")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"hidden_size": 2**22}, r"its config describes [\d,]+ weights, and its files hold \d{2},\d{3}"),
        ({"vocab_size": 2**40}, r"its config describes [\d,]+ weights, and its files hold \d{2},\d{3}"),
        ({"num_hidden_layers": 10**9}, r"its config asks for 1000000000 layers, and its files hold \d\d tensors"),
        ({"part": {"n_layers": 10**9}}, r"its config asks for 1000000000 layers, and its files hold \d\d tensors"),
        (
            {"model_type": "gptj", "max_position_embeddings": 2**36, "rotary_dim": 4, "n_embd": 32, "n_layer": 1, "n_head": 2},
            r"its config asks for tables of [\d,]+ numbers with only [\d,]+ weights",
        ),
    ],
)
def test_a_config_of_far_more_weights_than_the_files_hold_is_refused_at_once(
    weights: Path, changes: dict[str, int], reason: str
) -> None:
    config = json.loads((weights / "config.json").read_text())
    (weights / "config.json").write_text(json.dumps(config | changes))
    assert re.search(rf"\({reason}\); correct the source", refusal())


def test_a_gguf_whose_tensor_lies_beyond_its_end_is_refused(weights: Path) -> None:
    (weights / "m.gguf").write_bytes(FORGED["a tensor beyond the end"])
    assert "m.gguf (a tensor lies beyond its end); correct the source" in refusal(gguf="m.gguf")


def test_a_gguf_without_tensors_is_refused(weights: Path) -> None:
    (weights / "m.gguf").write_bytes(gguf(tensors=0, table=b""))
    assert "m.gguf (it holds no tensors); correct the source" in refusal(gguf="m.gguf")


def test_a_gguf_of_far_more_weights_than_it_holds_is_refused_before_they_fill_the_memory(weights: Path) -> None:
    (weights / "m.gguf").write_bytes(FORGED["more weights than numbers"])
    assert re.search(r"\(its config describes [\d,]+ weights, and its files hold 16\)", refusal(gguf="m.gguf"))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 200), damage=st.binary(min_size=1, max_size=12))
def test_damage_anywhere_in_the_header_of_a_gguf_is_refused_in_one_sentence(weights: Path, place: int, damage: bytes) -> None:
    content = bytearray(gguf())
    content[place : place + len(damage)] = damage
    (weights / "m.gguf").write_bytes(content)
    assert refusal(gguf="m.gguf").startswith("models.tiny: no ")


def test_a_missing_model_is_reported_without_a_word_about_a_hub(workplace: Path) -> None:
    with pytest.raises(UserError, match=r"^models/pretrained/pico is missing; run dvc repro"):
        load_model(AutoModel, Path("models/pretrained/pico"))


def test_a_trained_classifier_without_its_head_is_refused(pico_encoder: Path) -> None:
    with pytest.raises(
        UserError, match=r"encoder is missing or broken \(weights that the model needs are missing: classifier\."
    ):
        load_model(AutoModelForSequenceClassification, pico_encoder)


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), Terminated()], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_while_weights_load_is_not_reported_as_broken_weights(
    pico_encoder: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException
) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise stop

    monkeypatch.setattr(AutoModel, "from_pretrained", stopped)
    with pytest.raises(type(stop)):
        load_model(AutoModel, pico_encoder)
    model = Model(kind="encoder", source="folder", folder=str(pico_encoder), licence="own")
    Path(".scratch").mkdir()
    with pytest.raises(type(stop)):
        save_pretrained("tiny", model, Path("out"))

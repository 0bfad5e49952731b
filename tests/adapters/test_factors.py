"""Adapters are read only from complete, plain PEFT folders, and written as such."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ecomtune.adapters.factors import load_adapter, save_adapter
from ecomtune.core.adapter_files import read_config, write_config
from ecomtune.core.files import dump_json
from ecomtune.messages.errors import UserError
from tests.support.adapters import NOT_PLAIN, adapter, random_factors, save_peft_adapters

RNG = np.random.default_rng(0)
NARROW, WIDE = random_factors(RNG, 5, 4, 2), random_factors(RNG, 5, 4, 3)


@pytest.fixture(scope="module")
def made(pico_causal: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of adapters that PEFT has saved."""
    return save_peft_adapters(tmp_path_factory.mktemp("adapters"), pico_causal)


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_an_adapter_that_is_more_than_the_product_of_its_factors_is_refused(made: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"adapters.*/{name}"):
        load_adapter(made / name)


def test_a_config_is_read_unchanged(tmp_path: Path) -> None:
    save_adapter(adapter(NARROW), tmp_path)
    assert dump_json(load_adapter(tmp_path).config) == (tmp_path / "adapter_config.json").read_text()


def test_a_missing_adapter_is_refused_with_its_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="shards/ner/1 holds no adapter_model"):
        load_adapter(tmp_path / "shards/ner/1")


@pytest.mark.parametrize("size", [0, 4, 2000])
def test_an_adapter_whose_weights_are_truncated_is_refused_with_its_folder_and_advice(
    made: Path, tmp_path: Path, size: int
) -> None:
    cut = tmp_path / "cut"
    cut.mkdir()
    for file in (made / "first").iterdir():
        (cut / file.name).write_bytes(file.read_bytes()[:size] if file.suffix == ".safetensors" else file.read_bytes())
    with pytest.raises(UserError, match=rf"^{cut} is missing or broken \(.*\); remove it"):
        load_adapter(cut)


def no_weights(tensors: dict[str, Any], config: dict[str, Any]) -> None:
    tensors.clear()


def huge(tensors: dict[str, Any], config: dict[str, Any]) -> None:
    tensors[min(tensors)] += 3e38


def other_rank(tensors: dict[str, Any], config: dict[str, Any]) -> None:
    config["r"] += 1


def endless_alpha(tensors: dict[str, Any], config: dict[str, Any]) -> None:
    config["lora_alpha"] = 10**400


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (no_weights, "it holds no weights"),
        (huge, "its weights are not finite numbers"),
        (other_rank, r"factors \(\d, \d+\) and \(\d+, \d\) don't fit rank \d and lora_alpha \d+"),
        (endless_alpha, "lora_alpha: "),
    ],
)
def test_an_invalid_adapter_is_neither_merged_nor_compared(
    made: Path, tmp_path: Path, damage: Callable[[dict[str, Any], dict[str, Any]], None], reason: str
) -> None:
    tensors, config = load_file(made / "first/adapter_model.safetensors"), read_config(made / "first")
    damage(tensors, config)
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    write_config(config, tmp_path)
    with pytest.raises(UserError, match=rf"is missing or broken \(.*{reason}"):
        load_adapter(tmp_path)


def test_factors_of_two_ranks_are_not_written_as_one_adapter(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the same rank, not \[2, 3\]"):
        save_adapter(adapter(NARROW, WIDE), tmp_path)

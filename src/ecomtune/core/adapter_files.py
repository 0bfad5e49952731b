"""The folder of an adapter in PEFT's format, with a config whose bytes are reproducible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ecomtune.core.files import dump_json, read_json_as, write_text
from ecomtune.core.paths import ADAPTER_CONFIG

#: Options of a PEFT config with which ΔW is not B @ A.
NON_PRODUCT_OPTIONS = ("use_dora", "lora_bias")
#: The prefix that PEFT adds to a module's name.
PEFT_PREFIX = "base_model.model."


class _PeftConfig(BaseModel):
    """The keys of a PEFT config that this project reads; others are allowed."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)
    base_model_name_or_path: str | None = None
    r: int | None = Field(default=None, gt=0)
    rank_pattern: dict[str, int] | None = None
    lora_alpha: float = Field(gt=0)
    alpha_pattern: dict[str, float] | None = None
    use_rslora: bool = False
    use_dora: bool = False
    lora_bias: bool = False


def read_config(folder: Path) -> dict[str, Any]:
    """The PEFT config of the adapter in ``folder``, unchanged. Raises UserError where it is missing or broken."""
    read_json_as(folder / ADAPTER_CONFIG, _PeftConfig)
    return read_json_as(folder / ADAPTER_CONFIG, dict[str, Any])


def is_plain(folder: Path) -> bool:
    """Whether the ΔW of the adapter in ``folder`` is the product of its factors. Raises UserError for a broken config."""
    config = read_config(folder)
    return not any(config.get(option) for option in NON_PRODUCT_OPTIONS)


def write_config(config: dict[str, Any], folder: Path) -> None:
    """Write a PEFT config with its lists sorted: PEFT itself writes sets in hash order."""
    canonical = {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}
    if isinstance(canonical.get("target_modules"), list):
        canonical["target_modules"] = sorted(canonical["target_modules"])
    write_text(folder / ADAPTER_CONFIG, dump_json(canonical))

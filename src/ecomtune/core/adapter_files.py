"""The folder of an adapter as PEFT lays it out, with a config that has the same bytes every time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ecomtune.core.files import dump_json, read_json_as, write_text
from ecomtune.core.paths import ADAPTER_CONFIG

#: Options of a PEFT config with which ΔW isn't B @ A.
NON_PRODUCT_OPTIONS = ("use_dora", "lora_bias")
#: What PEFT puts before a module's own name.
PEFT_PREFIX = "base_model.model."


class _Config(BaseModel):
    """What is read of a PEFT config, which holds more."""

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
    """The PEFT config of the adapter in ``folder`` as it stands. Raises UserError where it is missing or broken."""
    read_json_as(folder / ADAPTER_CONFIG, _Config)
    return read_json_as(folder / ADAPTER_CONFIG, dict[str, Any])


def is_plain(folder: Path) -> bool:
    """Whether the ΔW of the adapter in ``folder`` is the product of its factors. Raises UserError for a broken config."""
    config = read_config(folder)
    return not any(config.get(option) for option in NON_PRODUCT_OPTIONS)


def write_config(config: dict[str, Any], folder: Path) -> None:
    """Write a PEFT config in canonical form; PEFT itself writes its sets in hash order."""
    canonical = {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}
    if isinstance(canonical.get("target_modules"), list):
        canonical["target_modules"] = sorted(canonical["target_modules"])
    write_text(folder / ADAPTER_CONFIG, dump_json(canonical))

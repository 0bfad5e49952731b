"""A working folder for baselines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.baselines import link_encoder


@pytest.fixture
def pico(workplace: Path, pico_encoder: Path) -> Path:
    """A working folder whose models/pretrained/pico is the pico encoder."""
    return link_encoder(workplace, pico_encoder)

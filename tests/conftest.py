"""Fixtures: pico models, a working folder of each test's own, and which tiers can run here."""

from __future__ import annotations

import os
import shutil

os.environ["HF_HUB_OFFLINE"] = "1"  # before any test imports transformers: a hub look-up hangs in retries
os.environ.setdefault("OMP_NUM_THREADS", "1")  # pico models are too small for two threads

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.scratch_clone import REPOSITORY

# The same examples on every run, so that two runs differ by the code alone; no time limits, since a loaded machine is slow.
settings.register_profile("ecomtune", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ecomtune")


#: The files that take longest, which go first: processes that share the files then end together.
LONG = (
    "test_sweep.py",
    "test_docs.py",
    "test_pipeline.py",
    "test_distributed.py",
    "test_resume.py",
    "test_served_model.py",
    "test_benchmarks.py",
)


@pytest.fixture(scope="session")
def pico_causal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random causal model."""
    from tests.support.pico import make_causal

    return make_causal(tmp_path_factory.mktemp("pico") / "causal")


@pytest.fixture(scope="session")
def pico_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random encoder."""
    from tests.support.pico import make_encoder

    return make_encoder(tmp_path_factory.mktemp("pico") / "encoder")


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder but for tasks/: the project's relative paths (.scratch, data, ...) land in it."""
    from tests.support.tasks import define_tasks

    monkeypatch.chdir(tmp_path)
    define_tasks()
    return tmp_path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first; skip, saying so, the tests whose browser, weights or data aren't here."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))
    browser = shutil.which("chromedriver") and (shutil.which("chromium") or shutil.which("google-chrome"))
    weights = REPOSITORY / "models" / "pretrained" / "smollm2" / "model.safetensors"
    for item in items:
        if item.get_closest_marker("browser") and not browser:
            item.add_marker(pytest.mark.skip(reason="no chromium with chromedriver is here: apt-get install chromium-driver"))
        if item.get_closest_marker("weights") and not weights.is_file():
            item.add_marker(pytest.mark.skip(reason="models/pretrained/smollm2 isn't here: make repro brings it"))
        if item.get_closest_marker("mirror") and not os.environ.get("ECOMTUNE_MIRROR"):
            item.add_marker(pytest.mark.skip(reason="ECOMTUNE_MIRROR names no folder of real data files"))

"""Searched merge weights are those of the lowest validation loss on the grid, and keep the sum that was given."""

from __future__ import annotations

import shutil
from math import comb
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecomtune.adapters.factors import Adapter, Factors, load_adapter
from ecomtune.adapters.merging import merge
from ecomtune.adapters.weight_search import Weights, grid, search
from ecomtune.checks.parameters import load_params
from ecomtune.core.files import output_folder
from ecomtune.lora.adapter_training import save_trained, train_adapter
from ecomtune.messages.errors import UserError
from ecomtune.training.checkpoints import Checkpoints
from tests.lora.test_adapter_training import BASE, RELEVANCE, SETTINGS


@given(names=st.lists(st.text("abc", min_size=1), min_size=1, max_size=4, unique=True), steps=st.integers(1, 6))
def test_a_grid_has_all_weights_of_its_sum_once(names: list[str], steps: int) -> None:
    found = list(grid(names, 2.0, steps))
    assert len(found) == len({tuple(weights.values()) for weights in found}) == comb(steps + len(names) - 1, len(names) - 1)
    assert all(list(weights) == names and min(weights.values()) >= 0 for weights in found)
    assert all(sum(weights.values()) == pytest.approx(2.0) for weights in found)


@pytest.fixture
def adapters(workplace: Path, pico_causal: Path) -> dict[str, Adapter]:
    """One that was trained for its rows, and its opposite."""
    shutil.copytree(pico_causal, BASE)
    trained = train_adapter(RELEVANCE, [], BASE, SETTINGS, 5, Checkpoints(workplace / "kept"))
    with output_folder(Path("good")) as folder:
        save_trained(trained, folder)
    good = load_adapter(Path("good"))
    opposite = {module: Factors(factors.a, -factors.b) for module, factors in good.factors.items()}
    return {"bad": Adapter(opposite, good.config), "good": good}


@pytest.mark.parametrize(("method", "rank"), [("cat", None), ("svd", 4)])
def test_an_adapter_that_helps_takes_all_the_weight_of_one_that_harms(
    adapters: dict[str, Adapter], method: str, rank: int | None
) -> None:
    def merged(weights: Weights) -> Adapter:
        return merge(list(adapters.values()), [weights[name] for name in adapters], method, rank)

    tried = search(list(grid(sorted(adapters), 1.0, 4)), merged, BASE, RELEVANCE[:6], SETTINGS)
    assert [each["weights"]["good"] for each in tried] == [1.0, 0.75, 0.5, 0.25, 0.0]
    losses = [each["loss"] for each in tried]
    assert losses == sorted(losses) and losses[0] < losses[-1]
    record = train_adapter(RELEVANCE, RELEVANCE[:6], BASE, SETTINGS, 5, Checkpoints(Path("again"))).record
    assert losses[0] == pytest.approx(record["validation"][-1]["relevance"], abs=2e-4)


def test_without_validation_rows_there_is_nothing_to_search_by() -> None:
    with pytest.raises(UserError, match="merge weights are searched on validation rows, and there are none"):
        search([{"good": 1.0}], lambda _: Adapter({}, {}), BASE, [], SETTINGS)


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        ('weights: {"1": 0.5, "2": 0.5}, search: {tasks: [nre]}', "search.tasks: 'nre' is not in tasks"),
        ('weights: {"1": 1.5, "2": -0.5}, search: {tasks: [relevance]}', "search tries weights from 0 upwards"),
        (
            'weights: {"1": 0.5, "2": 0.5}, search: {tasks: [relevance], steps: 0}',
            "search.steps: Input should be greater than 0",
        ),
    ],
)
def test_a_search_that_can_not_be_is_refused(tmp_path: Path, recipe: str, told: str) -> None:
    text = Path("profiles/pico.yaml").read_text()
    assert 'weights: {"1": 0.5, "2": 0.5}' in text
    (tmp_path / "params.yaml").write_text(text.replace('weights: {"1": 0.5, "2": 0.5}', recipe))
    with pytest.raises(UserError, match=told):
        load_params(tmp_path / "params.yaml")

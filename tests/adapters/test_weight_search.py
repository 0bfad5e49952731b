"""Searched merge weights are those of the lowest validation loss on the grid, and keep the recipe's sum."""

from __future__ import annotations

import shutil
from math import comb
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecomtune.adapters.factors import Adapter, Factors, load_adapter
from ecomtune.adapters.merging import merge
from ecomtune.adapters.weight_search import Weights, grid, rank_by_loss
from ecomtune.checks.parameters import load_params
from ecomtune.core.files import output_folder
from ecomtune.lora.adapter_training import AdapterJob, save_trained, train_adapter
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
    """An adapter trained on its rows, and its opposite."""
    shutil.copytree(pico_causal, BASE)
    trained = train_adapter(AdapterJob(RELEVANCE, [], BASE, SETTINGS, 5), Checkpoints(workplace / "checkpoints"))
    with output_folder(Path("good")) as folder:
        save_trained(trained, folder)
    good = load_adapter(Path("good"))
    opposite = {module: Factors(factors.a, -factors.b) for module, factors in good.factors.items()}
    return {"bad": Adapter(opposite, good.config), "good": good}


@pytest.mark.parametrize(("method", "rank"), [("cat", None), ("svd", 4)])
def test_an_adapter_that_lowers_the_loss_gets_all_the_weight_of_one_that_raises_it(
    adapters: dict[str, Adapter], method: str, rank: int | None
) -> None:
    def merged(weights: Weights) -> Adapter:
        return merge(list(adapters.values()), [weights[name] for name in adapters], method, rank)

    tried = rank_by_loss(list(grid(sorted(adapters), 1.0, 4)), merged, BASE, RELEVANCE[:6], SETTINGS)
    assert [each["weights"]["good"] for each in tried] == [1.0, 0.75, 0.5, 0.25, 0.0]
    losses = [each["loss"] for each in tried]
    assert losses == sorted(losses) and losses[0] < losses[-1]
    record = train_adapter(AdapterJob(RELEVANCE, RELEVANCE[:6], BASE, SETTINGS, 5), Checkpoints(Path("again"))).record
    assert losses[0] == pytest.approx(record["validation"][-1]["relevance"], abs=2e-4)


def test_a_search_without_validation_rows_is_refused() -> None:
    with pytest.raises(UserError, match="merge weights are searched on validation rows, and there are none"):
        rank_by_loss([{"good": 1.0}], lambda _: Adapter({}, {}), BASE, [], SETTINGS)


@pytest.mark.parametrize(
    ("recipe", "error"),
    [
        ('weights: {"1": 0.5, "2": 0.5}, search: {tasks: [nre]}', "search.tasks: 'nre' is not in tasks"),
        ('weights: {"1": 1.5, "2": -0.5}, search: {tasks: [relevance]}', "search tries weights from 0 upwards"),
        (
            'weights: {"1": 0.5, "2": 0.5}, search: {tasks: [relevance], steps: 0}',
            "search.steps: Input should be greater than 0",
        ),
    ],
)
def test_an_impossible_search_is_refused(tmp_path: Path, recipe: str, error: str) -> None:
    text = Path("profiles/pico.yaml").read_text()
    assert 'weights: {"1": 0.5, "2": 0.5}' in text
    (tmp_path / "params.yaml").write_text(text.replace('weights: {"1": 0.5, "2": 0.5}', recipe))
    with pytest.raises(UserError, match=error):
        load_params(tmp_path / "params.yaml")

"""The pictures of a run, and which of them the page shows."""

from __future__ import annotations

from pathlib import Path

from ecomtune.core.config.params import Params
from ecomtune.core.paths import ADAPTERS
from ecomtune.report.adapter_similarity import (
    describe_similarity,
    describe_transfer,
    measured_adapters,
    plot_similarity,
    plot_transfer,
)
from ecomtune.report.losses import describe_losses, plot_losses, read_losses
from ecomtune.report.merge_weights import merge_weights, plot_merges
from ecomtune.report.page.pictures import Picture
from ecomtune.report.plots import plot_costs, plot_systems
from ecomtune.report.quality_cost import describe_costs
from ecomtune.report.summary import Summary


def draw(params: Params, summary: Summary, folder: Path) -> list[Picture]:
    """Draw into ``folder`` every picture that the run has data for; returns those that the page shows.

    The page draws systems and merges itself.
    """
    plot_systems(summary, folder / "systems.png")
    if params.merge.recipes:
        plot_merges(merge_weights(params.merge.recipes), folder / "merges.png")
    pictures = [Picture("Quality against cost", folder / "costs.png", describe_costs(summary))]
    plot_costs(summary, pictures[-1].file)
    if losses := read_losses(ADAPTERS):
        pictures.append(Picture("Training and validation losses", folder / "losses.png", describe_losses(losses)))
        plot_losses(losses, pictures[-1].file)
    if summary.similarity.pairs:
        text = describe_similarity(summary.similarity)
        pictures.append(Picture("How similar every two adapters are", folder / "similarity.png", text))
        plot_similarity(summary.similarity, pictures[-1].file)
    if measured_adapters(summary.transfer):
        text = describe_transfer(summary.transfer)
        pictures.append(Picture("What each adapter adds to each task", folder / "transfer.png", text))
        plot_transfer(summary.transfer, pictures[-1].file)
    return pictures

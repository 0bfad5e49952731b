"""compare: all systems side by side, and all adapters, into reports and plots/compare."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ecomtune.adapters.factors import load_adapter
from ecomtune.adapters.similarity import compare_adapters
from ecomtune.core.adapter_files import is_plain
from ecomtune.core.config.params import Params
from ecomtune.core.files import dump_json, output_folder, write_text
from ecomtune.core.paths import ADAPTERS, COMPARE_PLOTS, REPORTS, SUMMARY
from ecomtune.messages.console import show
from ecomtune.report import adapter_similarity as similarity
from ecomtune.report import losses, pairs
from ecomtune.report import quality_cost as costs
from ecomtune.report.confusion import confused, write_table
from ecomtune.report.merge_weights import merge_weights, plot_merges
from ecomtune.report.outcomes import Answers, read_answers
from ecomtune.report.page.content import content
from ecomtune.report.page.pictures import Picture, inline
from ecomtune.report.page.render import render
from ecomtune.report.plots import plot_systems
from ecomtune.report.summary import left_out, summarize, table, warnings
from ecomtune.stages.runner import run
from ecomtune.tasks.registry import load_task


def main(params: Params, _: str) -> None:
    summary, compared, answered = summarize(params), pairs.compare(params), read_answers(params)
    alike, by_module = _similarity(params)
    helped = similarity.transfer_section(params, summary["systems"])
    sections = {"costs": costs.costs_section(summary), "pairs": compared, "similarity": alike, "transfer": helped}
    summary |= sections
    shown = content(params, summary, compared, answered)
    with output_folder(COMPARE_PLOTS) as folder:
        page = render({**shown, "pictures": inline(_draw(params, summary, folder))})
        _write_confusion(answered, folder / "confusion")
    write_text(SUMMARY, dump_json(summary))
    write_text(REPORTS / "similarity.csv", by_module)
    write_text(REPORTS / "index.html", page)
    _tell(params, summary)


def _draw(params: Params, summary: dict[str, Any], folder: Path) -> list[Picture]:
    """Draw all that there is to be drawn; gives the pictures that the page shows."""
    pictures = []

    def drawn(name: str, title: str, text: str) -> None:
        pictures.append(Picture(title, folder / f"{name}.png", text))

    plot_systems(summary, folder / "systems.png")  # which the page, like merges, draws itself
    costs.plot_costs(summary, folder / "costs.png")
    drawn("costs", "Quality against cost", costs.in_words(summary))
    if trained := losses.records(ADAPTERS):
        losses.plot_losses(trained, folder / "losses.png")
        drawn("losses", "How each training's losses went", losses.described(trained))
    if params.merge.recipes:
        plot_merges(merge_weights(params.merge.recipes), folder / "merges.png")
    if summary["similarity"]["pairs"]:
        similarity.plot_similarity(summary["similarity"], folder / "similarity.png")
        drawn("similarity", "How alike every two adapters are", similarity.similarity_in_words(summary["similarity"]))
    if similarity.measured(summary["transfer"]):
        similarity.plot_transfer(summary["transfer"], folder / "transfer.png")
        drawn("transfer", "What each adapter adds to each task", similarity.transfer_in_words(summary["transfer"]))
    return pictures


def _tell(params: Params, summary: dict[str, Any]) -> None:
    """Print what was found."""
    show(costs.costs_table(summary))
    print("\n".join(costs.remarks(summary)))
    show(table(summary))
    told = pairs.sentences(summary["pairs"], params.score.confidence)
    told += [pairs.explained(params.score.confidence)] if told else []
    for line in [*warnings(summary), *left_out(summary), *told]:
        print(line)
    if summary["similarity"]["pairs"]:
        show(similarity.similarity_table(summary["similarity"]))
    if similarity.measured(summary["transfer"]):
        show(similarity.transfer_table(summary["transfer"]))


def _write_confusion(answered: Answers, folder: Path) -> None:
    """A table TASK/SYSTEM.csv for every system of a task with labels or tags."""
    for key, given in answered.items():
        for name, predictions in given.items():
            if found := confused(load_task(key), predictions):
                write_table(found, folder / key / f"{name}.csv")


def _similarity(params: Params) -> tuple[dict[str, Any], str]:
    """How alike every two adapters of params are, of those that are there; in all, and by module as CSV."""
    folders = {name: ADAPTERS / name for name in similarity.adapter_names(params)}
    adapters = {name: load_adapter(folder) for name, folder in folders.items() if folder.is_dir() and is_plain(folder)}
    pairs = [asdict(pair) for pair in compare_adapters(adapters)]
    return similarity.similarity_section(list(adapters), pairs), similarity.by_module(pairs)


if __name__ == "__main__":
    run(main)

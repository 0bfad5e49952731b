"""compare: all systems side by side, into reports/summary.json and plots/compare/systems.png."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from ecomtune import tasks
from ecomtune.files import dump_json, output_folder, write_text
from ecomtune.params import Params
from ecomtune.report import pairs
from ecomtune.report.answers import read_answers
from ecomtune.report.confusion import confused, write_table
from ecomtune.report.merges import merge_weights, plot_merges
from ecomtune.report.page import render
from ecomtune.report.page.content import content
from ecomtune.report.plots import plot_systems
from ecomtune.report.summary import summarize, table
from ecomtune.stages import run


def main(params: Params, _: str) -> None:
    summary, compared, answered = summarize(params), pairs.compare(params), read_answers(params)
    page = render(content(params, summary, compared, answered))
    with output_folder(Path("plots/compare")) as folder:
        plot_systems(summary, folder / "systems.png")
        if params.merge.recipes:
            plot_merges(merge_weights(params.merge.recipes), folder / "merges.png")
        for key, given in answered.items():
            for name, predictions in given.items():
                if found := confused(tasks.load(key), predictions):
                    write_table(found, folder / "confusion" / key / f"{name}.csv")
    write_text(Path("reports/summary.json"), dump_json({**summary, "pairs": compared}))
    write_text(Path("reports/index.html"), page)
    for name in summary["left_over"]:
        print(f"metrics/{name} belongs to no system of params.yaml and is left out")
    Console(width=120).print(table(summary))
    print("\n".join(pairs.sentences(compared, params.score.confidence)))


if __name__ == "__main__":
    run(main)

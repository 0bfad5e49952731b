"""compare: all systems side by side, into reports/summary.json and plots/compare/systems.png."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from ecomtune.files import dump_json, output_folder, write_text
from ecomtune.params import Params
from ecomtune.report import pairs
from ecomtune.report.plots import plot_systems
from ecomtune.report.summary import summarize, table
from ecomtune.stages import run


def main(params: Params, _: str) -> None:
    summary = summarize(params)
    with output_folder(Path("plots/compare")) as folder:
        plot_systems(summary, folder / "systems.png")
    compared = pairs.compare(params)
    write_text(Path("reports/summary.json"), dump_json({**summary, "pairs": compared}))
    for name in summary["left_over"]:
        print(f"metrics/{name} belongs to no system of params.yaml and is left out")
    Console(width=120).print(table(summary))
    print("\n".join(pairs.sentences(compared, params.score.confidence)))


if __name__ == "__main__":
    run(main)

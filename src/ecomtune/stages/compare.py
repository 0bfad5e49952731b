"""compare: all systems side by side, and all adapters, into reports/ and plots/compare/."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ecomtune.adapters.factors import load_adapter
from ecomtune.adapters.similarity import compare_adapters
from ecomtune.core.adapter_files import is_plain
from ecomtune.core.config.params import Params
from ecomtune.core.files import output_folder, write_text
from ecomtune.core.paths import ADAPTERS, COMPARE_PLOTS, REPORTS
from ecomtune.messages.console import show
from ecomtune.report.adapter_similarity import (
    adapter_names,
    measured_adapters,
    similarity_by_module,
    similarity_of,
    similarity_table,
    transfer_of,
    transfer_table,
)
from ecomtune.report.confusion import write_confusions
from ecomtune.report.drawing import draw
from ecomtune.report.outcomes import read_answers
from ecomtune.report.page.content import content
from ecomtune.report.page.pictures import inline
from ecomtune.report.page.render import render
from ecomtune.report.pairs import compare_systems, interval_caveat, sentences
from ecomtune.report.quality_cost import cost_remarks, costs_by_task, costs_table
from ecomtune.report.summary import Summary, summarize, write_summary
from ecomtune.report.systems_table import few_groups_warnings, left_over_metrics, systems_table
from ecomtune.stages.runner import run
from ecomtune.tasks.registry import load_tasks


def main(params: Params, _: str) -> None:
    scores, answers = summarize(params), read_answers(params)
    adapters, adapter_pairs = _compare_adapters(params)
    summary = Summary.of(
        scores,
        costs=costs_by_task(scores),
        pairs=compare_systems(params, answers),
        similarity=similarity_of(adapters, adapter_pairs),
        transfer=transfer_of(params, scores),
    )
    shown = content(params, summary, answers)
    with output_folder(COMPARE_PLOTS) as folder:
        page = render({**shown, "pictures": inline(draw(params, summary, folder))})
        write_confusions(load_tasks(params, answers), answers, folder / "confusion")
    write_summary(summary)
    write_text(REPORTS / "similarity.csv", similarity_by_module(adapter_pairs))
    write_text(REPORTS / "index.html", page)
    _print(summary)


def _compare_adapters(params: Params) -> tuple[list[str], list[dict[str, Any]]]:
    """The adapters of params whose folders exist, and the similarity of every two of them."""
    folders = {name: ADAPTERS / name for name in adapter_names(params)}
    adapters = {name: load_adapter(folder) for name, folder in folders.items() if folder.is_dir() and is_plain(folder)}
    return list(adapters), [asdict(pair) for pair in compare_adapters(adapters)]


def _print(summary: Summary) -> None:
    show(costs_table(summary))
    print("\n".join(cost_remarks(summary)))
    show(systems_table(summary))
    differences = sentences(summary.pairs, summary.confidence)
    differences += [interval_caveat(summary.confidence)] if differences else []
    for line in [*few_groups_warnings(summary), *left_over_metrics(summary), *differences]:
        print(line)
    if summary.similarity.pairs:
        show(similarity_table(summary.similarity))
    if measured_adapters(summary.transfer):
        show(transfer_table(summary.transfer))


if __name__ == "__main__":
    run(main)

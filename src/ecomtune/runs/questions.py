"""The study's six questions (arXiv 2408.12779) and what the current run finds: a careful reading and its figures for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ecomtune.core.config.params import Params
from ecomtune.report import provenance
from ecomtune.report.summary import AdapterSimilarity
from ecomtune.report.systems_table import few_groups_warnings
from ecomtune.runs.comparisons import HEADER, Comparison, compare, figures, in_words, value_text
from ecomtune.runs.roles import adapters_of, trains_the_llm
from ecomtune.runs.study import Study
from ecomtune.runs.winners import winners

#: The columns of question 6: how similar two adapters are (principal angles on both sides), what each adds to the other's task.
MEASURES = {"cosine": "cosine of ΔW", "columns": "output side", "rows": "input side"}
GAINS = ("first adapter on second task", "second adapter on first task")
#: Pairs of tasks needed for a rank correlation: that of two is always 1 or -1.
LEAST_PAIRS = 3


@dataclass(frozen=True)
class Finding:
    """A question, the conclusion that its figures allow, and the table of these figures."""

    question: str
    reading: str
    header: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = field(default_factory=list)


def findings(study: Study) -> list[Finding]:
    """The six questions in the study's order."""
    return [samples(study), conventional(study), prompting(study), mixing(study), merging(study), similarity(study)]


def page(study: Study) -> str:
    """Markdown: what holds for all figures, each question with its reading and figures, and the best system of each task."""
    lines = ["# Answers to the study's six questions", "", *_premises(study)]
    for number, finding in enumerate(findings(study), start=1):
        lines += ["", f"## {number}. {finding.question}", "", finding.reading]
        if finding.rows:
            lines += ["", _row(finding.header), "|---" * len(finding.header) + "|", *map(_row, finding.rows)]
    lines += ["", "## The best system of each task", "", *(f"- {line}" for line in winners(study))]
    return "\n".join([*lines, ""])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _premises(study: Study) -> list[str]:
    """Which data are made up, what significant means here, and what no figure shows."""
    params, level = study.params, study.summary.confidence
    made_up = provenance.made_up(params)
    return [
        *([f"**Made-up data:** {made_up}", ""] if made_up else []),
        *(line for warning in few_groups_warnings(study.summary) for line in (f"**Few groups:** {warning}.", "")),
        f"All values are those of the test rows, with {100 * level:g}% intervals from resampling groups of rows. Differences "
        "are paired: both systems answered the same rows. The p of a difference is that of a permutation test, which swaps the "
        "two systems' answers in random groups, corrected by Holm for all pairs of systems of the task; a difference is "
        f"significant if p is below {1 - level:.2g}. The intervals, those of differences included, are not corrected for their "
        "number. A difference that isn't significant may still be real: these rows just don't show it. Every system was run "
        f"once, with seed {params.seed}; how much results vary between seeds was not measured.",
    ]


def samples(study: Study) -> Finding:
    """The learning curves of the tuned LLM, over the training sizes that were run."""
    rows: list[tuple[str, ...]] = []
    sentences, missing = [], []
    for task in study.params.tasks:
        for system in study.tuned(task):
            points = study.curves.get(task, {}).get(system, {})
            if len(points) < 2:
                missing.append(task)
                continue
            best = max(points, key=lambda size: (points[size]["value"], -size))
            enough = min(size for size in points if points[size]["ci"][1] >= points[best]["value"])
            rows += [
                (task, system, f"{size:,}", value_text(point["value"], point["ci"]), str(point["n"]))
                for size, point in points.items()
            ]
            sentences.append(
                f"{task}: trained on {', '.join(f'{size:,}' for size in points)} rows, {system} scores highest with {best:,}"
                + (", the largest size that was run, so more rows may help" if best == max(points) else "")
                + (f"; its interval with {enough:,} already reaches that value" if enough != best else "")
            )
    if rows:
        sentences.append("The sizes are not tested against each other")
    if missing:
        sweep = f"dvc exp run -S tasks.{missing[0]}.train_size=100"
        tasks = ", ".join(dict.fromkeys(missing))
        sentences.append(f"Not measured on {tasks} (only one size was run; run another with: {sweep})")
    reading = ". ".join(sentences) or "Not measured (no system is an LLM tuned on a task)"
    question = "How many training samples does an instruction-tuned LLM need per task to reach its best result?"
    return Finding(question, f"{reading}.", ("task", "system", "training rows", "value", "test rows"), rows)


def conventional(study: Study) -> Finding:
    """The tuned LLM compared with floors and with models whose weights are all trained, among them its own base model."""
    found = compare(study, study.tuned, lambda task: study.scored(task, "conventional", "floor"))
    reading = f"{in_words(found, 'no task has both a tuned LLM and a baseline')}."
    if found:
        same = sorted({each.theirs for each in found if trains_the_llm(study.params, each.theirs, each.task)})
        reading += f" In {', '.join(same)} all weights of the same LLM are trained." if same else ""
        reading += " Only quality is compared here, not cost."
    question = "Is an instruction-tuned LLM a good choice against conventional models?"
    return Finding(question, reading, HEADER, figures(study, found))


def prompting(study: Study) -> Finding:
    """Prompted models, those behind an endpoint first, compared with fine-tuned ones."""

    def fine_tuned(task: str) -> list[str]:
        return [*study.tuned(task), *study.scored(task, "conventional")]

    large = compare(study, lambda task: study.scored(task, "endpoint"), fine_tuned)
    local = compare(study, lambda task: study.scored(task, "prompt"), fine_tuned)
    if large:  # a model behind an endpoint may have any size
        models = _prompted_models(study, large)
        reading = f"Models behind an endpoint ({models}; only their names hint at their size): {in_words(large, '')}."
    else:
        reading = "A very large LLM: not measured (no system prompts one behind an endpoint on a task with a fine-tuned model)."
    if local:
        reading += f" Models run locally ({_prompted_models(study, local)}): {in_words(local, '')}."
    question = "Does few-shot prompting of a very large LLM beat fine-tuned smaller models?"
    return Finding(question, reading, HEADER, figures(study, large + local))


def _prompted_models(study: Study, found: Sequence[Comparison]) -> str:
    """The model that each system prompts, and the number and choice of its demonstrations."""
    texts = []
    for name, system in {each.ours: study.params.systems[each.ours] for each in found}.items():
        model = system.endpoint.model if system.endpoint else Path(system.reads).name
        texts.append(f"{name}: {model}, {system.shots} shots" + (f", {system.demonstrations}" if system.shots else ""))
    return "; ".join(texts)


def mixing(study: Study) -> Finding:
    """One adapter for several tasks compared with an adapter for each task."""
    found = compare(study, lambda task: study.scored(task, "mixed"), lambda task: study.scored(task, "single"))
    reading = f"{in_words(found, 'no task has both a single-task and a mixed-task system')}."
    differences = [
        f"{each.ours} and {each.theirs} on {each.task} ({text})"
        for each in found
        if (text := _training_differences(study.params, each))
    ]
    if differences:
        reading += f" Their training differs not only in the mix: {'; '.join(differences)}."
    return Finding("Single-task or mixed-task instruction tuning?", reading, HEADER, figures(study, found))


def _training_differences(params: Params, pair: Comparison) -> str:
    """The settings, and the largest number of the task's rows, that differ between the training of two adapters."""
    ours, theirs = (_training(params, system, pair.task) for system in (pair.ours, pair.theirs))
    return ", ".join(f"{key} {ours[key]} against {theirs[key]}" for key in ours if ours[key] != theirs[key])


def _training(params: Params, system: str, task: str) -> dict[str, Any]:
    name = adapters_of(params, system, task)[0]
    size = params.tasks[task].train_size
    rows = min(size, params.train.adapters[name].limit.get(task, size))
    return {"rows": rows, **params.train.settings_of(name).model_dump()}


def merging(study: Study) -> Finding:
    """Merges within a task and between tasks compared with adapters that were trained as one."""
    within = compare(
        study, lambda task: study.scored(task, "merged_within"), lambda task: study.scored(task, "single", "shard")
    )
    between = compare(
        study, lambda task: study.scored(task, "merged_between"), lambda task: study.scored(task, "single", "mixed")
    )
    reading = (
        f"Within one task: {in_words(within, 'no task has both a merge of adapters of its own and one such adapter')}. "
        f"Between tasks: {in_words(between, 'no task has both a merge across tasks and a single-task or mixed-task system')}."
    )
    question = "Does merging LoRA weights help, within one task and between tasks?"
    return Finding(question, reading, HEADER, figures(study, within + between))


def similarity(study: Study) -> Finding:
    """How similar the single-task adapters of every two tasks are, and what each adds to the other's task over zero-shot."""
    question = "How are the LoRA weights of every two tasks correlated, and does that go with how the tasks help each other?"
    adapters = study.params.train.adapters.values()
    single = {each.out: each.tasks[0] for each in adapters if len(each.tasks) == 1 and each.shard is None}
    pairs = [
        pair
        for pair in study.summary.similarity.pairs
        if pair.first in single and pair.second in single and single[pair.first] != single[pair.second]
    ]
    if not pairs:
        return Finding(question, "Not measured (the summary has no adapters of two different tasks to compare).")
    transfer = study.summary.transfer
    gains = [
        (transfer.get(pair.first, {}).get(single[pair.second]), transfer.get(pair.second, {}).get(single[pair.first]))
        for pair in pairs
    ]
    names = [f"{single[pair.first]} and {single[pair.second]}" for pair in pairs]
    rows = [
        (name, *(f"{getattr(pair, measure):.3f}" for measure in MEASURES), *map(_gain, both))
        for name, pair, both in zip(names, pairs, gains, strict=True)
    ]
    ordered = sorted(zip(names, pairs, strict=True), key=lambda each: -each[1].cosine)
    cosines = ", ".join(f"{name} ({pair.cosine:+.3f})" for name, pair in ordered)
    reading = f"Cosine of ΔW, the most similar tasks first: {cosines}. {_correlation(pairs, gains)}"
    return Finding(question, reading, ("tasks", *MEASURES.values(), *GAINS), rows)


def _gain(value: float | None) -> str:
    return "not measured" if value is None else f"{value:+.3f}"


def _correlation(pairs: Sequence[AdapterSimilarity], gains: Sequence[tuple[float | None, float | None]]) -> str:
    """Whether tasks with more similar adapters help each other more; pairs share tasks, which rules out a test."""
    known = [(pair.cosine, a + b) for pair, (a, b) in zip(pairs, gains, strict=True) if a is not None and b is not None]
    asked = "Whether tasks with similar adapters help each other"
    if len(known) < LEAST_PAIRS:
        need = f"{LEAST_PAIRS} pairs of tasks whose adapters answer each other's task, and zero-shot on these tasks"
        return f"{asked}: not measured (this needs {need}; {len(known)} pairs have that)."
    from scipy.stats import spearmanr

    cosines, sums = zip(*known, strict=True)
    if len(set(cosines)) == 1 or len(set(sums)) == 1:
        return f"{asked}: not measured (all {len(known)} pairs are equal)."
    correlation = float(spearmanr(cosines, sums).statistic)
    return (
        f"{asked}: the rank correlation is {correlation:+.2f} over {len(known)} pairs; it can't be tested, because the pairs "
        "share tasks."
    )

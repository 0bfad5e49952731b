"""The study's six questions (arXiv 2408.12779), answered by the current run: each with a careful reading and its figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ecomtune.core.config.params import Params
from ecomtune.report import provenance
from ecomtune.report.summary import warnings
from ecomtune.runs.comparisons import HEADER, Comparison, compare, figures, in_words, value_of
from ecomtune.runs.roles import adapters_of, trains_the_llm
from ecomtune.runs.study import Study
from ecomtune.runs.winners import winners

#: The summary's measures of two adapters (principal angles between what ΔW writes and reads), and what it says of their help.
MEASURES = {"cosine": "cosine of ΔW", "columns": "output side", "rows": "input side"}
GAINS = ("first's adapter on the second's task", "second's on the first's")
#: Pairs of tasks from which on a rank correlation is told: of two it is always 1 or -1.
LEAST_PAIRS = 3


@dataclass(frozen=True)
class Answer:
    """A question, the one line that its figures allow, and the table of these figures."""

    question: str
    reading: str
    header: tuple[str, ...] = ()
    rows: list[tuple[str, ...]] = field(default_factory=list)


def answers(study: Study) -> list[Answer]:
    """The six questions in the study's order."""
    return [samples(study), conventional(study), prompting(study), mixing(study), merging(study), similarity(study)]


def page(study: Study) -> str:
    """Markdown: what all answers rest on, each question with its reading and its figures, and the best system of each task."""
    lines = ["# Answers to the study's six questions", "", *_premises(study)]
    for number, answer in enumerate(answers(study), start=1):
        lines += ["", f"## {number}. {answer.question}", "", answer.reading]
        if answer.rows:
            lines += ["", _row(answer.header), "|---" * len(answer.header) + "|", *map(_row, answer.rows)]
    lines += ["", "## The best system of each task", "", *(f"- {line}" for line in winners(study))]
    return "\n".join([*lines, ""])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _premises(study: Study) -> list[str]:
    """Which data are made up, what significant means here, and what no figure can tell."""
    params, level = study.params, study.summary["confidence"]
    made_up = provenance.made_up(params)
    return [
        *([f"**Made-up data:** {made_up}", ""] if made_up else []),
        *(line for told in warnings(study.summary) for line in (f"**Few groups:** {told}.", "")),
        f"Values are those of the test rows, with {100 * level:g}% intervals over groups. A difference is paired on the same "
        "rows; it is significant where p, by exchanging the answers of random groups and corrected by Holm for all pairs of "
        f"systems of the task, is below {1 - level:.2g}. The intervals, those of differences too, aren't "
        "corrected for how many there are: each holds by itself. What isn't significant may differ all the same: these rows "
        f"don't show it. Every system was run once, with seed {params.seed}: what another seed would give isn't measured.",
    ]


def samples(study: Study) -> Answer:
    """The learning curves of the tuned LLM, by the training sizes that have been run."""
    rows: list[tuple[str, ...]] = []
    told, missing = [], []
    for task in study.params.tasks:
        for system in study.tuned(task):
            points = study.curves.get(task, {}).get(system, {})
            if len(points) < 2:
                missing.append(task)
                continue
            best = max(points, key=lambda size: (points[size]["value"], -size))
            enough = min(size for size in points if points[size]["ci"][1] >= points[best]["value"])
            rows += [(task, system, f"{size:,}", value_of(point), str(point["n"])) for size, point in points.items()]
            told.append(
                f"{task}: of {', '.join(f'{size:,}' for size in points)} rows, {system} scores highest with {best:,}"
                + (", the most that were run, so that more may help" if best == max(points) else "")
                + (f"; with {enough:,} its interval already reaches that value" if enough != best else "")
            )
    if rows:
        told.append("Sizes are not tested against each other")
    if missing:
        sweep = f"dvc exp run -S tasks.{missing[0]}.train_size=100"
        told.append(f"not measured on {', '.join(dict.fromkeys(missing))} (one size is run; another: {sweep})")
    reading = ". ".join(told) or "not measured (no system is an LLM tuned on a task)"
    question = "How many training samples does an instruction-tuned LLM need per task to reach its best result?"
    return Answer(question, f"{reading}.", ("task", "system", "training rows", "value", "test rows"), rows)


def conventional(study: Study) -> Answer:
    """The tuned LLM against models of which all weights are trained, its own base among them, and floors."""
    found = compare(study, study.tuned, lambda task: study.scored(task, "conventional", "floor"))
    reading = f"{in_words(found, 'no task has both a tuned LLM and a baseline')}."
    if found:
        whole = sorted({each.theirs for each in found if trains_the_llm(study.params, each.theirs, each.task)})
        reading += f" All weights of the same LLM are trained in {', '.join(whole)}." if whole else ""
        reading += " This is by quality alone: what each costs isn't weighed."
    question = "Is an instruction-tuned LLM a good choice against conventional models?"
    return Answer(question, reading, HEADER, figures(study, found))


def prompting(study: Study) -> Answer:
    """Models asked as they are, those behind an endpoint first, against fine-tuned ones."""

    def fine_tuned(task: str) -> list[str]:
        return [*study.tuned(task), *study.scored(task, "conventional")]

    large = compare(study, lambda task: study.scored(task, "endpoint"), fine_tuned)
    local = compare(study, lambda task: study.scored(task, "prompt"), fine_tuned)
    if large:  # what is behind an endpoint may be of any size
        reading = (
            f"Models behind an endpoint ({_asked(study, large)}; of their size only their names tell): {in_words(large, '')}."
        )
    else:
        reading = "A very large LLM: not measured (no system asks one behind an endpoint, on a task with a fine-tuned model)."
    if local:
        reading += f" Models run here ({_asked(study, local)}): {in_words(local, '')}."
    question = "Does few-shot prompting of a very large LLM beat fine-tuned smaller models?"
    return Answer(question, reading, HEADER, figures(study, large + local))


def _asked(study: Study, found: Sequence[Comparison]) -> str:
    """Which model each system asks, and with how many demonstrations of which choice."""
    told = []
    for name, system in {each.ours: study.params.systems[each.ours] for each in found}.items():
        model = system.endpoint.model if system.endpoint else Path(system.reads).name
        told.append(f"{name}: {model}, {system.shots} shots" + (f", {system.demonstrations}" if system.shots else ""))
    return "; ".join(told)


def mixing(study: Study) -> Answer:
    """One adapter for several tasks against one of the task's own."""
    found = compare(study, lambda task: study.scored(task, "mixed"), lambda task: study.scored(task, "single"))
    reading = f"{in_words(found, 'no task has both a single-task and a mixed-task system')}."
    unlike = [
        f"{each.ours} and {each.theirs} on {each.task} ({text})" for each in found if (text := _unlike(study.params, each))
    ]
    if unlike:
        reading += f" Beside the mix, their training differs: {'; '.join(unlike)}."
    return Answer("Single-task or mixed-task instruction tuning?", reading, HEADER, figures(study, found))


def _unlike(params: Params, pair: Comparison) -> str:
    """What two adapters were trained with, where it isn't the same: settings, and at most how many rows of the task."""
    ours, theirs = (_training(params, system, pair.task) for system in (pair.ours, pair.theirs))
    return ", ".join(f"{key} {ours[key]} against {theirs[key]}" for key in ours if ours[key] != theirs[key])


def _training(params: Params, system: str, task: str) -> dict[str, Any]:
    name = adapters_of(params, system, task)[0]
    size = params.tasks[task].train_size
    rows = min(size, params.train.adapters[name].limit.get(task, size))
    return {"rows": rows, **params.train.settings_of(name).model_dump()}


def merging(study: Study) -> Answer:
    """Merges within a task and between tasks, against adapters that were trained as one."""
    within = compare(
        study, lambda task: study.scored(task, "merged_within"), lambda task: study.scored(task, "single", "shard")
    )
    between = compare(
        study, lambda task: study.scored(task, "merged_between"), lambda task: study.scored(task, "single", "mixed")
    )
    reading = (
        f"Within one task: {in_words(within, 'no merge of adapters of one task answers beside one of its own')}. "
        f"Between tasks: {in_words(between, 'no merge of adapters of several tasks answers beside a single or mixed one')}."
    )
    question = "Does merging LoRA weights help, within one task and between tasks?"
    return Answer(question, reading, HEADER, figures(study, within + between))


def similarity(study: Study) -> Answer:
    """How alike the single-task adapters of every two tasks are, and what each adds to the other's task over zero-shot."""
    question = "How are the LoRA weights of every two tasks correlated, and does that go with how the tasks help each other?"
    adapters = study.params.train.adapters.values()
    single = {each.out: each.tasks[0] for each in adapters if len(each.tasks) == 1 and each.shard is None}
    pairs = [
        pair
        for pair in study.summary.get("similarity", {}).get("pairs", [])
        if pair["first"] in single and pair["second"] in single and single[pair["first"]] != single[pair["second"]]
    ]
    if not pairs:
        return Answer(question, "not measured (the summary compares no two tasks' adapters).")
    gains = study.summary.get("transfer", {})
    helped = [
        (gains.get(one, {}).get(single[other]), gains.get(other, {}).get(single[one]))
        for one, other in ((pair["first"], pair["second"]) for pair in pairs)
    ]
    names = [f"{single[pair['first']]} and {single[pair['second']]}" for pair in pairs]
    rows = [
        (name, *(f"{pair[each]:.3f}" for each in MEASURES), *map(_gain, mutual))
        for name, pair, mutual in zip(names, pairs, helped, strict=True)
    ]
    ordered = sorted(zip(names, pairs, strict=True), key=lambda each: -each[1]["cosine"])
    told = ", ".join(f"{name} ({pair['cosine']:+.3f})" for name, pair in ordered)
    reading = f"By the cosine of ΔW, the most alike tasks first: {told}. {_agreement(pairs, helped)}"
    return Answer(question, reading, ("tasks", *MEASURES.values(), *GAINS), rows)


def _gain(value: float | None) -> str:
    return "not measured" if value is None else f"{value:+.3f}"


def _agreement(pairs: list[dict[str, Any]], helped: list[tuple[float | None, float | None]]) -> str:
    """Whether tasks of like adapters help each other more; pairs share tasks, so that no test holds."""
    known = [(pair["cosine"], a + b) for pair, (a, b) in zip(pairs, helped, strict=True) if a is not None and b is not None]
    asked = "Whether the tasks of like adapters help each other"
    if len(known) < LEAST_PAIRS:
        need = f"for it, adapters of {LEAST_PAIRS} pairs of tasks must answer each other's, and zero-shot too"
        return f"{asked}: not measured ({len(known)} pairs are known; {need})."
    from scipy.stats import spearmanr

    cosines, sums = zip(*known, strict=True)
    if len(set(cosines)) == 1 or len(set(sums)) == 1:
        return f"{asked}: not measured (all {len(known)} pairs are alike)."
    told = f"{float(spearmanr(cosines, sums).statistic):+.2f} over {len(known)} pairs, which share tasks, so that no test holds"
    return f"{asked}: the rank correlation is {told}."

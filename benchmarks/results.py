"""Measured turns become results.json and its table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness import Measured
from ecomtune.core.files import dump_json, read_json, write_text

Entry = dict[str, Any]
SIDES = ("ours", "theirs")
#: The modules of the comparisons, in the order of the table.
COMPARISONS = (
    *("train_ner_long", "train_ner_long_dropout", "train_mixed_compact"),
    *("answer_ner_long", "answer_relevance", "answer_relevance_compact"),
    *("merge_svd", "merge_svd_4096", "format_esci", "start_up"),
)
#: Digits that are kept of times and ratios, and of what is derived from them.
PLACES = 4
NOTES = Path(__file__).with_name("NOTES.md")


@dataclass(frozen=True)
class Target:
    """The limit that a measured value must reach; ``aim`` is what it should reach."""

    limit: float
    aim: float | None = None
    at_most: bool = False

    def judge(self, value: float) -> dict[str, Any]:
        """The value, its target, and whether it was reached."""
        reached = value <= self.limit if self.at_most else value >= self.limit
        bound = "at_most" if self.at_most else "at_least"
        return {"value": round(value, PLACES), bound: self.limit, "aim": self.aim, "reached": reached}


@dataclass(frozen=True)
class Comparison:
    """What is compared with what, and what its results have to reach.

    ``counts`` by side, ``bound``: the ratio of times at equal efficiency (None if the operations aren't counted), ``targets``
    for ``ratio``, ``memory`` and ``share_of_peak``, the last only if it is counted.
    """

    against: str
    data: str
    unit: str
    settings: Mapping[str, Any]
    per_turn: float
    targets: Mapping[str, Target]
    checks: Mapping[str, Any]
    bound: float | None = None
    counts: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: {side: {} for side in SIDES})
    peak_gflops: float | None = None

    def entry(self, found: Mapping[str, Measured]) -> Entry:
        """The results of the measured sides."""
        ratios = [theirs / ours for ours, theirs in zip(found["ours"].seconds, found["theirs"].seconds, strict=True)]
        ratio = {**_spread(ratios), "of_totals": sum(found["theirs"].seconds) / sum(found["ours"].seconds)}
        memory = {side: found[side].memory for side in SIDES}
        peak_key = "peak_cuda_bytes" if "peak_cuda_bytes" in memory["ours"] else "peak_bytes"
        memory_ratio = memory["ours"][peak_key] / memory["theirs"][peak_key]
        values = {"ratio": ratio["median"], "memory": memory_ratio}
        if "share_of_peak" in self.counts["ours"]:
            values["share_of_peak"] = self.counts["ours"]["share_of_peak"]
        result: Entry = {
            "against": self.against,
            "data": self.data,
            "unit": self.unit,
            "settings": dict(self.settings),
            "warm_up_turns": found["ours"].warm_up,
            "turns": len(ratios),
            f"{self.unit}_per_turn": self.per_turn,
            "ratio": ratio,
            "bound_by_operations": self.bound,
            "memory_ratio": memory_ratio,
            "targets": {name: target.judge(values[name]) for name, target in self.targets.items()},
            "checks": dict(self.checks),
            **{side: _side(found[side], self.counts[side], self.unit, self.per_turn) for side in SIDES},
        }
        if self.peak_gflops is not None:
            result["matrix_product_peak_gflops"] = self.peak_gflops
        return _rounded(result)  # type: ignore[no-any-return]  # a dict stays a dict


def _side(measured: Measured, counts: Mapping[str, float], unit: str, per_turn: float) -> Entry:
    seconds = measured.seconds
    return {
        "seconds": seconds,
        "seconds_spread": _spread(seconds),
        "warm_up_seconds": measured.all_seconds[: measured.warm_up],
        f"{unit}_per_second": _spread([per_turn / each for each in seconds]),
        "memory": measured.memory,
        "counts": dict(counts),
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{PLACES}g}") if abs(value) < 1 else round(value, PLACES)
    if isinstance(value, Mapping):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value


def add(folder: Path, device: str, machine: Mapping[str, Any], name: str, found: Entry) -> None:
    """Add an entry to the results in a folder and write their table again; results of another machine are dropped."""
    suffix = "" if device == "cpu" else f"-{device}"
    path = folder / f"results{suffix}.json"
    old = read_json(path) if path.is_file() else {}
    kept = old["comparisons"] if old.get("machine") == machine else {}
    results = {"machine": dict(machine), "comparisons": {**kept, name: found}}
    write_text(path, dump_json(results))
    write_text(folder / f"RESULTS{suffix}.md", table(results))


def table(results: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    rows = [(name, results["comparisons"][name]) for name in COMPARISONS if name in results["comparisons"]]
    notes = NOTES.read_text(encoding="utf-8").strip() if NOTES.is_file() else ""
    parts = [
        "# Measured against peers",
        "Written by `make bench`; results.json has every number. Ratios are their time divided by ours, for neighbouring turns "
        "with the same work: the median and, in brackets, the lowest and the highest.",
        _machine(results["machine"]),
        "## Time",
        _times(rows),
        "## Memory, and the machine's limit",
        _limits(rows),
        "The bound is the ratio of the operations on both sides, by the formulas of benchmarks/counts.py; times have this "
        "ratio at equal efficiency. Tokens are those of all measured turns, including padding. Shares of the peak compare the "
        "operations per second of training with the fastest matrix product measured between the same turns.",
        "## Same output",
        _outputs(rows),
        *([notes] if notes else []),
    ]
    return "\n\n".join(parts) + "\n"


def _machine(machine: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {found}" for name, found in sorted(machine["versions"].items()) if found)
    gpu = f"{machine['gpu']} (CUDA {machine['cuda']}, bfloat16), " if "gpu" in machine else ""
    return (
        f"Machine: {gpu}{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}; "
        f"{machine['threads']} threads a side, {machine['blas']}; Python {machine['python']}, {versions}."
    )


def _times(rows: Sequence[tuple[str, Entry]]) -> str:
    lines = []
    for name, found in rows:
        ratio, target = found["ratio"], found["targets"].get("ratio")
        speeds = [_speed(found, side) for side in SIDES]
        goal = "" if target is None else _goal(target)
        cells = [name, found["against"], found["data"], f"**{_range(ratio)}**", goal, *speeds, str(found["turns"])]
        lines.append(_row([*cells, _number(found["bound_by_operations"])]))
    head = ["comparison", "against", "data", "ratio", "target", "ours a second", "theirs a second", "turns", "bound"]
    return "\n".join([_row(head), _row(["---"] * len(head)), *lines])


def _limits(rows: Sequence[tuple[str, Entry]]) -> str:
    lines = []
    for name, found in rows:
        memory, counts = [found[side]["memory"] for side in SIDES], [found[side]["counts"] for side in SIDES]
        key = "peak_cuda_bytes" if "peak_cuda_bytes" in memory[0] else "peak_bytes"
        peaks = [f"{each[key] / 2**20:.0f} MiB" for each in memory]
        tokens = [f"{each['tokens']:,}" if "tokens" in each else "" for each in counts]
        shares = [f"{each['share_of_peak']:.0%}" if "share_of_peak" in each else "" for each in counts]
        goals = [_goal(found["targets"][what]) if what in found["targets"] else "" for what in ("memory", "share_of_peak")]
        peak = _number(found.get("matrix_product_peak_gflops"))
        lines.append(_row([name, *peaks, f"{found['memory_ratio']:.2f}", goals[0], *tokens, peak, *shares, goals[1]]))
    head = ["comparison", "our peak memory", "their peak memory", "ratio", "target", "our tokens", "their tokens"]
    head += ["GFLOP/s peak", "our share of peak", "their share of peak", "target"]
    return "\n".join([_row(head), _row(["---"] * len(head)), *lines])


def _outputs(rows: Sequence[tuple[str, Entry]]) -> str:
    lines = []
    for name, found in rows:
        facts = "; ".join(f"{key.replace('_', ' ')}: {_fact(value)}" for key, value in sorted(found["checks"].items()))
        lines.append(f"- {name}: {facts}")
    return "\n".join(lines)


def _fact(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_fact(each)}" for key, each in sorted(value.items()))
    if isinstance(value, list):
        return "[" + ", ".join(map(_fact, value)) + "]"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _number(value)


def _speed(found: Entry, side: str) -> str:
    unit = found["unit"]
    return f"{_range(found[side][f'{unit}_per_second'])} {unit}"


def _range(spread: Mapping[str, float]) -> str:
    return f"{_number(spread['median'])} ({_number(spread['min'])} to {_number(spread['max'])})"


def _number(value: Any) -> str:
    if not isinstance(value, float):
        return "" if value is None else str(value)
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _goal(target: Mapping[str, Any]) -> str:
    bound = f"at most {target['at_most']}" if "at_most" in target else f"at least {target['at_least']}"
    aim = f", aim {target['aim']}" if target["aim"] is not None else ""
    return f"{bound}{aim}: {'reached' if target['reached'] else 'not reached'}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

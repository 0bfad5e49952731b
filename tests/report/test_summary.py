"""The summary on disk: its form is fixed, it reads back as it was written, and another form is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecomtune.core.records import FEW_GROUPS
from ecomtune.messages.errors import UserError
from ecomtune.messages.warnings import few_groups
from ecomtune.metrics.paired import Pair
from ecomtune.report.summary import AdapterSimilarity, Scores, Similarity, Summary, TaskCosts, read_summary, write_summary
from ecomtune.report.systems_table import few_groups_warnings, left_over_metrics
from tests.support.scratch_clone import REPOSITORY
from tests.support.summaries import cell, scores, summary

SCORES = scores({"single": {"ner": cell(costs={"parameters": 7, "input_tokens": 2.5})}})
FULL = summary(
    SCORES,
    costs={"ner": TaskCosts(compute={"single": None}, unbeaten=[])},
    pairs={"ner": [Pair("single", "floor", 0.1, (0.05, 0.15), 0.01, 0.02)]},
    similarity=Similarity(adapters=["a", "b"], pairs=[AdapterSimilarity("a", "b", 0.1, 0.2, 0.3)]),
    transfer={"a": {"ner": 0.1}, "b": {"ner": None}},
)
TEXT = """{
  "confidence": 0.95,
  "costs": {
    "ner": {
      "compute": {
        "single": null
      },
      "unbeaten": []
    }
  },
  "left_over": [],
  "main_metric": {
    "ner": "f1"
  },
  "pairs": {
    "ner": [
      {
        "ci": [
          0.05,
          0.15
        ],
        "difference": 0.1,
        "first": "single",
        "p": 0.01,
        "p_holm": 0.02,
        "second": "floor"
      }
    ]
  },
  "similarity": {
    "adapters": [
      "a",
      "b"
    ],
    "pairs": [
      {
        "columns": 0.2,
        "cosine": 0.1,
        "first": "a",
        "rows": 0.3,
        "second": "b"
      }
    ]
  },
  "systems": {
    "single": {
      "ner": {
        "ci": [
          0.4,
          0.6
        ],
        "costs": {
          "input_tokens": 2.5,
          "parameters": 7
        },
        "groups": 11,
        "invalid": 0,
        "metric": "f1",
        "model": "m",
        "n": 48,
        "value": 0.5
      }
    }
  },
  "transfer": {
    "a": {
      "ner": 0.1
    },
    "b": {
      "ner": null
    }
  }
}
"""


def test_a_summary_is_written_with_sorted_keys_and_reads_back(workplace: Path) -> None:
    write_summary(FULL)
    assert Path("reports/summary.json").read_text() == TEXT
    assert read_summary() == FULL


@pytest.mark.parametrize("run", ["queryner", "demonstrations"])
def test_published_summaries_read_back_with_the_same_bytes(workplace: Path, run: str) -> None:
    published = REPOSITORY / "results" / run / "summary.json"
    write_summary(read_summary(published))
    assert Path("reports/summary.json").read_bytes() == published.read_bytes()


def _broken(*keys: Any, value: Any = None) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        *path, last = keys
        for key in path:
            content = content[key]
        if value is None:
            del content[last]
        else:
            content[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (_broken("costs"), "costs"),
        (_broken("more", value={}), "more"),
        (_broken("confidence", value="0.95"), "confidence"),
        (_broken("systems", "single", "ner", "model"), "systems.single.ner.model"),
        (_broken("systems", "single", "ner", "ci", value=[0.1]), "systems.single.ner.ci.1"),
        (_broken("systems", "single", "ner", "n", value=-1), "systems.single.ner.n"),
        (_broken("pairs", "ner", 0, "p_holm", value="1"), "pairs.ner.0.p_holm"),
        (_broken("pairs", "ner", 0, "p", value=float("nan")), "pairs.ner.0.p"),
        (_broken("similarity", "pairs", 0, "rows"), "similarity.pairs.0.rows"),
        (_broken("transfer", "a", "ner", value=[]), "transfer.a.ner"),
    ],
)
def test_a_summary_of_another_form_is_refused_by_its_key(
    workplace: Path, change: Callable[[dict[str, Any]], None], where: str
) -> None:
    content = json.loads(TEXT)
    change(content)
    Path("summary.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"^summary.json is missing or broken \(.*\); remove it and run dvc repro") as caught:
        read_summary(Path("summary.json"))
    assert where in str(caught.value)


def test_other_scores_leave_the_rest_of_a_summary() -> None:
    newer = scores({"single": {"ner": cell(value=0.7)}}, confidence=0.9)
    found = FULL.with_scores(newer)
    assert found == summary(newer, costs=FULL.costs, pairs=FULL.pairs, similarity=FULL.similarity, transfer=FULL.transfer)
    assert isinstance(found, Summary) and found.interval == "90% interval"


@pytest.mark.parametrize("groups", [1, FEW_GROUPS - 1, FEW_GROUPS, 500])
def test_the_page_warns_of_few_groups_in_the_words_that_stages_print(groups: int) -> None:
    printed = few_groups("ner", groups, FEW_GROUPS)
    assert few_groups_warnings(scores({"single": {"ner": cell(groups=groups)}})) == ([printed] if printed else [])


@pytest.mark.parametrize(("files", "command"), [([], None), (["a.json", "b c.json"], "rm metrics/a.json 'metrics/b c.json'")])
def test_left_over_metrics_come_with_the_command_that_removes_them(files: list[str], command: str | None) -> None:
    line = [f"ignored metrics files that belong to no system in params.yaml; remove them with: {command}"] if command else []
    assert left_over_metrics(Scores(confidence=0.95, left_over=files, main_metric={}, systems={})) == line


@pytest.mark.parametrize(("confidence", "name"), [(0.95, "95%"), (0.9, "90%"), (0.999, "99.9%"), (0.57, "57%")])
def test_an_interval_is_named_by_its_confidence(confidence: float, name: str) -> None:
    assert scores({}, confidence=confidence).interval == f"{name} interval"

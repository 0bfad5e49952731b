"""The report page: data are never read as code, the file needs no other, and the same run yields the same bytes."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ecomtune.checks.parameters import load_params
from ecomtune.core.records import Example, read_records, write_records
from ecomtune.messages.errors import UserError
from ecomtune.report import provenance
from ecomtune.report.page.content import CHARACTERS, ITEMS, ROWS, cut
from ecomtune.report.page.pictures import Picture, inline
from ecomtune.report.page.render import SCRIPTS, embed, render
from ecomtune.stages.compare import main as compare
from tests.support.report_data import HOSTILE, RELEVANCE, params, relevance, write_answers, write_report
from tests.support.scratch_clone import REPOSITORY

FOLDER = REPOSITORY / "src/ecomtune/report/page"


class Tags(HTMLParser):
    """The elements of a page and their attributes, in their order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return write_report().read_text(encoding="utf-8")


def embedded(page: str) -> Any:
    (found,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    return json.loads(found)


def task(page: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in embedded(page)["tasks"] if each["name"] == name]
    return dict(found)


def test_hostile_texts_stay_texts(page: str) -> None:
    row = task(page, "relevance")["rows"][1]
    assert row["fields"]["title"] == HOSTILE and row["answers"]["single"] == ["malformed", 0.0, HOSTILE]
    assert task(page, "summarization")["rows"][1]["fields"]["reviews"][0] == HOSTILE
    clean = render({"tasks": []})
    assert [tag for tag, _ in Tags(page).found] == [tag for tag, _ in Tags(clean).found]
    assert page.count("<script") == page.count("</script>") == 2


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))
def test_embedded_data_read_back_and_hold_no_characters_of_markup(value: Any) -> None:
    text = embed({"value": value})
    assert json.loads(text) == {"value": value}
    assert not set("<>&\u2028\u2029") & set(text)


def test_a_placeholder_in_the_data_is_not_replaced() -> None:
    assert '{"own":"$data $script ${style} $$"}' in render({"own": "$data $script ${style} $$"})


def test_the_policy_admits_the_pages_script_and_style_and_nothing_else(page: str) -> None:
    policy = next(attrs["content"] for tag, attrs in Tags(page).found if attrs.get("http-equiv") == "Content-Security-Policy")
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, style)]
    assert str(policy).split("; ") == [
        "default-src 'none'",
        f"script-src 'sha256-{hashes[0]}'",
        f"style-src 'sha256-{hashes[1]}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
    first = [tag for tag, _ in Tags(page).found if tag in ("meta", "style", "script", "title")]
    assert first[:2] == ["meta", "meta"], "the policy precedes what it governs"


def test_the_page_names_no_address_and_takes_no_markup_from_texts(page: str) -> None:
    code = "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in ("page.css", "template.html", *SCRIPTS))
    assert not re.search(r"https?:|//[a-z]|url\(|@import|src=|href=\"[^#]", re.sub(r"// .*", "", code))
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(|\bstyle=|\bon[a-z]+=", code)


def test_the_page_holds_pictures_each_with_a_text(page: str) -> None:
    costs, losses, alike = embedded(page)["pictures"]
    assert costs["text"].endswith("the cheapest first: relevance: single; ner: single; summarization: single, mixed.")
    assert losses["text"] == (
        "The loss by step, a panel for each adapter. mixed: training 2.000 to 1.000 in 2 steps, validation ner 1.250. "
        "single/ner: training 2.000 to 1.000 in 2 steps, validation ner 1.250."
    )
    assert alike["text"].startswith("Heat maps of every two of 2 adapters. By cosine of ΔW single/ner and mixed (")
    for picture, size in ((costs, 1584), (losses, 768), (alike, 1200)):
        kind, _, data = picture["source"].partition(",")
        assert kind == "data:image/png;base64" and picture["title"]
        assert abs(Image.open(io.BytesIO(base64.b64decode(data))).width - size) < 200


def test_the_page_says_where_its_rows_come_from_how_many_there_are_and_which_have_too_few_groups(page: str) -> None:
    found = embedded(page)
    assert found["made_up"].startswith("a generator wrote the rows of relevance (demo_shop), ner (demo_shop), summarization (")
    rows = f"relevance 160 + 40 + {RELEVANCE}, ner 160 + 40 + 6, summarization 160 + 40 + 4"
    assert found["sources"] == [
        f"demo_shop (reader demo_shop, generated by this project): {rows}.",
        "Rows: training + validation + test. Seed: 7.",
    ]
    assert [warning.partition(" for its")[0] for warning in found["warnings"]] == [
        "ner: too few groups (2, of at least 10)",
        "summarization: too few groups (1, of at least 10)",
    ]
    assert found["caveat"].endswith("a difference whose interval excludes 0 may therefore not be significant")


def test_published_data_have_licences_and_no_warning(tmp_path: Path) -> None:
    real = load_params(REPOSITORY / "profiles/real.yaml")
    splits = {"train": {"rows": 1200}, "validation": {"rows": 3}, "test": {"rows": 4}}
    for task in real.tasks:
        (tmp_path / task).mkdir()
        (tmp_path / task / "report.json").write_text(json.dumps({"splits": splits}))
    assert provenance.made_up(real) is None
    lines = provenance.sources(real, tmp_path)
    licences = "MIT (bltlab/query-ner); annotations MIT (bltlab/query-ner), queries Apache-2.0 (ESCI)"
    assert f"queryner (reader queryner, {licences}): ner 1,200 + 3 + 4." in lines and len(lines) == len(real.datasets) + 1


def test_the_page_holds_costs_as_numbers(page: str) -> None:
    found = embedded(page)["costs"]
    assert found["rows"][0] == [True, "relevance", "single", "2.3e+03", "10", "2", "–", "–"] and len(found["rows"]) == 6
    assert found["header"][1:5] == ["system", "operations", "tokens read", "written"]
    assert found["remarks"][2].endswith(" than single, mixed")


def test_a_picture_may_be_svg(tmp_path: Path) -> None:
    (tmp_path / "costs.svg").write_text("<svg/>")
    (made,) = inline([Picture("Costs", tmp_path / "costs.svg", "In words")])
    assert made == {"title": "Costs", "text": "In words", "source": "data:image/svg+xml;base64,PHN2Zy8+"}


def test_the_same_run_yields_the_same_bytes_in_any_folder(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert write_report().read_text(encoding="utf-8") == page
    assert str(tmp_path) not in page and not re.search(r"20\d\d-\d\d", page)


def test_each_answer_is_right_wrong_or_malformed(page: str) -> None:
    outcomes = {
        (name, system): [row["answers"][system][0] for row in task(page, name)["rows"]]
        for name in ("ner", "summarization")
        for system in ("single", "mixed")
    }
    assert outcomes == {
        ("ner", "single"): ["right"] * 5 + ["wrong"],
        ("ner", "mixed"): ["malformed"] + ["wrong"] * 5,
        ("summarization", "single"): ["right", "wrong", "malformed", "wrong"],
        ("summarization", "mixed"): ["wrong"] * 4,
    }
    partly = task(page, "summarization")["rows"][3]["answers"]["single"]
    assert partly[0] == "wrong" and 0 < partly[1] < 1 and partly[2] == "Warm, I think."
    assert task(page, "ner")["rows"][5]["answers"]["single"][1] == pytest.approx(2 / 3, abs=1e-3)


def test_the_page_holds_the_first_rows_and_counts_all(page: str) -> None:
    found = task(page, "relevance")
    assert (len(found["rows"]), found["total"]) == (ROWS, RELEVANCE) and RELEVANCE > ROWS
    assert sum(map(sum, found["confusion"]["single"]["counts"])) == RELEVANCE
    assert found["cells"]["single"]["n"] == RELEVANCE


def test_long_texts_and_lists_are_cut(page: str) -> None:
    assert cut("x" * CHARACTERS) == "x" * CHARACTERS
    assert cut("x" * (CHARACTERS + 1)) == "x" * CHARACTERS + "…"
    assert cut(["x"] * (ITEMS + 1)) == ["x"] * ITEMS
    assert not any(row["cut"] for row in task(page, "relevance")["rows"])


def test_a_very_long_answer_does_not_make_a_very_long_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_report()
    before = len(Path("reports/index.html").read_bytes())
    write_answers("relevance", [(fields, gold, "x" * 1_000_000, "Exact") for fields, gold, *_ in relevance()[:4]])
    compare(params(), "")
    page = Path("reports/index.html").read_text(encoding="utf-8")
    assert len(page) < before
    assert [row["cut"] for row in task(page, "relevance")["rows"]] == [True] * 4


def test_answers_to_other_rows_than_the_examples_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_report()
    before = Path("reports/index.html").read_bytes()
    examples = Path("data/examples/ner/test.jsonl")
    write_records(examples, read_records(examples, Example)[1:])
    message = r"data/predictions/single/ner.jsonl answers other rows than data/examples/ner/test.jsonl holds; run dvc repro"
    with pytest.raises(UserError, match=message):
        compare(params(), "")
    assert Path("reports/index.html").read_bytes() == before

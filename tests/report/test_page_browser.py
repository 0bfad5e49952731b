"""The report page in headless Chromium: it opens clean, its filters and keys work, and it looks as it should."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from selenium.webdriver import Chrome, ChromeOptions, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

from ecomtune.report.page.content import ROWS
from tests.support.report_data import GOLD_TAGS, HOSTILE, RELEVANCE, write_report

pytestmark = pytest.mark.browser
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("report"))
        return write_report()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A Chromium whose profile is deleted with the test's folders."""
    options = ChromeOptions()
    options.binary_location = str(shutil.which("chromium") or shutil.which("google-chrome"))
    for option in [*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def report(browser: Chrome, page: Path) -> Iterator[Chrome]:
    """The page, opened anew with the width and color scheme of a desktop; anything it logs fails the test."""
    show(browser, 1280, "light")
    browser.get(page.as_uri())
    yield browser
    assert browser.get_log("browser") == []


def show(browser: Chrome, width: int, scheme: str) -> None:
    """Give the page a width in CSS pixels, and a color scheme."""
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def find(report: Chrome, selector: str) -> WebElement:
    return report.find_element(By.CSS_SELECTOR, selector)


def texts(report: Chrome, selector: str) -> list[str]:
    return [each.text for each in report.find_elements(By.CSS_SELECTOR, selector)]


def choose(report: Chrome, name: str, value: str) -> None:
    Select(find(report, f"#{name}")).select_by_value(value)


def status(report: Chrome) -> str:
    return find(report, "#status").text


def press(report: Chrome, *keys: str) -> None:
    """Press keys wherever the focus is."""
    for key in keys:
        report.switch_to.active_element.send_keys(key)


def style(report: Chrome, selector: str, name: str) -> str:
    return str(find(report, selector).value_of_css_property(name))


def test_it_shows_the_comparison_and_loads_nothing(report: Chrome) -> None:
    rows = texts(report, "#comparison-table tbody tr")
    assert [row.split()[0] for row in rows] == ["single", "mixed"] and f"{RELEVANCE} rows" in find(report, "thead").text
    assert texts(report, "#comparison-table td.best .value")[0] == rows[0].split()[1]
    assert report.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert texts(report, "#pairs h3")[0] == "relevance: single is ahead of" and "✓ p 0.0" in texts(report, "#pairs .bar")[0]


def test_it_says_where_its_rows_come_from_and_shows_costs_as_numbers(report: Chrome) -> None:
    sources = texts(report, "#sources p")
    assert (
        sources[0].startswith("Made-up data: a generator wrote the rows of relevance")
        and f"160 + 40 + {RELEVANCE}" in sources[1]
    )
    assert [text.partition(":")[0] for text in texts(report, "#comparison .notice")] == ["ner", "summarization"]
    rows = texts(report, "#costs-table tbody tr")
    assert [row.split()[:5] for row in rows[:2]] == [
        ["relevance", "single", "2.3e+03", "10", "2"],
        ["relevance", "mixed", "4.6e+03", "10", "2"],
    ]
    assert [row.split()[1] for row in texts(report, "#costs-table tr.best")] == ["single", "single", "single", "mixed"]
    assert "interval excludes 0" in find(report, "#differences-note").text


def test_hostile_texts_are_shown_as_they_are_and_do_nothing(report: Chrome) -> None:
    choose(report, "task", "summarization")
    press(report, Keys.ESCAPE)
    find(report, "#next").click()
    shown = report.execute_script("return document.querySelector('#row dd li').textContent")
    assert shown == HOSTILE
    assert report.execute_script("return window.hacked") is None
    assert not report.find_elements(By.CSS_SELECTOR, "img:not(#pictures > figure > .scroll > img), b, main script")


def test_even_the_pages_own_script_can_not_write_markup(report: Chrome) -> None:
    refused = "try { document.body.innerHTML = '<b>x</b>'; return 'written' } catch (error) { return error.name }"
    assert report.execute_script(refused) == "TypeError"
    assert any("TrustedHTML" in entry["message"] for entry in report.get_log("browser"))


def test_rows_are_filtered_by_task_system_outcome_and_text(report: Chrome) -> None:
    assert status(report) == f"1 of {ROWS}" and f"the first {ROWS} of {RELEVANCE}" in find(report, "#examples-note").text
    choose(report, "system", "single")
    assert texts(report, "#outcome option") == ["any outcome", "right (374)", "wrong (125)", "malformed (1)"]
    choose(report, "outcome", "malformed")
    assert status(report) == "1 of 1" and texts(report, "#row h3 .muted") == ["relevance-test-000001"]
    assert texts(report, ".answer.chosen header") == ["single\n! malformed"]
    choose(report, "outcome", "wrong")
    assert status(report) == "1 of 125"
    find(report, "#search").send_keys("43 IRRELEVANT")
    wrong = range(3, ROWS, 4)
    expected = [f"mug {row // 4} · Blue Mug {row}" for row in wrong if "43" in f"{row:06d} {row // 4}"]
    assert texts(report, "#rows li span:first-child") == expected and len(expected) == 9
    find(report, "#search").send_keys(" nowhere")
    assert status(report) == "No row matches: change a filter." and texts(report, "#row *") == []
    find(report, "#reset").click()
    assert status(report) == f"1 of {ROWS}"
    choose(report, "task", "ner")
    assert status(report) == "1 of 6"


def test_gold_and_every_systems_answer_are_side_by_side(report: Chrome) -> None:
    assert [text.split("\n")[0] for text in texts(report, ".answers .answer")] == ["gold", "single", "mixed"]
    tops = {each.rect["y"] for each in report.find_elements(By.CSS_SELECTOR, ".answers .answer")}
    assert len(tops) == 1
    choose(report, "system", "mixed")
    assert texts(report, ".answers h3") == ["gold", "mixed", "single"]


def test_rows_are_ordered_by_the_score_of_their_answers(report: Chrome) -> None:
    choose(report, "task", "summarization")
    choose(report, "system", "single")
    choose(report, "order", "highest")
    assert texts(report, ".answer.chosen header span") == ["✓ right 1.00"]
    find(report, "#next").click()
    first = float(texts(report, ".answer.chosen header span")[0].split()[-1])
    find(report, "#next").click()
    assert 1 > first > float(texts(report, ".answer.chosen header span")[0].split()[-1])


def test_everything_can_be_reached_and_done_by_keyboard(report: Chrome) -> None:
    reached: list[str] = []
    for _ in range(40):
        press(report, Keys.TAB)
        active = report.switch_to.active_element
        assert active.tag_name == "body" or active.value_of_css_property("outline-style") == "solid", reached
        reached.append(str(active.get_attribute("id")))
    wanted = ["task", "system", "outcome", "order", "search", "reset", "next", "rows"]
    assert [name for name in reached if name in wanted][: len(wanted)] == wanted
    report.execute_script("document.activeElement.blur()")
    press(report, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT, Keys.ARROW_RIGHT)
    assert status(report) == f"3 of {ROWS}"
    find(report, "#rows").click()
    place = int(status(report).split()[0])
    press(report, Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_UP)
    assert status(report) == f"{place + 1} of {ROWS}"
    press(report, Keys.END)
    assert status(report) == f"{ROWS} of {ROWS}" and not find(report, "#next").is_enabled()
    chosen = find(report, "#rows li[aria-selected=true]")
    assert chosen.get_attribute("id") == find(report, "#rows").get_attribute("aria-activedescendant")
    frame, inside = find(report, "#rows").rect, chosen.rect
    assert frame["y"] <= inside["y"] and inside["y"] + inside["height"] <= frame["y"] + frame["height"] + 1


def test_arrows_in_the_search_box_move_its_cursor_alone(report: Chrome) -> None:
    find(report, "#search").send_keys("mug", Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_RIGHT, "X")
    assert find(report, "#search").get_attribute("value") == "muXg"


def test_entities_have_a_color_each_with_a_legend_and_what_gold_lacks_is_dashed(report: Chrome) -> None:
    choose(report, "task", "ner")
    press(report, Keys.ESCAPE)
    types = ["color", "core product type", "creator", "modifier"]
    assert texts(report, ".legend li") == [*types, "dashed: not in gold"]
    gold = report.find_elements(By.CSS_SELECTOR, ".answer.gold .entity")
    assert [entity.text for entity in gold] == ["acme\ncreator", "trail\nmodifier", "running shoes\ncore product type"]
    assert texts(report, ".answer.gold .outside") == ["now"] and GOLD_TAGS[-1] == "O"
    colors = {entity.value_of_css_property("background-color") for entity in gold}
    assert len(colors) == 3
    shown = report.find_elements(By.CSS_SELECTOR, ".legend .entity")
    legend = {each.text: each.value_of_css_property("background-color") for each in shown}
    assert colors == {legend[name] for name in types[1:]}
    assert report.find_elements(By.CSS_SELECTOR, ".entity.other") == report.find_elements(By.CSS_SELECTOR, ".legend .other")
    choose(report, "system", "single")
    choose(report, "outcome", "wrong")
    assert texts(report, ".answer .entity.other") == ["acme\ncolor"]
    assert style(report, ".answer .entity.other", "border-style") == "dashed"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_screenshot_shows_the_colored_answers_readable_in_both_schemes(report: Chrome, scheme: str, width: int) -> None:
    show(report, width, scheme)
    choose(report, "task", "ner")
    entities = report.find_elements(By.CSS_SELECTOR, ".answer.gold .entity")
    picture = Image.open(io.BytesIO(find(report, ".answer.gold").screenshot_as_png)).convert("RGB")
    seen = {color: count for count, color in picture.getcolors(1 << 20) or []}
    for entity in entities:
        ground, ink = (channels(entity.value_of_css_property(name)) for name in ("background-color", "color"))
        assert seen.get(ground, 0) > 100, "its color is in the picture"
        assert contrast(ground, ink) >= 4.5, "WCAG 2.1, level AA"
    paper, ink = (channels(style(report, "body", name)) for name in ("background-color", "color"))
    assert (sum(paper) > sum(ink)) == (scheme == "light")
    for selector in ("body", ".note", ".answer .wrong, .answer .malformed", "#comparison-table .muted", "a"):
        assert contrast(paper, channels(style(report, selector, "color"))) >= 4.5, selector
    assert report.execute_script("return document.documentElement.scrollWidth") <= width


def channels(color: str) -> tuple[int, ...]:
    """Red, green and blue of a computed color."""
    return tuple(round(float(part)) for part in color.partition("(")[2].rstrip(")").split(",")[:3])


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """The contrast ratio of two colors (WCAG 2.1)."""

    def luminance(color: tuple[int, ...]) -> float:
        shares = [each / 255 for each in color]
        linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
        return sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(("scheme", "bright"), [("light", True), ("dark", False)])
@pytest.mark.parametrize("width", [1280, 390])
def test_pictures_have_a_text_and_follow_the_color_scheme(report: Chrome, scheme: str, bright: bool, width: int) -> None:
    show(report, width, scheme)
    images = report.find_elements(By.CSS_SELECTOR, "#pictures img")
    titles = ["Quality against cost", "Training and validation losses", "How similar every two adapters are"]
    assert texts(report, "#pictures h3") == titles
    for image in images:
        assert image.get_attribute("alt") and report.execute_script("return arguments[0].naturalWidth", image) > 300
    drawn = Image.open(io.BytesIO(find(report, "#pictures .scroll").screenshot_as_png)).convert("L")
    shades = sorted(drawn.get_flattened_data())
    assert (shades[len(shades) // 2] > 200) == bright and (shades[len(shades) // 2] < 80) != bright
    assert report.execute_script("return document.documentElement.scrollWidth") <= width


def test_confusion_is_shown_for_the_chosen_task_and_system(report: Chrome) -> None:
    counts: Any = texts(report, "#confusion-table tbody tr")
    assert counts[0].split() == ["Exact", str((RELEVANCE + 3) // 4)]
    choose(report, "confusion-system", "mixed")
    assert texts(report, "#confusion-table thead th")[1:] == ["Exact", "Substitute", "Complement", "Irrelevant"]
    assert [row.split()[1] for row in texts(report, "#confusion-table tbody tr")] == ["126", "126", "126", "125"]
    choose(report, "confusion-task", "ner")
    assert "malformed" in texts(report, "#confusion-table thead th")

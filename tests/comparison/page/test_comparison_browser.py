"""The page in a real browser: sorting, hints, narrow screens, dark mode, no complaint and no request."""

import itertools

import pytest

from tests.comparison.page.browsing import TEXTS, probed
from tests.comparison.page.comparisons import EVIL, browser, page, three

__all__ = ["browser", "page", "three"]


def test_the_page_opens_without_an_error_a_violation_or_a_request(browser, page):
    seen = probed(browser, page)
    assert (seen["errors"], seen["violations"], seen["requests"]) == ([], [], [])
    assert seen["title"] == f"Organs {EVIL}: comparison"


def test_a_heading_sorts_its_table_and_says_so(browser, page):
    script = """
      const table = document.querySelector("table.sortable");
      const read = () => [...table.tBodies[0].rows].map((row) => row.cells[2].textContent.slice(0, 5));
      const state = () => [...table.tHead.rows[0].cells].map((cell) => cell.getAttribute("aria-sort"));
      const press = (column) => table.tHead.rows[0].cells[column].querySelector("button").click();
      seen.states = [state().slice(0, 3)];
      seen.orders = [read()];
      press(2); seen.orders.push(read()); seen.states.push(state().slice(0, 3));
      press(2); seen.orders.push(read());
      press(0); seen.names = [...table.tBodies[0].rows].map((row) => row.cells[0].textContent.slice(0, 5));
      seen.states.push(state().slice(0, 3));
      seen.said = document.getElementById("said").textContent;
    """
    seen = probed(browser, page, script)
    first, second, third = seen["orders"]
    assert first == sorted(first, reverse=True)
    assert second == sorted(first)
    assert third == first
    assert seen["names"] == ["mobil", "resne", "vgg11"]
    assert seen["states"] == [
        ["none", "none", "descending"],
        ["none", "none", "ascending"],
        ["ascending", "none", "none"],
    ]
    assert seen["said"] == "Sorted by variant, ascending"
    assert seen["errors"] == []


def test_a_focused_point_shows_its_numbers_and_escape_hides_them(browser, page):
    script = """
      const point = [...document.querySelectorAll("[data-tip]")].find((each) => each.getClientRects().length);
      const hint = document.getElementById("hint");
      point.dispatchEvent(new FocusEvent("focus"));
      seen.shown = hint.innerText.split("\\n"); seen.lines = point.dataset.tip.split("\\n");
      const at = hint.getBoundingClientRect();
      seen.inside = at.left >= 0 && at.right <= document.documentElement.clientWidth;
      document.dispatchEvent(new KeyboardEvent("keydown", {key: "Escape"}));
      seen.hidden = hint.hidden;
    """
    seen = probed(browser, page, script)
    assert seen["shown"] == seen["lines"]
    assert len(seen["lines"]) >= 3
    assert seen["inside"]
    assert seen["hidden"]


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_makes_the_page_wider_than_the_screen(browser, page, width):
    script = """
      seen.wide = document.documentElement.scrollWidth; seen.view = document.documentElement.clientWidth;
      seen.cut = [...document.querySelectorAll(".canvas")].filter((each) => each.scrollWidth > each.clientWidth + 1).length;
      seen.drawn = [...document.querySelectorAll(".canvas")].filter((each) => each.getClientRects().length).length;
    """
    seen = probed(browser, page, script, width=width)
    assert seen["wide"] <= seen["view"] == width
    assert seen["cut"] == 0
    assert seen["drawn"] == 13


@pytest.mark.parametrize("width", [1280, 390])
def test_no_text_of_a_drawing_is_cut_or_lies_on_another(browser, page, width):
    seen = probed(browser, page, TEXTS, width=width)
    assert seen["count"] > 100
    assert seen["outside"] == []
    assert seen["on"] == []


def test_headings_go_down_one_level_at_a_time(browser, page):
    script = """
      seen.levels = [...document.querySelectorAll("h1, h2, h3, h4")].map((each) => Number(each.tagName[1]));
      const hint = document.getElementById("hint");
      seen.said_once = hint.getAttribute("aria-hidden") === "true" && !hint.hasAttribute("aria-live");
    """
    seen = probed(browser, page, script)
    levels = seen["levels"]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert seen["said_once"]


def test_a_printed_page_is_not_wider_than_its_paper(browser, page):
    script = """
      const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]);
      const printed = rules.filter((rule) => rule.media && rule.media.mediaText === "print").flatMap((rule) => [...rule.cssRules]);
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(printed.map((rule) => rule.cssText).join("\\n"));
      document.adoptedStyleSheets = [sheet];
      const paper = document.querySelector("main").getBoundingClientRect();
      seen.wide = [...document.querySelectorAll("table, .canvas svg, .tiles-row")]
        .filter((each) => each.checkVisibility() && each.getBoundingClientRect().right > paper.right + 1)
        .map((each) => each.id || each.tagName);
      seen.menus = [...document.querySelectorAll("nav, details, .screen")].filter((each) => each.checkVisibility()).length;
    """
    seen = probed(browser, page, script, width=700)
    assert (seen["wide"], seen["menus"], seen["errors"]) == ([], 0, [])


def test_the_dark_page_is_dark_and_its_text_readable(browser, page):
    script = """
      const of = (selector, part) => getComputedStyle(document.querySelector(selector))[part].match(/\\d+/g).map(Number);
      seen.ground = of("body", "backgroundColor"); seen.ink = of("body", "color"); seen.drawn = of("svg text", "fill");
    """
    light, dark = (
        probed(browser, page, script, f"--blink-settings=preferredColorScheme={scheme}") for scheme in (1, 0)
    )
    assert sum(light["ground"]) - sum(light["ink"]) > 400
    assert sum(dark["ink"]) - sum(dark["ground"]) > 400
    assert sum(light["drawn"]) < 350 < sum(dark["drawn"])


def test_what_can_be_pressed_can_be_reached_by_keyboard_and_has_a_name(browser, page):
    script = """
      const shown = (each) => each.checkVisibility() && !each.closest("details:not([open]) > :not(summary)");
      const reachable = [...document.querySelectorAll("a, button, summary, [tabindex='0']")].filter(shown);
      seen.names = reachable.map((each) => (each.getAttribute("aria-label") || each.textContent
        || document.getElementById(each.getAttribute("aria-labelledby"))?.textContent || "").trim());
      seen.first = document.querySelector("a").getAttribute("href");
      seen.focusable = reachable.every((each) => { each.focus(); return document.activeElement === each; });
    """
    seen = probed(browser, page, script)
    assert seen["first"] == "#main"
    assert len(seen["names"]) > 40
    assert all(seen["names"])
    assert seen["focusable"]

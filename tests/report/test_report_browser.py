"""The page of a run in a real browser: no request, no text cut at either width, in light, in dark and in print."""

import numpy as np
import pytest

from segengine.report.page import run_page
from tests.comparison.page.browsing import TEXTS, probed
from tests.comparison.page.comparisons import browser
from tests.report.conftest import make_labels, make_report

__all__ = ["browser"]

NAMES = (
    "background",
    "left ventricular myocardium",
    "A",
    "肝臓",
    "right atrium appendage and all that belongs to it",
    "aorta",
)


@pytest.fixture(scope="module", params=[2, 6, 21, 150])
def page(request):
    number = request.param
    rng = np.random.default_rng(0)
    confusion = rng.integers(0, 900, (number, number)) + np.diag(rng.integers(0, 10**7, number))
    return run_page(
        make_report(
            number,
            40,
            labels=make_labels(number, NAMES),
            confusion=confusion.astype(np.int64),
            absent=(1,) if number > 2 else (),
        )
    )


@pytest.mark.parametrize("width", [1280, 390])
def test_no_text_of_a_chart_is_cut_or_lies_on_another(browser, page, width):
    script = (
        TEXTS
        + """
      seen.wide = document.documentElement.scrollWidth;
      seen.cut = [...document.querySelectorAll(".canvas")].filter((each) => each.scrollWidth > each.clientWidth + 1).length;
      seen.drawn = [...document.querySelectorAll(".canvas")].filter((each) => each.getClientRects().length).length;
    """
    )
    seen = probed(browser, page, script, width=width)
    assert (seen["errors"], seen["requests"]) == ([], [])
    assert (seen["outside"], seen["on"]) == ([], [])
    assert seen["wide"] <= width
    assert (seen["cut"], seen["drawn"]) == (0, 3)
    assert seen["count"] > 40


@pytest.mark.parametrize(("scheme", "dark"), [(1, False), (0, True)])
def test_charts_follow_light_and_dark(browser, report_of, scheme, dark):
    script = """
      const of = (selector, part) => getComputedStyle(document.querySelector(selector))[part].match(/\\d+/g).map(Number);
      seen.ground = of("section", "backgroundColor"); seen.drawn = of("svg text", "fill"); seen.bar = of(".bar rect + rect", "fill");
    """
    seen = probed(browser, run_page(report_of(3, 4)), script, f"--blink-settings=preferredColorScheme={scheme}")
    assert (sum(seen["ground"]) < 150) == dark
    assert (sum(seen["drawn"]) > 350) == dark
    assert sum(seen["bar"]) > 0
    assert seen["violations"] == []

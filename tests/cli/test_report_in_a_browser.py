"""A report as a real browser shows it: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import molexp as me
from molexp_cli._main import run
from tests.web.browsing import CHROMIUM, WHY, WIDE, chromium, window

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason=WHY),
]

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
RUNS = 120


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """The report of many runs, with hostile names and errors."""
    folder: Path = tmp_path_factory.mktemp("browser")
    ws = me.Workspace(folder / "lab", name=HOSTILE)
    exp = ws.Project("metals").Experiment("cu")
    for number in range(RUNS):
        try:
            parameters = {"lr": 10 ** -(number % 5), "kind": HOSTILE if number % 2 else "plain"}
            with exp.Run(parameters, id="r" * 120 if number == 7 else None).start() as ctx:
                for step in range(20):
                    ctx.metrics.log(step=step, loss=math.exp(-step / (number + 1)))
                ctx.set_result("energy", -number / 10)
                if number == 7:
                    ctx.set_result("a_result_with_a_name_that_has_no_blank_" * 500, 1)
                    ctx.metrics.log({"a_metric_with_a_name_that_has_no_blank_" * 10: 1})
                if number % 10 == 3:
                    raise ValueError(HOSTILE)
        except ValueError:
            pass
    target = folder / "report.html"
    assert run(["-w", str(ws.url), "report", "-o", str(target)]) == 0
    return target


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture
def told() -> list[str]:
    """Complaints of the browser, and addresses that it asked."""
    return []


@pytest.fixture
def page(browser, report, told, request):
    context = window(browser, **getattr(request, "param", {"viewport": WIDE}))
    opened = context.new_page()
    opened.on("console", lambda message: told.append(message.text))
    opened.on("pageerror", lambda error: told.append(str(error)))
    opened.on("request", lambda asked: told.append(asked.url) if not asked.url.startswith(("data:", "file:")) else None)
    opened.goto(report.as_uri())
    opened.wait_for_selector("#about")
    yield opened
    context.close()


def is_drawn(page, selector: str) -> None:
    """Wait until a chart has more than twenty colours."""
    page.wait_for_function(
        """(selector) => {
          const canvas = document.querySelector(selector);
          const found = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          return new Set(new Uint32Array(found.buffer)).size > 20;
        }""",
        arg=selector,
    )


SCREENS = [
    {"viewport": {"width": width, "height": 840}, "color_scheme": scheme}
    for width in (1280, 390)
    for scheme in ("light", "dark")
]


@pytest.mark.parametrize(
    "page", SCREENS, indirect=True, ids=lambda one: f"{one['viewport']['width']}-{one['color_scheme']}"
)
def test_it_fits_every_screen_draws_its_charts_and_says_nothing(page, told):
    page.wait_for_function("document.querySelector('#relations .chart canvas').width > 100")
    page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")  # nothing sticks out
    tallest = "Math.max(...[...document.querySelectorAll('label, figcaption')].map((one) => one.offsetHeight))"
    assert page.evaluate(tallest) <= 90, "a long name takes no more room than others"
    assert page.title() == f"{HOSTILE}: report", "what names say is text"
    assert page.inner_text("h1") == HOSTILE
    assert page.locator("img").count() == 0
    is_drawn(page, "#relations .chart canvas")
    is_drawn(page, "#curves .chart canvas")
    assert told == []


def test_it_sorts_filters_and_shows_a_run_by_the_keyboard_alone(page, told):
    rows = page.locator("#runs tbody tr")
    assert rows.count() == 100
    page.get_by_role("button", name="Show more: 20 left").press("Enter")
    assert rows.count() == RUNS

    page.locator("#search").press_sequentially("lr<0.05 energy>=-6")
    assert page.inner_text("#runs output").startswith("36 of")
    assert rows.count() == 36
    head = page.locator("#runs th[data-key='results.energy'] button")
    head.press("Enter")
    head.press("Enter")
    energies = page.locator("#runs tbody tr td:nth-child(5)").all_inner_texts()
    assert energies[:3] == ["−5.9", "−5.8", "−5.7"]
    assert page.locator("#runs th[aria-sort='ascending']").count() == 1

    page.get_by_role("button", name="failed").press("Enter")
    assert {*page.locator("#runs tbody .status").all_inner_texts()} == {"failed"}
    page.locator("#runs tbody button").first.press("Enter")
    dialog = page.get_by_role("dialog")
    assert HOSTILE in dialog.inner_text()
    page.keyboard.press("Escape")
    assert dialog.count() == 0

    page.reload()
    page.wait_for_selector("#about")
    assert page.input_value("#search") == "lr<0.05 energy>=-6", "the address keeps the view"
    page.get_by_role("button", name="Clear").press("Enter")
    assert page.inner_text("#runs output").startswith("120")

    page.locator("#relations .chart canvas").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#relations .tip:not([hidden])")
    page.keyboard.press("Enter")
    assert page.get_by_role("dialog").count() == 1
    assert told == []

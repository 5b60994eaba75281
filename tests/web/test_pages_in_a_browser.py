"""The pages of `molexp ui` as people see them: in Debian's Chromium, wide and narrow, light and dark, by the keyboard alone."""

from __future__ import annotations

import subprocess
import sys
from urllib.parse import quote

import pytest

import molexp as me
from tests import warm
from tests.web import labs
from tests.web.browsing import CHROMIUM, NARROW, WHY, WIDE, faults, served, visiting
from tests.web.test_hostile import WRITE

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason=WHY)]

EACH = "solvation/relax"
RELAX = "/w/lab/runs/solvation/relax"
PAGES = {
    "/w/lab/": "Solvation",
    "/w/lab/runs": "r5",
    "/w/lab/runs?q=params.charge == 1&sort=-results.energy": "r57",
    "/w/lab/runs?q=nonsense ===": "nonsense",
    f"{RELAX}/r1": "methanol",
    f"{RELAX}/r5": "SCF did not converge",
    f"/w/lab/compare?run={EACH}/r0&run={EACH}/r1&run={EACH}/r2": "solvent",
    "/w/lab/assets?q=name == 'density.png'": "density.png",
    f"/w/lab/assets/{quote(f'{EACH}/r0', safe='')}%231%3Aartifact%3Atable.csv%401": "table.csv",
    f"/w/lab/lineage/{EACH}/r0": "r0",
}
"""Addresses, each with a text that stands there."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> me.Workspace:
    return labs.ordinary(tmp_path_factory.mktemp("lab") / "lab")


@pytest.fixture(scope="module")
def evil(tmp_path_factory) -> me.Workspace:
    return labs.hostile(tmp_path_factory.mktemp("evil") / "evil")


@pytest.fixture(scope="module")
def address(lab, evil):
    with served("-w", lab.url, "-w", evil.url) as printed:
        yield printed


@pytest.mark.parametrize("place", PAGES)
def test_every_page_is_sound(browser, address, place):
    with visiting(browser, address) as visitor:
        visitor.check(place, statuses=(200, 304, 400), ready="main")
        assert PAGES[place] in visitor.page.inner_text("main")


def test_the_token_is_not_in_the_address_that_people_copy(browser, address):
    with visiting(browser, address) as visitor:
        assert "token" not in visitor.page.url
        assert visitor.page.locator("a", has_text="lab").count() > 0


def test_the_keyboard_leads_through_the_table_to_a_run_and_back(browser, address):
    with visiting(browser, address) as visitor:
        page = visitor.page
        visitor.go("/w/lab/runs?q=params.charge == 1")
        visitor.tab_to("main input[name=q]")
        page.keyboard.press("Control+A")
        page.keyboard.type("status == 'failed'")
        page.keyboard.press("Enter")
        page.get_by_role("link", name="r53").first.wait_for()
        visitor.tab_to("main tbody a")
        page.keyboard.press("Enter")
        page.get_by_text("SCF did not converge").first.wait_for()
        assert "/runs/solvation/relax/r" in page.url
        page.go_back()
        page.get_by_role("link", name="r53").first.wait_for()
        assert page.input_value("main input[name=q]") == "status == 'failed'"
        assert visitor.told == []


def test_runs_are_changed_by_the_keyboard_alone(browser, tmp_path):
    ws = labs.ordinary(tmp_path / "lab", runs=6)
    with served("-w", ws.url, "--allow-changes") as printed, visiting(browser, printed) as visitor:
        page = visitor.page
        visitor.go("/w/lab/runs?sort=params.accuracy")
        for _ in range(2):
            visitor.tab_to('input[name="run"]:not(:checked)')
            page.keyboard.press("Space")
        page.keyboard.press("t")
        visitor.reads("#change > summary", "Change 2 selected")
        assert faults(page) == []
        page.keyboard.type("by hand")
        page.keyboard.press("Enter")
        visitor.reads("[role=status]", "Added the tag “by hand” to 2 runs.")
        page.wait_for_load_state()
        assert "done=" not in page.url
        assert len(me.Workspace.load(ws.url).catalog.runs("'by hand' in tags")) == 2
        visitor.go(f"{RELAX}/r1")
        visitor.tab_to("details.change > summary")
        page.keyboard.press("Enter")
        for size in (WIDE, NARROW):
            page.set_viewport_size(size)
            assert faults(page) == []
        visitor.tab_to("textarea[name=note]")
        page.keyboard.type("checked")
        visitor.tab_to("textarea ~ button")
        page.keyboard.press("Enter")
        visitor.reads("[role=status]", "Added the note")
        visitor.tab_to("details.change > summary")
        page.keyboard.press("Enter")
        visitor.tab_to("button.danger")
        page.keyboard.press("Enter")
        visitor.reads("h1", f"Delete {EACH}/r1?")
        assert faults(page) == []
        visitor.tab_to("button.main")
        page.keyboard.press("Enter")
        visitor.reads("[role=status]", f"Deleted {EACH}/r1.")
        visitor.tab_to("[role=status] button")
        page.keyboard.press("Enter")
        visitor.reads("[role=status]", f"Restored {EACH}/r1.")
        assert me.Workspace.load(ws.url).run(f"{EACH}/r1").notes[-1]["text"] == "checked"
        visitor.go("/w/lab/runs")
        page.evaluate(NOTING)
        page.focus("#all")
        page.keyboard.press("Enter")
        assert page.evaluate("window.sent") is False, "Enter does not press the first button"
        box = page.locator('input[name="run"]').first
        path = box.get_attribute("value")
        box.focus()
        ws.project("solvation").experiment("relax").Run(id="newer")
        page.locator(f'input[value="{EACH}/newer"]').wait_for()
        page.keyboard.press("x")
        assert page.locator('input[name="run"]:checked').get_attribute("value") == path, "though a row came above it"
        with ws.project("solvation").experiment("relax").Run(id="alive").start():
            visitor.go(f"{RELAX}/alive")
            page.click("details.change > summary")
            page.fill("textarea[name=note]", "not sent yet")
            ws.run(f"{EACH}/alive").annotate(tags=["meanwhile"])
            page.evaluate(REFRESHED)
            assert page.input_value("textarea[name=note]") == "not sent yet", "what somebody types stays"
        assert visitor.told == []


NOTING = """() => {
  window.sent = false;
  addEventListener("submit", (event) => { window.sent = true; event.preventDefault(); }, true);
}"""
REFRESHED = """() => new Promise((done) => {
  document.activeElement.blur();
  document.addEventListener("refreshed", () => done(), { once: true });
  document.dispatchEvent(new Event("visibilitychange"));
})"""


def test_files_with_scripts_do_nothing(browser, address, evil):
    ids = [asset.id for asset in evil.run("evil/x/e0").assets if asset.name in ("page.html", "picture.svg")]
    assert len(ids) == 2
    with visiting(browser, address) as visitor:
        for one in ids:
            visitor.go(f"/w/evil/assets/{quote(one, safe='')}")
            visitor.page.wait_for_load_state()
            frames = [*visitor.page.frames]
            assert all(frame.title() != "owned" for frame in frames), one
        for one in ids:
            visitor.go(f"/api/v1/workspaces/evil/assets/{quote(one, safe='')}/bytes")
            assert visitor.page.title() != "owned"
        visitor.hears("sandbox")  # the browser says what it did not execute


PROGRAM = """
import sys
import molexp as me
with me.Workspace(sys.argv[1]).Project("live").Experiment("e").Run({"n": 1}, id="goes-on").start() as ctx:
    print("begun", flush=True)
    for step, line in enumerate(sys.stdin):
        ctx.metrics.log(step=step, loss=float(line))
        ctx.metrics.flush()
        ctx.log("out").append(f"loss {line.strip()}")
        print("logged", flush=True)
"""


def test_a_run_that_goes_on_elsewhere_is_seen_to_move(browser, address, lab):
    with visiting(browser, address) as visitor:
        page = visitor.page
        visitor.go("/w/lab/runs?q=project == 'live'")
        child = warm.Popen(
            [sys.executable, "-c", PROGRAM, lab.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        written, told = child.stdin, child.stdout

        def log(value: float) -> None:
            written.write(f"{value}\n")
            written.flush()
            assert told.readline() == "logged\n"

        table = page.locator("main table")
        table.get_by_text("running").first.wait_for()
        page.get_by_role("link", name="goes-on").first.click()
        page.wait_for_selector("#metrics", state="attached")
        page.evaluate("window.same = true")
        log(0.75)
        caption = page.locator("figure.chart figcaption")
        caption.get_by_text("0.75").wait_for()
        drawn = page.locator("figure.chart canvas").evaluate("(one) => one.toDataURL()")
        log(0.5)
        caption.get_by_text("0.5", exact=True).wait_for()
        assert page.locator("figure.chart canvas").evaluate("(one) => one.toDataURL()") != drawn
        plot = page.locator("figure.chart .u-over").bounding_box()
        page.mouse.move(plot["x"] + plot["width"] - 2, plot["y"] + plot["height"] / 2)
        caption.get_by_text("0.5 at step 1").wait_for()
        page.locator("#extremes td", has_text="0.75").first.wait_for(state="attached")
        child.stdin.close()
        assert child.wait(300) == 0
        child.stdout.close()
        page.locator("#head .status.succeeded").wait_for()
        assert page.evaluate("window.same"), "the page was not loaded again"
        assert visitor.told == []


@pytest.mark.long
def test_two_browsers_follow_while_eight_processes_write(browser, tmp_path):
    ws = me.Workspace(tmp_path / "lab").materialize()
    with (
        served("-w", ws.url) as address,
        visiting(browser, address) as first,
        visiting(browser, address) as second,
    ):
        first.go("/w/lab/runs?q=project == 'busy'")
        second.go("/w/lab/")
        children = [warm.Popen([sys.executable, "-c", WRITE, ws.url, str(one), "50"]) for one in range(8)]
        assert [child.wait(300) for child in children] == [0] * 8
        first.reads("main", "1–50 of 400 runs")
        second.reads("nav.figures a", "succeeded400")
        for visitor in (first, second):
            assert visitor.told == []


@pytest.mark.parametrize(
    "place",
    ["/", "/w/evil/", "/w/evil/runs", "/w/evil/runs?q=" + labs.SCRIPT]
    + [f"/w/evil/runs/evil/x/e{number}" for number in (0, 1)],
)
def test_what_the_record_says_is_text(browser, address, place):
    with visiting(browser, address) as visitor:
        visitor.go(place, statuses=(200, 400))
        visitor.page.wait_for_selector("main")
        assert visitor.page.title() != "owned"
        assert visitor.page.locator("img[src=x]").count() == 0
        assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"
        assert [one for one in visitor.told if "400" not in one] == []

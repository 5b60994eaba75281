"""A static copy as people open it: from a web server that knows nothing of MolExp, and from a disk."""

from __future__ import annotations

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import molexp as me
from molexp_web._export.export import export
from tests.web import labs
from tests.web.browsing import CHROMIUM, WHY, Visitor, faults, visiting, window

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason=WHY)]


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> me.Workspace:
    lab = labs.ordinary(tmp_path_factory.mktemp("lab") / "lab")
    planned = lab.Project("planned").Experiment("later")
    for number in range(60):  # columns of more than a hundred runs are in several parts
        planned.Run({"number": number})
    return lab


@pytest.fixture(scope="module")
def copy(lab, tmp_path_factory) -> Path:
    target: Path = tmp_path_factory.mktemp("copy") / "site"
    export(lab, str(target))
    return target


@pytest.fixture(scope="module")
def address(copy):
    handler = functools.partial(Silent, directory=str(copy))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


RUN = "/#/runs/solvation/relax/r58"


def test_the_helper_finds_what_is_wrong_with_a_page(browser, tmp_path):
    tmp_path.joinpath("bad.html").write_text(
        "<!doctype html><title>bad</title><main><h1 style='color:#eee;background:#fff'>pale</h1><img src='data:,'>"
        "<div style='width:2000px'>wide</div><input></main>"
    )
    context = window(browser)
    visitor = Visitor(context.new_page(), "file://", patience=200)
    visitor.page.goto(tmp_path.joinpath("bad.html").as_uri())
    found = "\n".join(faults(visitor.page))
    assert all(rule in found for rule in ("color-contrast", "html-has-lang", "image-alt", " label:")), found
    with pytest.raises(AssertionError, match="stick out"):
        visitor.check(str(tmp_path / "bad.html"))
    visitor.page.evaluate("console.error('oh'); fetch('http://localhost:9/').catch(() => 0)")
    visitor.hears("asked another host")
    assert [one.partition(":")[0] for one in visitor.told][:2] == ["error", "asked another host"]
    context.close()


def test_every_page_of_a_copy_is_sound(browser, address):
    with visiting(browser, address) as visitor:
        visitor.check("/index.html", ready="main table")
        visitor.check("/index.html?#/runs", ready="main table.runs")
        visitor.check(f"/index.html?1{RUN[1:]}", ready="main .plot canvas")
        assert visitor.page.locator(".pictures img").evaluate("(one) => one.naturalWidth") == 8
        assert "solvent water" not in visitor.page.inner_text("main")
        assert "solvent methanol" in visitor.page.inner_text("main")


def test_the_table_finds_sorts_and_leads_to_a_run_by_the_keyboard(browser, address):
    with visiting(browser, f"{address}#/runs") as visitor:
        page = visitor.page
        visitor.tab_to("input[type=search]")
        page.keyboard.type('status == "succeeded" and solvent == "dmso" and results.energy < -21')
        page.keyboard.press("Enter")
        visitor.reads(".found", "13 of")
        page.get_by_role("link", name="energy").first.press("Enter")
        page.wait_for_selector("th[aria-sort=ascending]")
        assert page.inner_text("tbody tr th a >> nth=0") == "r59"
        assert "sort=results.energy" in page.url
        visitor.tab_to("tbody th a")
        page.keyboard.press("Enter")
        page.wait_for_selector("main .plot canvas")
        assert page.inner_text("h1").startswith("r59")
        page.go_back()
        page.wait_for_selector("th[aria-sort=ascending]")
        page.reload()
        visitor.reads(".found", "13 of")
        page.goto(f"{address}#/runs?q=nothing > 3")
        page.wait_for_selector("[role=alert]")
        assert visitor.told == []


def test_a_page_that_is_open_reads_what_a_second_export_adds(browser, address, lab, copy):
    with visiting(browser, f"{address}#/runs?q=fresh") as visitor:
        page = visitor.page
        visitor.reads(".found", "0 of")
        with lab.project("potentials").experiment("train").Run({"lr": 0.1}, id="fresh").start() as ctx:
            ctx.set_result("rmse", 0.9)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url.removeprefix(address).partition("?")[0]))
        export(lab, str(copy))
        page.evaluate("look()")  # it does so every ten seconds
        visitor.reads(".found", "1 of")
        assert page.inner_text("tbody").startswith("fresh")
        assert asked[0] == "now.js"
        assert sorted(name.partition("/")[0] for name in asked) == ["index", "manifests", "now.js", "runs", "tails"]
        asked.clear()
        page.evaluate("refresh()")
        assert asked == ["now.js"], "nothing is new, so nothing else is read"
        assert copy.joinpath("now.js").stat().st_size < 100
        assert visitor.told == []


def test_it_opens_from_a_disk(browser, copy):
    context = window(browser)
    visitor = Visitor(context.new_page(), "file://")
    visitor.page.goto(copy.joinpath("index.html").as_uri() + "#/runs/solvation/relax/r58")
    visitor.page.wait_for_selector("main .plot canvas")
    assert visitor.page.locator(".pictures img").evaluate("(one) => one.naturalWidth") == 8
    assert visitor.told == []
    context.close()


def test_what_the_record_says_is_text(browser, tmp_path):
    export(labs.hostile(tmp_path / "lab"), str(tmp_path / "copy"))
    context = window(browser)
    visitor = Visitor(context.new_page(), "file://")
    for place in (
        "",
        "#/runs",
        "#/runs/evil/x/e0",
        "#/runs/evil/x/e1",
        "#/runs/..%2F..%2Fetc",
        "#/runs?q=%00&sort=__proto__&columns=__proto__",
    ):
        visitor.page.goto(f"{tmp_path.joinpath('copy/index.html').as_uri()}?{len(place)}{place}")
        visitor.page.wait_for_selector("main h1")
        assert "owned" not in visitor.page.title().replace(labs.SCRIPT, "")
        assert visitor.page.locator("main script, main img:not([alt])").count() == 0
        assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), place
    visitor.page.goto(f"{tmp_path.joinpath('copy/index.html').as_uri()}?run#/runs/evil/x/e1")
    visitor.page.wait_for_selector("pre")
    assert labs.SCRIPT in visitor.page.inner_text("main")
    assert visitor.page.evaluate("({}).polluted") is None
    assert visitor.told == []
    context.close()

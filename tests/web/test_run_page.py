"""The page of a run: the failure first, values, curves, tasks as a graph, logs, files, attempts and provenance."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import count
from typing import Any

import pytest

import molexp as me
from molexp.workflow import TaskContext, WorkflowBuilder

HOSTILE = "<script>alert(1)</script>"


class Page(HTMLParser):
    """The texts, links, ids and elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def record(self) -> str:
        """The text above the provenance, in which the changes of this repository stand, such as this test."""
        return self.text.partition("Provenance")[0]

    def of(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        return [found for name, found in self.elements if name == tag and wanted.items() <= found.items()]


@pytest.fixture
def open_page(client: Callable[..., Any]) -> Callable[[str], Page]:
    """Return what opens a page, which has to be there."""
    browser = client()

    def open_page(address: str) -> Page:
        answer = browser.get(address)
        assert answer.status_code == 200, answer.text
        return Page(answer.text)

    return open_page


def workflow() -> Any:
    wf = WorkflowBuilder(name="relaxation")
    tries = count()

    @wf.task
    def cells(ctx: TaskContext) -> list[int]:
        return [1, 2, 3]

    @wf.task(map_over=cells)
    def energy(ctx: TaskContext) -> int:
        return int(ctx.inputs) ** 2

    @wf.task(depends_on=[cells, energy])
    def fit(ctx: TaskContext) -> int:
        ctx.log("fit").append(f"try {next(tries)}")
        raise ValueError(f"no minimum {HOSTILE}")

    @wf.task(depends_on=[fit])
    def report(ctx: TaskContext) -> int:
        return 0

    return wf.build()


@pytest.fixture
def failed(lab: me.Workspace) -> me.Run:
    """Return a run of a workflow of which the third task failed in both attempts."""
    run = lab.project("metals").experiment("cu").Run({"name": HOSTILE}, id="flow")
    spec = workflow()
    for _ in range(2):
        assert spec.execute_sync(run=run).status == "failed"
    return run


def test_a_run_shows_what_went_in_and_what_came_out(open_page):
    page = open_page("/w/lab/runs/metals/cu/cu-2")
    for text in (
        "cu-2",
        "succeeded",
        "PBE",
        "3.7",
        "energy",
        "-1.5",
        "good",
        "looks converged",
        "volume 2",
        "volumes.json",
    ):
        assert text in page.text
    assert "Traceback" not in page.record


def test_a_run_that_failed_says_first_why_and_how_it_goes_on(open_page, failed):
    page = open_page("/w/lab/runs/metals/cu/flow")
    places = [
        page.text.index(text) for text in ("ValueError", "no minimum", "Traceback", "try 1", "--resume", "Parameters")
    ]
    assert places == sorted(places)
    assert "molexp execute metals/cu/flow" in page.text
    assert [link["data-copy"].split()[:3] for link in page.of("button")] == [["molexp", "execute", "metals/cu/flow"]]

    page = open_page("/w/lab/runs/metals/cu/cu-bad")
    assert "ZeroDivisionError" in page.text
    assert "about to divide" in page.text
    assert "ws.run('metals/cu/cu-bad').start()" in page.text


def test_tasks_are_a_graph_that_the_keyboard_reaches_and_a_table(open_page, failed):
    page = open_page("/w/lab/runs/metals/cu/flow")
    nodes = {link["href"]: link["aria-label"] for link in page.of("a") if link.get("href", "").startswith("#task-")}
    assert [*nodes] == ["#task-cells", "#task-energy", "#task-fit", "#task-report"]  # from left to right
    assert "3 × succeeded" in nodes["#task-energy"]
    assert "after cells, energy" in nodes["#task-fit"]
    assert {"class": "node failed ", "transform": "translate(500 37.0)"} in page.of("g")
    assert {row["id"] for row in page.of("tr") if "id" in row} >= {link.removeprefix("#") for link in nodes}


def test_attempts_stand_beside_each_other(open_page, failed):
    page = open_page("/w/lab/runs/metals/cu/flow")
    assert "Attempt 1" in page.text
    assert "Attempt 2" in page.text
    assert page.record.count("1 failed, 1 skipped, 5 succeeded") == 2


def test_text_of_the_record_is_never_markup(open_page, failed):
    page = open_page("/w/lab/runs/metals/cu/flow")
    assert HOSTILE in page.text
    assert all(script.get("src", "").startswith("/static/") for script in page.of("script"))
    assert not [found for _, found in page.elements if "style" in found or any(name.startswith("on") for name in found)]


def test_a_run_that_goes_on_refreshes_itself_and_follows_its_log(lab, open_page):
    run = lab.project("metals").experiment("cu").Run(id="live")
    with run.start() as ctx:
        ctx.log("relax").append("on its way")
        run.flush()
        page = open_page("/w/lab/runs/metals/cu/live")
        (parts,) = [one["data-parts"].split() for one in page.of("div") if "data-parts" in one]
        assert {"head", "values", "files"} <= set(parts) <= {found["id"] for _, found in page.elements if "id" in found}
        assert page.of("pre", **{"data-log": "relax"})[0]["data-follow"].startswith("/api/v1/workspaces/lab/logs?")
        assert 'querySelector("[data-parts]")' in open_page("/static/charts.js").text, "so its curves go on as well"
    page = open_page("/w/lab/runs/metals/cu/live")
    assert not [one for one in page.of("div") if "data-parts" in one]
    assert "data-follow" not in page.of("pre", **{"data-log": "relax"})[0]


def test_a_page_that_has_not_changed_is_not_sent_again(client):
    browser = client()
    first = browser.get("/w/lab/runs/metals/cu/cu-1")
    again = browser.get("/w/lab/runs/metals/cu/cu-1", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("address", ["/w/lab/runs/metals/cu/nobody", "/w/lab/runs/..%2f../cu/x", "/w/none/runs/a/b/c"])
def test_a_run_that_is_not_there_is_an_error_in_words(client, address):
    answer = client().get(address)
    assert answer.status_code in (400, 404)
    assert "<h1" in answer.text


def test_a_log_is_chosen_and_its_end_is_shown(lab, open_page):
    with lab.project("metals").experiment("cu").Run(id="logs").start() as ctx:
        for number in range(1000):
            ctx.log("long").append(f"line {number}")
        ctx.log("colours").append("\x1b[31mred\x1b[0m 10 %\r50 %\r100 %")
    page = open_page("/w/lab/runs/metals/cu/logs?log=long&tail=10")
    assert "line 999" in page.text
    assert "line 990" in page.text
    assert "line 989" not in page.record
    page = open_page("/w/lab/runs/metals/cu/logs?log=colours&tail=%00")
    assert "\x1b" not in page.record
    assert "100 %" in page.text
    assert "50 %" not in page.record


def test_charts_name_the_curves_and_the_address_chooses_them(lab, client, open_page):
    with lab.project("metals").experiment("cu").Run(id="curves").start() as ctx:
        for name in ("val/loss", "lr", "train/loss"):
            ctx.metrics.log({name: 1.0}, step=3)
    page = open_page("/w/lab/runs/metals/cu/curves")
    (charts,) = [json.loads(one["data-charts"]) for one in page.of("div") if "data-charts" in one]
    assert charts["names"] == ["train/loss", "val/loss", "lr"]  # losses first
    query = [("run", run) for run in charts["runs"]] + [("name", name) for name in charts["names"]]
    found = client().get(charts["address"], params=[*query, ("points", charts["points"])]).json()["series"]
    assert {one["name"]: one["steps"] for one in found} == {name: [3] for name in charts["names"]}
    page = open_page("/w/lab/runs/metals/cu/curves?metric=lr&metric=none")
    (charts,) = [json.loads(one["data-charts"]) for one in page.of("div") if "data-charts" in one]
    assert (charts["names"], charts["others"]) == (["lr"], ["train/loss", "val/loss"])
    assert "train/loss" in page.record  # the table of last values has all

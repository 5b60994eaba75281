"""Answers of any length come a page at a time, and are those that `runs` gives at once."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest

import molexp as me
from tests.internals import at, traced, tune


@pytest.fixture
def ws(lab, runs):
    return lab.load()


@pytest.fixture
def runs(lab_exp, monkeypatch):
    """Eleven runs, of which pages have two."""
    tune(monkeypatch, "rows of a page", 2)
    for number in range(11):
        with lab_exp.Run({"n": number, "even": number % 2 == 0}, id=f"r{number:02}").start() as ctx:
            ctx.set_result("loss", (number * 7) % 11 if number != 4 else {"nested": 1})
            ctx.metrics.log(force=number % 4 if number % 5 else math.nan)
    lab_exp.run("r03").archive()
    return lab_exp


def listed(pages):
    return [row.id for page in pages for row in page]


@pytest.mark.parametrize(
    ("where", "filters"),
    [
        (None, {}),
        ("params.n > 3", {}),
        ("params.even == true", {"sort": "-params.n"}),
        (None, {"sort": "results.loss"}),
        ("params.n < params.n or params.n >= 6", {}),
        ("params.n == params.n", {"sort": "-created_at", "archived": True}),
        (None, {"experiment": "cu", "status": "succeeded", "params": {"n": 5}}),
        (None, {"status": "failed"}),
    ],
)
def test_pages_have_what_runs_has(ws, where, filters):
    whole = ws.catalog.runs(where, **filters)
    pages = ws.catalog.run_pages(where, **filters)

    assert (pages.archived, dict(pages.unreadable)) == (whole.archived, dict(whole.unreadable))
    assert pages.total in (len(whole), None)
    found = [list(page) for page in pages]
    assert [row for page in found for row in page] == list(whole)
    assert all(0 < len(page) <= 2 for page in found)


def test_only_documents_can_tell_how_many_there_are_where_fields_are_compared(runs, ws, lab):
    assert ws.catalog.run_pages("params.n == params.n").total is None
    assert ws.catalog.run_pages().total == 10


def test_the_first_page_costs_no_look_at_the_others(ws):
    """SQLite finds as many rows as the page has; the others are found when there is a second page."""
    found = []

    def begin():
        found.append(ws.catalog.run_pages(archived=True))
        next(found[0])

    asked = traced(ws, begin)
    assert next(sql for sql in asked if sql.startswith("SELECT e.id FROM")).endswith("LIMIT 2")
    assert not any(sql.endswith("LIMIT -1") for sql in asked)

    rest = found[0]
    assert any(sql.endswith("LIMIT -1") for sql in traced(ws, lambda: next(rest)))
    assert listed(rest) == [f"r{number:02}" for number in range(4, 11)]


def test_a_page_is_read_when_it_is_asked_for(ws, monkeypatch):
    read = []
    at(monkeypatch, "the documents of an answer are read", lambda _, numbers, __: read.append(len(numbers)), every=True)

    pages = ws.catalog.run_pages()
    assert read == []
    next(pages)
    assert read == [2]


def test_what_changes_by_its_turn_is_as_it_is_then_and_left_out_if_it_does_not_match(runs, ws, lab):
    pages = ws.catalog.run_pages("tags is null")
    first = next(pages)
    runs.run("r00").annotate(tags=["late"])  # its turn is over
    runs.run("r05").annotate(tags=["no more"])
    runs.run("r07").delete()
    ws.catalog.runs()  # somebody brings the index up to date

    assert [row.id for row in first] == ["r00", "r01"]
    assert listed(pages) == ["r02", "r04", "r06", "r08", "r09", "r10"]


def test_an_index_that_another_process_begins_anew_loses_and_repeats_nothing(runs, ws, lab):
    pages = ws.catalog.run_pages(archived=True)
    first = [row.id for row in next(pages)]
    lab.load().catalog.rebuild()
    second = [row.id for row in next(pages)]
    lab.load().catalog.rebuild()

    assert first + second + listed(pages) == [f"r{number:02}" for number in range(11)]


def test_a_damaged_index_is_replaced_between_two_pages(runs, ws, lab):
    pages = ws.catalog.run_pages(archived=True)
    first = [row.id for row in next(pages)]
    ws._session.index.discard()

    assert first + listed(pages) == [f"r{number:02}" for number in range(11)]


def test_a_column_that_no_run_has_is_refused_before_the_first_page(runs, ws, lab):
    with pytest.raises(ValueError, match="loss"):
        ws.catalog.run_pages(sort="results.los")
    with pytest.raises(me.QueryError):
        ws.catalog.run_pages("params.n >")


LIST = """
import os, resource, sys
import molexp as me
from molexp_cli._main import run
with open("/proc/self/statm") as file:
    now = int(file.read().split()[0]) * resource.getpagesize()
room = int(os.environ["ROOM"]) << 20
resource.setrlimit(resource.RLIMIT_AS, (now + room, now + room))
sys.exit(run(["-w", os.environ["LAB"], "runs", "list", *sys.argv[1:]]))
"""


@pytest.mark.parametrize(
    "runs", [pytest.param(20_000, marks=pytest.mark.soak), pytest.param(100_000, marks=pytest.mark.long)]
)
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
def test_a_list_of_many_runs_fits_where_a_list_of_a_thousand_does(lab, lab_exp, runs):
    text = "x" * 1000
    for begin in range(0, runs, 10_000):
        lab_exp.runs.create_many([{"n": begin + number, "text": text} for number in range(10_000)])
    lab.load().catalog.runs(limit=1)

    def lines(*arguments):
        done = subprocess.run(
            [sys.executable, "-c", LIST, *arguments],
            env={**os.environ, "LAB": lab.url, "ROOM": "96"},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()[-2000:]
        return done.stdout.count(b"\n")

    assert lines() == runs + 1
    assert lines("--json") > 10 * runs


SORTS = [
    *(None, "created_at", "-created_at", "params.n", "-params.even", "results.loss", "-results.loss", "results.rare"),
    *("-results.rare", "status", "-seconds", "-metrics.energy.min", "profile", "-results.mixed", "results.mixed"),
    *("metrics.force", "-metrics.force.max"),
]


def test_an_answer_can_be_read_from_the_row_after_any_other(ws, runs, monkeypatch):
    tune(monkeypatch, "rows among which a page is looked for first", 8)  # a page of two rows: of three, among all
    for number, mixed in [(1, "text"), (5, 0.5), (9, 7), (10, math.inf), (8, math.nan)]:
        with runs.run(f"r{number:02}").start() as ctx:
            ctx.set_result("mixed", mixed)
            ctx.set_result("rare", number // 3)
            ctx.metrics.log({"energy": -number // 5})

    for where in (None, "params.n > 3", "params.n == params.n"):
        for sort in SORTS:
            whole = [row.path for row in ws.catalog.runs(where, sort=sort)]
            assert len(whole) > 5
            for place, path in [*enumerate(whole)][::2]:
                limit = 2 + place // 2 % 2
                following = [row.path for row in ws.catalog.runs(where, sort=sort, after=path, limit=limit)]
                assert following == whole[place + 1 : place + 1 + limit], (where, sort, path)
            assert [row.path for row in ws.catalog.runs(where, sort=sort, limit=2)] == whole[:2], (where, sort)
            assert [row.path for row in ws.catalog.runs(where, sort=sort, after=whole[2])] == whole[3:]


def test_a_run_to_begin_after_need_not_belong_to_the_answer_any_more(ws, runs):
    with runs.run("r06").start() as ctx:
        ctx.set_result("mixed", [1])  # documents have to be asked then
    for sort in (None, "-params.even", "results.loss", "status", "results.mixed", "-results.mixed"):
        whole = [row.path for row in ws.catalog.runs("params.n > 4", sort=sort)]
        for place, path in enumerate(whole):
            left = [one for one in whole[place + 1 :] if one != "metals/cu/r07"]
            assert [
                row.path for row in ws.catalog.runs("params.n > 4 and params.n != 7", sort=sort, after=path)
            ] == left


def test_a_run_to_begin_after_has_to_be_there(ws, runs):
    for sort in (None, "-results.loss", "results.loss"):
        with pytest.raises(me.NotFoundError, match="nowhere"):
            ws.catalog.runs(sort=sort, after="metals/cu/nowhere")


def test_runs_are_counted_by_the_day_of_their_creation(ws, runs):
    days: dict[str, dict[str, int]] = {}
    for row in ws.catalog.runs("params.n > 3"):
        of_day = days.setdefault(row.created_at[:10], {})
        of_day[str(row.status)] = of_day.get(str(row.status), 0) + 1
    assert ws.catalog.run_pages("params.n > 3").days == days
    assert ws.catalog.run_pages('created_at < "2000-01-01"').days == {}
    assert ws.catalog.run_pages("params.n == params.n").days is None

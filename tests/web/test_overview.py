"""The overview says what runs, what failed, what is new, and what there is."""

from __future__ import annotations

import re
from html import unescape

import pytest

import molexp as me
from molexp_web import application


@pytest.fixture
def asking(client):
    return client(token=None)


def section(page, name):
    found = re.search(rf'<section aria-labelledby="{name}">(.*?)</section>', page, re.DOTALL)
    assert found, name
    return unescape(re.sub(r"<[^>]+>", " ", found[1]))


def test_the_overview_shows_what_failed_what_is_new_and_each_experiment(asking):
    page = asking.get("/w/lab/").text
    assert "ZeroDivisionError: division by zero" in section(page, "failed")
    newest = section(page, "newest")
    assert newest.index("one") < newest.index("cu-bad") < newest.index("cu-4")
    assert re.search(r"metals/cu\s+6\s+5\s+1", section(page, "experiments"))
    assert "7 runs in 30 days" in section(page, "activity")
    assert "7 runs, 1 of them failed" in page
    assert 'aria-labelledby="running"' not in page


def test_what_runs_now_is_shown_until_it_ends(lab, asking):
    with lab.project("metals").experiment("cu").Run({"a": 4.2}, id="alive").start() as ctx:
        ctx.metrics.log({"loss": 0.25}, step=7)
        page = asking.get("/w/lab/").text
        assert "alive" in section(page, "running")
        assert re.search(r'aria-label="Runs by status".*running</span><b>1</b>', page, re.DOTALL)
        live, version = (re.search(rf'data-{name}="([^"]*)"', page) for name in ("live", "version"))
        assert live
        assert version
        address = f"{unescape(live[1])}&version={version[1]}"
        unchanged = asking.get(address)
        assert (unchanged.status_code, unchanged.content) == (204, b"")
    ended = asking.get(address)
    assert ended.status_code == 200
    assert 'aria-labelledby="running"' not in ended.text


def test_an_error_of_many_lines_with_tags_is_one_line_of_text(lab, asking):
    with pytest.raises(RuntimeError), lab.project("metals").experiment("cu").Run(id="loud").start():
        raise RuntimeError("<script>alert(1)</script>\n" + "word " * 200)
    page = asking.get("/w/lab/").text
    assert "<script>alert" not in page
    assert "RuntimeError: <script>alert(1)</script> word" in section(page, "failed")


def test_of_many_runs_what_reads_the_whole_index_comes_later(asking, monkeypatch):
    monkeypatch.setattr("molexp_web._pages.overview.MANY", 3)
    page = asking.get("/w/lab/").text
    later = re.search(r'data-later="([^"]*)"', page)
    assert later
    assert 'id="experiments"' not in page
    assert "metals/cu" in section(asking.get(unescape(later[1])).text, "experiments")
    assert "metals/cu" in section(asking.get("/w/lab/?all=1").text, "experiments"), "where there are no scripts"


def test_runs_of_each_day_are_counted_once_until_something_changes(lab, asking, monkeypatch):
    asked = []
    counted = me.Catalog.run_pages

    def told(catalog, where=None, /, **filters):
        asked.extend([where] if where and "created_at" in where else [])
        return counted(catalog, where, **filters)

    monkeypatch.setattr(me.Catalog, "run_pages", told)
    first = section(asking.get("/w/lab/").text, "activity")
    assert section(asking.get("/w/lab/").text, "activity") == first
    assert len(asked) == 1
    lab.project("metals").experiment("cu").Run({"a": 9}, id="new")
    assert "8 runs in 30 days" in section(asking.get("/w/lab/").text, "activity")
    assert len(asked) == 2


def test_an_empty_workspace_says_what_to_do():
    from starlette.testclient import TestClient

    asking = TestClient(application({"lab": me.Workspace("memory:")}), base_url="http://127.0.0.1")
    page = asking.get("/w/lab/").text
    assert "There are no runs yet" in page
    assert "molexp run SCRIPT" in page

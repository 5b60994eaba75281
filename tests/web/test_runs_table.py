"""The table of runs: everything it shows is in its address, and as many runs are read as are shown."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import molexp as me
from molexp_web import application
from tests.internals import at
from tests.web.forms import Visitor

TOKEN = "a long random text that nobody guesses"


@pytest.fixture
def table(client):
    """Return a function that asks for the table, and returns the page as text."""
    asking = client(token=None)

    def table(**query):
        response = asking.get("/w/lab/runs", params=query)
        assert response.status_code == 200, response.text
        return response.text

    table.client = asking  # type: ignore[attr-defined]  # a function has no attributes of its own
    return table


def names(page):
    """Return the runs of a page, as it links them."""
    return re.findall(r'<th scope="row"><a href="/w/lab/runs/([^"]+)"', page)


def heads(page):
    return [*filter(None, re.findall(r'<th scope="col" class="[^"]*"(?: aria-sort="\w+")?><a [^>]*>([^<]*)</a>', page))]


def place_in(pattern, page):
    """Return the address that a pattern finds in a page."""
    found = re.search(pattern, page)
    assert found, pattern
    return unescape(found[1])


def link(page, rel):
    found = re.search(rf'rel="{rel}" href="([^"]*)"', page)
    return unescape(found[1]) if found else None


# ------------------------------------------------------------------------------------------------------------- the table


def test_runs_are_listed_the_newest_first_with_the_columns_that_vary(table):
    page = table()
    assert names(page)[:2] == ["salts/nacl/one", "metals/cu/cu-bad"]
    assert {"status", "experiment", "a", "energy", "loss", "cause", "tags"} <= {*heads(page)}
    assert "xc" not in heads(table(q='experiment == "cu"')), "all have the same"
    assert "7</span>" in page
    assert "1–7 of 7 runs" in page


def test_a_click_on_a_heading_sorts_and_says_so(table):
    page = table(sort="-results.energy")
    assert names(page)[:2] == ["metals/cu/cu-0", "metals/cu/cu-1"]
    assert re.search(r'aria-sort="descending"><a href="[^"]*sort=results.energy"[^>]*>energy<', page)
    assert names(table(sort="params.a"))[0] == "metals/cu/cu-0"
    assert "aria-sort" not in table(sort="params.a", columns="status")


def test_chosen_columns_stay_in_the_address(table):
    page = table(columns="metrics.loss.min,params.a,results.nowhere")
    assert heads(page) == ["loss min", "a", "nowhere"]
    chosen = table.client.get(
        "/w/lab/runs", params={"choose": "1", "column": ["params.a", 'odd, "name"'], "q": "params.a > 3"}
    )
    where = parse_qs(urlsplit(chosen.headers["location"]).query)
    assert (chosen.status_code, where["q"]) == (303, ["params.a > 3"])
    assert heads(table(**{name: value[0] for name, value in where.items()}))[0] == "a"
    assert "odd, &#34;name&#34;" in table(columns=where["columns"][0])


def test_pages_follow_each_other_without_a_gap_and_lead_back(lab, table):
    exp = lab.project("metals").experiment("cu")
    for number in range(120):
        exp.Run({"a": number % 7, "n": number}, id=f"n{number:03}")
    for sort in ("-created_at", "params.a", "-results.energy"):
        page, seen, pages = table(sort=sort), [], 0
        while True:
            seen += names(page)
            pages += 1
            if not (following := link(page, "next")):
                break
            page = table.client.get(following).text
        assert (pages, len(seen), len({*seen})) == (3, 127, 127)
        assert seen == [row.path for row in lab.catalog.runs(sort=sort)]
        assert "101–127 of 127 runs" in page
        back = table.client.get(link(page, "prev")).text
        assert names(back) == seen[50:100]
        assert names(table.client.get(link(back, "prev")).text) == seen[:50]


def test_a_page_after_a_run_that_is_gone_is_the_first(table):
    page = table(cursor="metals/cu/nowhere", at="50")
    assert "not there any more" in page
    assert len(names(page)) == 7


def test_archived_runs_are_hidden_until_somebody_asks(lab, table):
    lab.run("metals/cu/cu-0").archive()
    page = table()
    assert "metals/cu/cu-0" not in names(page)
    assert "1 archived is hidden" in page
    assert "metals/cu/cu-0" in names(table(archived="1"))


def test_numbers_are_rounded_and_the_title_has_all_of_them(lab, table):
    with lab.project("metals").experiment("cu").Run({"a": 1 / 3}, id="third").start() as ctx:
        ctx.set_result("stress", [[0.123456789, 1, 2], [3, 4, 5]])
        ctx.set_result("energy", -0.000123456789012)
    page = table(q='id == "third"', columns="params.a,results.stress,results.energy")
    assert 'title="0.3333333333333333">0.3333<' in page
    assert 'title="[[0.123456789,1,2],[3,4,5]]">[2x3]<' in page
    assert 'title="-0.000123456789012">-0.0001235<' in page


# --------------------------------------------------------------------------------------------------- filters and the query


def test_the_form_adds_a_filter_to_the_query_and_a_filter_can_be_taken_away(table):
    added = table.client.get(
        "/w/lab/runs", params={"q": "params.a > 3.5", "field": "status", "operator": "==", "value": "failed"}
    )
    assert parse_qs(urlsplit(added.headers["location"]).query)["q"] == ['params.a > 3.5 and status == "failed"']
    page = table.client.get(added.headers["location"]).text
    assert names(page) == ["metals/cu/cu-bad"]
    away = place_in(r'<a href="([^"]*)" aria-label="Remove the filter params.a', page)
    assert parse_qs(urlsplit(away).query)["q"] == ['status == "failed"']
    wrong = table.client.get("/w/lab/runs", params={"field": "status", "operator": "~", "value": "x"})
    assert (wrong.status_code, "no operator" in wrong.text) == (400, True)


def test_statuses_are_counted_and_lead_to_each_other(table):
    page = table(q='experiment == "cu" and status == "failed"')
    assert names(page) == ["metals/cu/cu-bad"]
    assert re.search(r'All <span class="count">6<', page)
    assert "1–1 of 1 runs" in page


@pytest.mark.parametrize(
    ("query", "texts"),
    [
        ("params.a > 3.5 and status == 'failed'", ["params.a > 3.5", "status == 'failed'"]),
        ("params.a between 1 and 2 and tags is null", ["params.a between 1 and 2", "tags is null"]),
        ("a == 1 or b == 2 and c == 3", ["a == 1 or b == 2 and c == 3"]),
        ("(a == 1 or b == 2) and c == 'x and y'", ["(a == 1 or b == 2)", "c == 'x and y'"]),
        ('params."odd and" in ("or", 2)', ['params."odd and" in ("or", 2)']),
        ("", []),
    ],
)
def test_a_query_is_read_as_filters_as_far_as_it_is_simple(table, query, texts):
    page = table.client.get("/w/lab/runs", params={"q": query}).text
    chips = [unescape(one) for one in re.findall(r'<li class="chip"><code>(.*?)</code>', page)]
    assert chips == ([] if 'id="problem"' in page else texts)


FIELDS = st.sampled_from(["params.a", "results.energy", "tags", "status", "params.odd name", "metrics.val/loss.min"])
OPERATORS = st.sampled_from(["==", "!=", "<", ">=", "contains", "in", "is null", "is not null"])


@settings(max_examples=25)
@given(st.lists(st.tuples(FIELDS, OPERATORS, st.text(min_size=1).filter(str.strip)), max_size=3))
def test_what_the_form_writes_is_a_query_and_becomes_the_same_filters(memory, conditions):
    asking, catalog = memory
    query, before = "", 0
    for field, operator, value in conditions:
        response = asking.get("/w/lab/runs", params={"q": query, "field": field, "operator": operator, "value": value})
        if response.status_code == 400:
            assert "needs a value" in response.text
            continue
        query, before = parse_qs(urlsplit(response.headers["location"]).query)["q"][0], before + 1
    page = asking.get("/w/lab/runs", params={"q": query}).text
    if 'id="problem"' in page:  # text where only numbers or text without an order can stand, such as tags < "x"
        with pytest.raises(me.QueryError, match=r"order|tags|list|number|escape"):
            catalog.runs(query)
        return
    assert len(re.findall(r'<li class="chip">', page)) == before


@pytest.fixture(scope="module")
def memory():
    """Return a client of an empty workspace in memory, and its catalog."""
    from starlette.testclient import TestClient

    ws = me.Workspace("memory:")
    client = TestClient(application({"lab": ws}), base_url="http://127.0.0.1", follow_redirects=False)
    return client, ws.catalog


def test_a_mistake_in_a_query_is_shown_beside_it_with_a_hint(table):
    page = table(q="params.a > and")
    assert 'aria-invalid="true" aria-describedby="problem"' in page
    assert "expected a value" in page
    assert "Did you mean" in table(q="stats == 'failed'")
    assert "Did you mean" in table(sort="results.enrgy")
    unknown = table(q="results.enrgy < 0")
    assert "No run has the field <code>results.enrgy</code>. Did you mean <code>results.energy</code>?" in unknown


def test_names_of_fields_are_suggested_from_the_index(table):
    assert table.client.get("/w/lab/fields", params={"containing": "LOSS"}).json() == ["metrics.loss"]
    assert "status" in table.client.get("/w/lab/fields").json()


def test_where_the_code_came_from_is_in_columns_that_sort_filter_and_group(lab, table):
    python = lab.run("metals/cu/cu-1").provenance["python"]
    assert '<input type="checkbox" name="column" value="provenance.git.commit">' in table()
    assert "provenance.packages.pytest" in table.client.get("/w/lab/fields", params={"containing": "pytest"}).json()
    page = table(
        columns="provenance.python,provenance.git.commit",
        sort="provenance.python",
        q=f'provenance.python == "{python}"',
    )
    assert heads(page) == ["python", "commit"]
    assert page.count(f"<td>{python}</td>") == 7
    assert re.search(rf'{python}</a></th>\s*<td class="number">7</td>', table(group="provenance.python"))


# ------------------------------------------------------------------------------------------------------- groups and views


def test_groups_have_counts_means_and_lead_to_their_runs(lab, table):
    page = table(group="experiment", columns="params.a,results.energy")
    assert re.search(r'metals/cu</a></th>\s*<td class="number">6</td>', page)
    assert 'title="mean of 5' in page
    assert ">-1.5<" in page
    followed = place_in(r'<th scope="row"><a href="([^"]*)">metals/cu<', page)
    assert len(names(table.client.get(followed).text)) == 6
    assert "none</a>" in table(group="params.spin")


def test_a_view_is_saved_for_everybody_from_the_page(lab, client):
    visitor = Visitor(client(token=TOKEN, changes=True))
    visitor.open(
        f"/w/lab/runs?token={TOKEN}&q=params.a+%3E+3.6&sort=-results.energy&cursor=metals/cu/cu-4&columns=params.a"
    )
    assert visitor.press("Save", name="best of all").told == "Saved the view “best-of-all” for everybody."
    again = me.Workspace(lab.url)
    assert [asset.name for asset in again.catalog.assets(kind="data")] == ["view-best-of-all"]
    link = place_in(r'<a href="([^"]*)">best-of-all<', visitor.open("/w/lab/runs").html)
    assert parse_qs(urlsplit(link).query) == {
        "q": ["params.a > 3.6"],
        "sort": ["-results.energy"],
        "columns": ["params.a"],
    }
    assert lab.fsck().ok
    assert visitor.press("Save", name="../x").status == 400


# --------------------------------------------------------------------------------------------------- what it costs, and junk


def test_of_many_runs_those_that_match_are_counted_after_the_page(table, monkeypatch):
    monkeypatch.setattr("molexp_web._table.listing.MANY", 3)
    assert "of 7 runs" in table()
    page = table(q="params.a > 3.6")
    assert "data-uncounted" in page
    assert "1–4 of <span data-total>many" in page
    assert "1–4 of 4 runs" in table(q="params.a > 3.6", part="counted")
    assert "1–4 of 4 runs" in table(q="params.a > 3.6"), "the count is known from then on"


def test_what_is_shown_is_refreshed_for_next_to_nothing_until_something_changes(lab, table):
    page = table(columns="params.a")
    live, version = (place_in(rf'data-{name}="([^"]*)"', page) for name in ("live", "version"))
    unchanged = table.client.get(f"{live}&version={version}")
    assert (unchanged.status_code, unchanged.content) == (204, b"")
    lab.project("metals").experiment("cu").Run({"a": 9}, id="new")
    changed = table.client.get(f"{live}&version={version}")
    assert names(changed.text)[0] == "metals/cu/new"
    assert "<html" not in changed.text


def test_what_changes_while_a_page_is_made_is_on_it_after_the_next_look(lab, table, monkeypatch):
    exp = lab.project("metals").experiment("cu")
    at(monkeypatch, "a question is answered", lambda *_: exp.Run({"a": 9}, id="new"), after=True)
    page = table(columns="params.a")
    assert "metals/cu/new" not in names(page)
    live, version = (place_in(rf'data-{name}="([^"]*)"', page) for name in ("live", "version"))
    assert "metals/cu/new" in names(table.client.get(f"{live}&version={version}").text)


def test_no_more_runs_are_read_than_are_shown(lab, table, monkeypatch):
    exp = lab.project("metals").experiment("cu")
    for number in range(150):
        exp.Run({"a": number}, id=f"n{number:03}")
    asked = []
    runs = me.Catalog.runs

    def counting(catalog, *args, **filters):
        found = runs(catalog, *args, **filters)
        asked.append((filters["limit"], len(found)))
        return found

    monkeypatch.setattr(me.Catalog, "runs", counting)
    table(sort="params.a")
    assert asked == [(51, 51), (40, 40)]
    table(sort="params.a", cursor="metals/cu/n049", at="50")
    assert asked[2:] == [(51, 51)], "what decides on the columns is remembered while nothing changes"


HOSTILE = ['<img src=x onerror="alert(1)">', "a'b\"c", "../../etc/passwd", "x\u202ey", "{{ 7*7 }}", "a,b", "--", "é\n"]


def test_hostile_names_are_text(lab, table):
    parameters = {name: name for name in HOSTILE}
    with lab.project("metals").experiment("cu").Run(parameters, id="odd").start() as ctx:
        for name in HOSTILE:
            ctx.set_result(name, 1.5)
            ctx.metrics.log({name: 2.0})
    lab.run("metals/cu/odd").annotate(tags=["<b>tag</b>"])
    for query in ({}, {"group": f"params.{HOSTILE[0]}"}, {"columns": ",".join(HOSTILE)}, {"q": '"<b>tag</b>" in tags'}):
        page = table(**query)
        assert "<img" not in page
        assert "<b>" not in page
        assert "49" not in heads(page)
    every = ("q", "sort", "columns", "cursor", "group", "size", "at", "archived", "part", "version", "field")
    for place, value in enumerate([*HOSTILE, "..", "\x00", "1" * 400]):
        for asked in ({every[place]: value}, {every[-place]: value, "sort": "path"}, {"q": value, "columns": value}):
            response = table.client.get("/w/lab/runs", params=asked)
            assert response.status_code in (200, 204, 303, 400), (asked, response.text)
            assert "<img" not in response.text


@pytest.mark.parametrize("columns", [10_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_a_run_of_ever_so_many_columns_is_no_page_of_as_many_boxes(lab, table, columns):
    exp = lab.project("metals").experiment("cu")
    with exp.Run({f"p{number:06}": number for number in range(columns)}, id="wide").start():
        pass
    page = table.client.get("/w/lab/runs", headers={"accept-encoding": "identity"})
    assert len(page.content) < 60_000
    assert "p000001" in page.text
    assert table.client.get("/w/lab/fields", params={"containing": "p00999"}).json()[:2] == [
        "params.p009990",
        "params.p009991",
    ]
    assert "9991" in table(columns="params.p009991")


def test_a_damaged_run_among_good_ones_is_told_of(lab, table):
    [document] = (path for path in _files(lab) if path.parts[-2:] == ("cu-3", "run.json"))
    document.write_bytes(b"{ not json")
    lab.catalog.rebuild()
    page = table()
    assert "cannot be read" in page
    assert "metals/cu/cu-2" in names(page)


def _files(ws):
    from pathlib import Path

    return Path(ws.url.removeprefix("file://")).rglob("*.json")


def test_a_workspace_without_runs_says_what_to_do(memory):
    page = memory[0].get("/w/lab/runs").text
    assert "There are no runs yet" in page
    assert "molexp run SCRIPT" in page

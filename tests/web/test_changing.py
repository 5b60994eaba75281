"""Runs are changed by the buttons of pages: each form is read from its page, filled, and sent as a browser does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import molexp as me
from tests.metals import make_lab
from tests.web.conftest import client_of
from tests.web.forms import ORIGIN, TOKEN, visitor_of

ONE, TWO = "metals/cu/cu-0", "metals/cu/cu-1"
RUN = f"/w/lab/runs/{ONE}"
TABLE = "/w/lab/runs?q=experiment+%3D%3D+%22cu%22"


@pytest.fixture
def visitor(lab):
    return visitor_of(lab)


# ------------------------------------------------------------------------------------------------------- what buttons do


def test_the_buttons_of_a_run(lab, visitor):
    run = lab.run(ONE)
    visitor.open(f"{RUN}?log=relax")
    assert visitor.press("Add tag", tag=" <b>best</b> ").told == f"Added the tag “<b>best</b>” to {ONE}."
    assert visitor.page.address.startswith(f"{RUN}?log=relax&done="), "it is the page from which it was sent"
    assert (run.tags, "&lt;b&gt;best&lt;/b&gt;" in visitor.page.html) == ({"<b>best</b>"}, True)
    assert visitor.press("Remove the tag <b>best</b> ×").told == f"Removed the tag “<b>best</b>” from {ONE}."
    assert run.tags == set()
    assert visitor.press("Add note", note="two\r\nlines").told == f"Added the note to {ONE}."
    assert run.notes[-1]["text"] == "two\nlines"
    assert f"ago, {run.notes[-1]['by']['user']}two lines" in visitor.page.text.replace("just now", "ago")
    visitor.press("Archive")
    assert (run.archived, "Archive" in visitor.page.buttons) == (True, False)
    visitor.press("Unarchive")
    assert not run.archived
    assert "Cancel" not in visitor.page.buttons, "it has ended"


def test_a_run_is_deleted_after_a_question_and_brought_back_by_a_button(lab, visitor):
    visitor.open(RUN)
    page = visitor.press("Delete…")
    assert f"Delete {ONE}?" in page.text
    assert f"<code>molexp runs restore {ONE}</code>" in page.html
    assert f'href="{RUN}"' in page.html, "nobody has to"
    assert lab.run(ONE).status == "succeeded"
    page = visitor.press(f"Delete {ONE}")
    assert page.told.startswith(f"Deleted {ONE}. molexp runs restore {ONE} brings back")
    assert page.address.startswith("/w/lab/runs?")
    assert (lab.catalog.runs("id == 'cu-0'"), f'href="{RUN}"' in page.html) == ([], False)
    assert visitor.press("Restore").told == f"Restored {ONE}."
    assert lab.run(ONE).status == "succeeded"


def test_a_run_that_waits_or_goes_on_can_be_cancelled_and_is_not_deleted_meanwhile(lab, visitor):
    waiting = lab.project("metals").experiment("cu").Run({"a": 9.0}, id="waiting")
    visitor.open("/w/lab/runs/metals/cu/waiting")
    assert visitor.press("Cancel").told.startswith("Asked metals/cu/waiting to stop.")
    assert waiting.status == "cancelled"
    with lab.project("metals").experiment("cu").Run(id="alive").start():
        visitor.open("/w/lab/runs/metals/cu/alive")
        assert {"Cancel"} <= visitor.page.buttons
        assert {"Delete…"}.isdisjoint(visitor.page.buttons)
        visitor.open(TABLE)
        visitor.press("Delete…", {"run": ["metals/cu/alive", TWO]})
        told = visitor.press("Delete 2 runs").told
        assert told.startswith(f"Deleted {TWO}.")
        assert "Not changed: metals/cu/alive." in told


def test_chosen_runs_of_the_table(lab, visitor):
    chosen = {"run": [ONE, TWO]}
    visitor.open(f"{TABLE}&sort=params.a")
    assert visitor.press("Add tag", chosen, tag="good").told == "Added the tag “good” to 2 runs."
    assert visitor.page.address.startswith(f"{TABLE}&sort=params.a&done=")
    assert len(lab.catalog.runs("'good' in tags")) == 3
    assert visitor.press("Remove tag", chosen, tag="good").told == "Removed the tag “good” from 2 runs."
    assert len(lab.catalog.runs("'good' in tags")) == 1
    assert visitor.press("Archive", chosen).told.startswith("Archived 2 runs.")
    visitor.open(f"{TABLE}&archived=1")
    assert visitor.press("Unarchive", chosen).told == "Unarchived 2 runs."
    page = visitor.press("Delete…", chosen)
    assert all(f"<li>{path}</li>" in page.html for path in chosen["run"])
    assert visitor.press("Delete 2 runs").told.startswith(
        f"Deleted 2 runs. molexp runs restore {ONE} {TWO} brings back"
    )
    visitor.press("Restore")
    assert len(lab.catalog.runs(experiment="cu")) == 6
    assert visitor.press("Compare selected", chosen).address.startswith("/w/lab/compare?run=metals%2Fcu%2Fcu-0&run=")


def test_before_many_runs_are_changed_you_are_asked(lab, visitor, monkeypatch):
    monkeypatch.setattr("molexp_web._pages.changing.MANY", 1)
    visitor.open(TABLE)
    assert "Add the tag “x” to 2 runs?" in visitor.press("Add tag", {"run": [ONE, TWO]}, tag="x").text
    assert not lab.catalog.runs("'x' in tags")
    assert visitor.press("Add the tag “x” to 2 runs").told == "Added the tag “x” to 2 runs."


# ------------------------------------------------------------------------------------------------- who may, and who may not


def test_a_reader_sees_no_button_and_is_refused_in_words(lab, visitor):
    form = visitor.open(RUN).form("Archive")
    reader = visitor_of(lab, changes=False)
    for address in (RUN, TABLE, "/w/lab/"):
        page = reader.open(address)
        assert page.buttons == set()
        above = page.html.partition("origin-title")[0]  # the changes of this repository stand there, such as this test
        traces = ('name="key"', 'id="change"', "menu end change", "can only be read")
        assert [trace for trace in traces if trace in above] == []
    page = reader.send(form, form.filled("Archive", {}, {}))
    assert (page.status, "This server changes nothing." in page.text) == (403, True)
    assert "--allow-changes" in page.text


def test_a_workspace_that_can_only_be_read_says_so(lab, visitor):
    form = visitor.open(RUN).form("Archive")
    reader = visitor_of(me.Workspace.load(lab.url, read_only=True))
    for address in (RUN, TABLE):
        page = reader.open(address)
        assert page.buttons == set()
        assert "This workspace can only be read here" in page.text
    told = reader.send(form, form.filled("Archive", {}, {})).text
    assert "Nothing was changed." in told
    assert not lab.run(ONE).archived


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({}, 403),
        ({"origin": ORIGIN, "sec-fetch-site": "cross-site"}, 403),
        ({"origin": ORIGIN, "host": "evil.example"}, 421),
        ({"origin": ORIGIN, "content-type": "text/plain"}, 415),
        ({"origin": ORIGIN, "cookie": "molexp=wrong"}, 401),
    ],
)
def test_no_other_site_sends_a_form(lab, visitor, headers, status):
    form = visitor.open(RUN).form("Archive")
    if "cookie" in headers:
        visitor.client.cookies.clear()
    assert visitor.send(form, form.filled("Archive", {}, {}), headers).status == status
    assert not lab.run(ONE).archived


@pytest.mark.parametrize("key", ["", "0" * 32, "é\udcff", None])
def test_a_form_without_the_key_of_this_server_changes_nothing(lab, visitor, key):
    form = visitor.open(RUN).form("Archive")
    pairs = [pair for pair in form.filled("Archive", {}, {}) if pair[0] != "key"]
    page = visitor.send(form, pairs if key is None else [*pairs, ("key", key.encode("utf-8", "surrogateescape"))])
    assert (page.status, "Open the page again" in page.text) == (403, True)
    views = visitor.open(TABLE).form("Save")
    assert visitor.send(views, [("name", "x"), ("query", "")]).status == 403
    assert (lab.run(ONE).archived, lab.catalog.assets(kind="data")) == (False, [])


# --------------------------------------------------------------------------------------------------------------- what is said


def test_what_was_not_done_is_said_with_the_reason(lab, visitor):
    visitor.open(TABLE)
    lab.run(ONE).delete()
    told = visitor.press("Add tag", {"run": [ONE, TWO]}, tag="late").told
    assert told.startswith(f"Added the tag “late” to {TWO}. Not changed: {ONE}.")
    assert "deleted" in told
    told = visitor.press("Add tag", {"run": [TWO]}, tag="  ").told
    assert told.startswith("Nothing was changed.")
    assert "A tag is empty." in told
    assert visitor.press("Archive").told == "Nothing was changed. Choose runs first, by the boxes before their names."
    many = [("run", f"metals/cu/r{number}") for number in range(10_000)]
    form = visitor.page.form("Archive")
    told = visitor.send(form, [*form.filled("Archive", {}, {}), *many]).told
    assert told.startswith("Nothing was changed. At most 1000 runs are changed at once, not 10000.")
    assert visitor.send(form, [*form.filled("Archive", {}, {}), *many * 5]).status == 413
    visitor.open(RUN.replace("cu-0", "cu-2"))
    lab.run("metals/cu/cu-2").delete()
    page = visitor.press("Archive")
    assert (page.status, page.told.startswith("Nothing was changed.")) == (404, True), "its page is gone as well"


def test_a_form_that_is_sent_twice_is_meant_once(lab, visitor):
    form = visitor.open(RUN).form("Add note")
    pairs = form.filled("Add note", {}, {"note": "twice"})
    assert [visitor.send(form, pairs).status for _ in range(2)] == [200, 200]
    assert [note["text"] for note in lab.run(ONE).notes] == ["twice"]
    visitor.press("Delete…")
    form = visitor.page.form(f"Delete {ONE}")
    pairs = form.filled(f"Delete {ONE}", {}, {})
    assert visitor.send(form, pairs).told == visitor.send(form, pairs).told
    assert "Restore" in visitor.page.buttons


def test_a_run_is_executed_once_by_a_button_that_is_pressed_twice(lab, tmp_path, monkeypatch):
    script = tmp_path / "train.py"
    script.touch()
    started = []

    def start(*found, **_):
        started.append(found)
        return tmp_path / f"{len(started)}"

    monkeypatch.setattr("molexp_web._api.changing.execute_in_background", start)
    visitor = visitor_of(lab, scripts=[script])
    form = visitor.open(RUN).form("Execute again by train.py")
    pairs = form.filled("Execute again by train.py", {}, {})
    assert visitor.send(form, pairs).told == visitor.send(form, pairs).told
    assert (len(started), str(tmp_path / "1") in visitor.page.told) == (1, True)
    visitor.press("Execute again by train.py")
    assert (len(started), str(tmp_path / "2") in visitor.page.told) == (2, True), "whoever has read that means it again"


def test_what_was_said_is_said_to_nobody_without_the_token(lab, visitor):
    said = visitor.open(RUN) and visitor.press("Add tag", tag="quiet").address
    assert "quiet" not in client_of(lab, token=TOKEN, changes=True).get(said).text
    assert visitor.open(said.replace("done=", "done=x")).told == ""


@pytest.mark.parametrize(
    "place", ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", ""]
)
def test_a_form_leads_to_no_other_site(visitor, place):
    form = visitor.open(RUN).form("Archive")
    pairs = [(name, place if name == "back" else value) for name, value in form.filled("Archive", {}, {})]
    assert visitor.send(form, pairs).address.startswith("/w/lab/runs?done=")


def test_forms_lead_back_below_the_prefix_of_a_proxy(lab):
    visitor = visitor_of(lab, prefix="/molexp")
    visitor.open(f"/molexp{RUN}")
    assert visitor.press("Archive").address.startswith(f"/molexp{RUN}?done=")
    visitor.press("Delete…")
    assert visitor.press(f"Delete {ONE}").address.startswith("/molexp/w/lab/runs?q=")


NASTY = ("..", "../../etc/passwd", "metals/cu/../cu/cu-0", "metals/cu", "metals/cu/cu-0/../cu-1", "\0", "%2e%2e", "<script>alert(1)</script>", "@latest", "a" * 3000)  # fmt: skip
WORDS = st.sampled_from(NASTY) | st.text(st.characters(codec="utf-8"), max_size=12)


@settings(max_examples=15)
@given(data=st.data())
def test_whatever_is_sent_is_done_or_refused_in_words(shared, data):
    visitor, form = shared
    actions = st.sampled_from(
        ["tag", "untag", "note", "archive", "unarchive", "delete", "restore", "cancel", "execute", "compare"]
    )
    pairs = [pair for pair in form.filled("Archive", {}, {}) if pair[0] not in ("action", "run")]
    pairs += [("action", data.draw(actions | WORDS)), ("sure", "1")]
    pairs += [("run", one) for one in data.draw(st.lists(WORDS, max_size=3))]
    pairs += [*data.draw(st.dictionaries(st.sampled_from(["tag", "note", "script", "here", "rerun"]), WORDS)).items()]
    page = visitor.send(form, pairs)
    assert page.status in (200, 400, 404), page.text
    assert "<script>alert" not in page.html


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    visitor = visitor_of(make_lab(tmp_path_factory.mktemp("shared") / "lab"))
    return visitor, visitor.open(RUN).form("Archive")

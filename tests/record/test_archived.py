"""Runs that were archived or deleted: which lists have them, and how they come back."""

from __future__ import annotations

import pytest

import molexp as me
from tests.record.helpers import amid


@pytest.fixture
def runs(exp):
    """Three runs, of which one is archived."""
    for name in ("a", "b", "c"):
        with exp.Run(id=name).start() as ctx:
            ctx.set_result("x", name)
    exp.run("b").archive()
    return exp.project.workspace.catalog


def ids(rows):
    return [row.id for row in rows]


def test_archived_runs_are_left_out_of_lists_unless_asked_for(runs):
    found = runs.runs()
    assert (ids(found), found.archived) == (["a", "c"], 1)
    assert "1 archived left out" in repr(found)
    assert (ids(runs.runs(archived=True)), runs.runs(archived=True).archived) == (["a", "b", "c"], 0)
    assert ids(runs.runs("archived == true")) == ["b"]
    assert ids(runs.runs('archived == true or id == "a"')) == ["a", "b"]
    assert ids(runs.runs(sort="-archived")) == ["b", "a", "c"]
    assert runs.runs('results.x == "a"').archived == 0
    assert runs.runs('results.x == "b"').archived == 1
    assert runs.runs('results.x in ("b", "c")', limit=0).archived == 1


def test_an_archived_run_is_still_found_by_name_and_can_be_shown_again(runs, ws, exp):
    assert ws.run("b").archived
    exp.run("b").archive()
    exp.run("b").unarchive()
    exp.run("b").unarchive()
    assert not exp.run("b").archived
    assert ids(runs.runs()) == ["a", "b", "c"]
    assert (
        len(ws.run("b")._session.store.children(f"projects/{exp.project.id}/experiments/{exp.id}/runs/b/edits").entries)
        == 2
    )
    exp.run("b").archive()
    assert ids(runs.runs()) == ["a", "c"]


def test_a_deleted_run_can_be_restored_until_it_is_freed(runs, ws, exp):
    run = exp.run("a")
    run.delete()
    with pytest.raises(me.NotFoundError, match="molexp restore"):
        ws.run("metals/cu/a")
    assert ids(runs.runs()) == ["c"]

    assert ws.restore("metals/cu/a").results == {"x": "a"}
    assert ids(runs.runs()) == ["a", "c"]
    assert ws.gc(dry_run=False).ok
    assert exp.run("a").status == "succeeded"

    run.delete()
    run.restore()
    run.restore()
    assert run.results == {"x": "a"}
    with run.start() as ctx:
        ctx.set_result("x", "again")
    assert runs.verify().findings == ()


def test_what_was_freed_is_not_restored(runs, ws, exp):
    exp.run("a").delete()
    ws.gc(dry_run=False)
    with pytest.raises(me.NotFoundError, match=r"has freed it.*molexp sync --restore metals/cu/a"):
        ws.restore("metals/cu/a")
    for path in ("metals/cu/nothing", "a", "metals/cu/../x"):
        with pytest.raises(me.NotFoundError):
            ws.restore(path)
    assert ids(runs.runs()) == ["c"]
    assert ws.fsck().ok


def test_a_run_that_is_restored_while_it_is_freed_is_there_or_gone_and_that_is_said(runs, ws, exp, monkeypatch):
    """`gc` has said that it frees the run, and not looked at its edits again."""
    exp.run("a").delete()
    refused = []

    def restore():
        with pytest.raises(me.NotFoundError) as error:
            ws.restore("metals/cu/a")
        refused.append(error.value)

    amid(monkeypatch, ws._session.store, ["create"], "experiments/cu/edits/", restore, after=True)
    ws.gc(dry_run=False)
    assert refused
    assert exp.run("a").results == {"x": "a"}, "whoever frees it saw that it was restored"
    assert ids(runs.runs()) == ["a", "c"]


def test_a_restored_run_is_synced_as_one_that_was_never_deleted(runs, ws, exp, copy):
    me.sync_workspace(ws, copy.url)
    exp.run("a").delete()
    me.sync_workspace(ws, copy.url)
    assert ids(copy.load().catalog.runs()) == ["c"]
    ws.restore("metals/cu/a")
    assert me.sync_workspace(ws, copy.url).ok
    assert ids(copy.load().catalog.runs()) == ["a", "c"]


def test_notes_are_searched(runs, exp):
    exp.run("a").annotate(note="did NOT converge")
    exp.run("a").annotate(note="second try " + "x" * 300)
    exp.run("c").annotate(note="fine")
    assert ids(runs.runs('notes like "%converge%"')) == ["a"]
    assert ids(runs.runs('notes like "fine"')) == ["c"]
    assert ids(runs.runs("notes is null", archived=True)) == ["b"]
    assert ids(runs.runs('notes like "%second try%" and results.x == "a"')) == ["a"]


@pytest.mark.parametrize(
    ("sort", "hint"),
    [
        ("foo.bar", "There is no column 'foo.bar'"),
        ("statu", "Did you mean 'status'"),
        ("parms.a", "Did you mean 'params.a'"),
        ("status.x", "Did you mean 'status'"),
        ("results", "such as 'results.loss'"),
        ("results.xy", "Did you mean 'results.x'"),
    ],
)
def test_what_is_no_column_is_an_error_with_the_nearest(runs, sort, hint):
    for name in (sort, f"-{sort}"):
        with pytest.raises(ValueError, match=hint):
            runs.runs(sort=name)


def test_the_columns_that_there_are_are_named_once_each(runs):
    with pytest.raises(ValueError, match="There are: ") as refused:
        runs.runs(sort="foo.bar")
    named = str(refused.value).partition("There are: ")[2].removesuffix(".").split(", ")
    assert len(named) == len(set(named)) > 20


def test_a_column_that_some_run_has_is_one_of_those_that_were_not_found(runs, exp):
    assert ids(runs.runs('id == "a"', sort="results.x")) == ["a"]
    with exp.Run(id="d").start() as ctx:
        ctx.set_result("other", 1)
    assert ids(runs.runs('id == "a"', sort="results.other")) == ["a"]


def test_a_query_reaches_into_no_plain_column(runs):
    with pytest.raises(me.QueryError, match="status"):
        runs.runs("status.x == 1")

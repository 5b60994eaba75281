"""me.locate_workspace: the workspace that is given, that the environment names, or that lies around a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

import molexp as me


@pytest.fixture
def folders(here, monkeypatch):
    monkeypatch.delenv("MOLEXP_WORKSPACE", raising=False)
    for name in ("given", "environment", "around"):
        me.Workspace(here / name, name=name).materialize()
    (here / "around" / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(here / "around" / "a" / "b")
    return here


def test_what_is_given_comes_first_then_the_environment_then_what_is_around(folders, monkeypatch):
    assert me.locate_workspace().name == "around"
    assert me.locate_workspace(start=folders / "given").name == "given"
    monkeypatch.setenv("MOLEXP_WORKSPACE", str(folders / "environment"))
    assert me.locate_workspace().name == "environment"
    assert me.locate_workspace(folders / "given").name == "given"


def test_the_nearest_one_counts(folders):
    me.Workspace(folders / "around" / "a", name="nearer").materialize()
    assert me.locate_workspace().name == "nearer"


def test_it_works_with_what_is_no_folder(folders):
    known = me.Workspace("memory://located").materialize()
    assert me.locate_workspace("memory://located").id == known.id


def test_none_at_all_names_what_can_be_done(here, monkeypatch):
    monkeypatch.delenv("MOLEXP_WORKSPACE", raising=False)
    with pytest.raises(me.NotFoundError, match=r"-w URL.*MOLEXP_WORKSPACE.*workspace\.json") as caught:
        me.locate_workspace()
    assert (caught.value.what, caught.value.name) == ("workspace", str(here))
    with pytest.raises(me.NotFoundError):
        me.locate_workspace(create=True)


def test_one_that_is_named_must_exist_unless_it_may_be_created(here, monkeypatch):
    for workspace in ("lab", "memory://not-there"):
        with pytest.raises(me.NotFoundError):
            me.locate_workspace(workspace)
        assert not Path("lab").exists()
    for workspace in ("lab", "memory://not-there"):
        assert me.locate_workspace(workspace, create=True).materialize().id
    monkeypatch.setenv("MOLEXP_WORKSPACE", "missing")
    with pytest.raises(me.NotFoundError, match="MOLEXP_WORKSPACE says 'missing'"):
        me.locate_workspace()


def test_only_a_workspace_is_one(folders):
    strange = folders / "around" / "a" / "workspace.json"
    for content in ('{"type": "project"}', '{"folders": []}', "[]"):
        strange.write_text(content)
        assert me.locate_workspace().name == "around"
    strange.write_text("{")
    with pytest.raises(me.CorruptRecordError):
        me.locate_workspace()


def test_it_may_be_opened_for_reading_only(folders):
    with pytest.raises(me.ReadOnlyError):
        me.locate_workspace(read_only=True).Project("p")

"""me.locate_workspace: the workspace that is given, that the environment names, or that lies around a folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import molexp as me

pytestmark = pytest.mark.filterwarnings("ignore:The new workspace")  # they lie within each other, to see which is found


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
    strange.write_text("{")  # damaged: it may have been one, and is not to be taken for another
    assert me.locate_workspace().url.endswith("/around/a")


def test_it_may_be_opened_for_reading_only(folders):
    with pytest.raises(me.ReadOnlyError):
        me.locate_workspace(read_only=True).Project("p")


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="gives files to other users: needs root")
def test_one_that_a_stranger_put_where_everybody_may_write_is_passed_over(folders):
    """Else whoever may write to /tmp chooses where commands below it record: CVE-2022-24765 is git's case of it."""
    shared = folders / "around" / "a"
    me.Workspace(shared, name="planted").materialize()
    os.chown(shared / "workspace.json", 1001, 1001)
    assert (
        me.locate_workspace().name == "planted"
    )  # a colleague's, in a folder of which its owner decides who may write
    shared.chmod(0o1777)
    assert me.locate_workspace().name == "around"
    assert me.locate_workspace(shared).name == "planted"
    os.chown(shared / "workspace.json", os.geteuid(), -1)
    assert me.locate_workspace().name == "planted"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes that have names")
def test_what_is_no_file_is_none(folders):
    os.mkfifo(folders / "around" / "a" / "workspace.json")
    assert me.locate_workspace().name == "around"

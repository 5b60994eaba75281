"""A workspace: a path or URL, light until something is put into it."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

import molexp as me
from tests import internals


def test_nothing_is_written_until_the_first_child(place):
    workspace = place.workspace(name="my lab")
    assert list(workspace.projects) == []
    assert list(workspace.catalog.runs()) == []
    assert list(workspace.data_assets) == []
    assert place.everything() == {}

    workspace.Project("metals")

    assert place.record() == ["projects/metals/project.json", "workspace.json"]
    assert place.document("workspace.json")["name"] == "my lab"


def test_on_files_not_even_a_folder_is_made(tmp_path):
    me.Workspace(tmp_path / "lab")

    assert list(tmp_path.iterdir()) == []


def test_materialize_creates_it_and_nothing_else(place):
    workspace = place.workspace().materialize()

    assert place.record() == ["workspace.json"]
    before = place.everything()
    assert place.workspace().materialize().id == workspace.id
    assert place.everything() == before


@pytest.mark.parametrize("name", ["", " ", 5, "\ud800"])
def test_what_is_no_name_is_refused_at_once(place, name):
    with pytest.raises(me.InvalidNameError, match="cannot be used as a name"):
        place.workspace(name=name)
    assert place.everything() == {}


def test_what_is_recorded_of_it(place):
    workspace = place.workspace(name="my lab").materialize()

    document = place.document("workspace.json")
    assert document["schema"] == 1
    assert document["id"] == workspace.id
    assert document["created_at"].endswith("Z")
    assert place.load().name == workspace.name == "my lab"
    assert place.url not in place.store.read("workspace.json").decode()


def test_load_opens_what_exists(place):
    workspace = place.workspace().materialize()

    assert place.load() == workspace
    assert place.load().id == workspace.id


def test_load_refuses_what_does_not_exist(place):
    with pytest.raises(me.NotFoundError, match="There is no workspace"):
        place.load()
    assert place.everything() == {}


def test_a_relative_path_is_resolved_at_once(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    workspace = me.Workspace("./lab")
    monkeypatch.chdir(tmp_path / "elsewhere")

    workspace.materialize()

    assert (tmp_path / "lab" / "workspace.json").is_file()
    monkeypatch.undo()


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("HOME", str(tmp_path))
        workspace = me.Workspace("~/lab").materialize()

    assert workspace == me.Workspace(tmp_path / "lab")
    assert (tmp_path / "lab" / "workspace.json").is_file()


def test_all_ways_to_spell_one_place_are_equal(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    spellings = [
        tmp_path / "lab",
        str(tmp_path / "lab"),
        f"{tmp_path}/lab/",
        f"{tmp_path}/x/../lab",
        f"file://{tmp_path}/lab",
        f"file://localhost{tmp_path}/lab",
        tmp_path / "link" / "lab",
    ]

    assert len({me.Workspace(spelling) for spelling in spellings}) == 1
    assert me.Workspace(tmp_path / "lab").url == f"file://{tmp_path}/lab"


def test_a_file_url_may_be_escaped(tmp_path):
    workspace = me.Workspace(f"file://{tmp_path}/my%20lab").materialize()

    assert (tmp_path / "my lab" / "workspace.json").is_file()
    assert me.Workspace(workspace.url) == workspace


def test_an_unknown_scheme_is_named_with_what_there_is():
    with pytest.raises(me.PluginMissingError, match=r"'gopher'.*Available: .*file"):
        me.Workspace("gopher://lab")


@pytest.mark.parametrize("url", ["", None, 3, b"lab"])
def test_what_is_no_url_is_refused(url):
    with pytest.raises((ValueError, TypeError)):
        me.Workspace(url)


def test_an_unknown_keyword_is_an_error(tmp_path):
    with pytest.raises(TypeError, match="readonly"):
        me.Workspace(tmp_path, readonly=True)  # type: ignore[call-arg]


@pytest.mark.parametrize("url", ["lab", "memory://"])
def test_an_unknown_storage_option_is_named_with_what_there_is(url):
    with pytest.raises(TypeError, match=r"'region'.*it knows"):
        me.Workspace(url, storage_options={"region": "eu"})


def test_a_folder_that_exists_becomes_a_workspace_without_harm(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")

    me.Workspace(tmp_path).materialize()

    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_file_is_no_workspace(tmp_path):
    path = tmp_path / "lab"
    path.write_text("a file")

    with pytest.raises(me.MolexpError):
        me.Workspace(path).Project("metals")
    assert path.read_text() == "a file"


def test_a_workspace_whose_document_cannot_be_read_is_read_and_not_written(place):
    with place.workspace().Project("metals").Experiment("cu").Run(id="one").start() as ctx:
        ctx.set_result("x", 1)
    place.store.write("workspace.json", b"{ torn")
    ws = place.load()

    assert [row.results for row in ws.catalog.runs()] == [{"x": 1}]
    assert list(ws.catalog.unreadable()) == ["workspace.json"]
    with pytest.raises(me.CorruptRecordError, match=r"workspace\.json"):
        _ = ws.id
    with pytest.raises(me.CorruptRecordError, match=r"workspace\.json"):
        ws.run("metals/cu/one").annotate(tags=["t"])


def test_whether_somebody_fills_an_empty_document_is_waited_for_once(place, monkeypatch):
    with place.workspace().Project("metals").Experiment("cu").Run(id="one").start():
        pass
    whole = place.store.read("workspace.json")
    place.store.write("workspace.json", b"")
    waits = []
    internals.tune(monkeypatch, "seconds that somebody has to fill a name", 0.05)
    internals.at(monkeypatch, "a blank workspace may be filled", lambda *_: waits.append(1), every=True)

    ws = place.load()
    assert [row.status for row in ws.catalog.runs()] == ["succeeded"]
    assert list(ws.catalog.unreadable()) == ["workspace.json"]
    assert len(waits) == 1

    place.store.write("workspace.json", whole)
    assert ws.id == place.load().id


def test_settings_are_kept_and_the_newest_win(place):
    workspace = place.workspace()
    workspace.configure(run_id_scheme="molexp-1")
    workspace.configure(durability="never")
    workspace.configure(run_id_scheme=None)

    assert place.load().settings == {"durability": "never"}
    assert [key for key in place.record() if key.startswith("settings/")] == [f"settings/{n}.json" for n in (1, 2, 3)]


def test_settings_are_checked(place):
    workspace = place.workspace()

    with pytest.raises(TypeError, match="Did you mean 'durability'"):
        workspace.configure(durabilty="never")
    with pytest.raises(ValueError, match="'sometimes'"):
        workspace.configure(durability="sometimes")
    with pytest.raises(me.PluginMissingError, match="'sha999'"):
        workspace.configure(run_id_scheme="sha999")
    assert place.everything() == {}


def test_nothing_in_it_is_a_path_to_itself(lab, lab_run):
    with lab_run.start() as ctx:
        ctx.set_result("file", ctx.artifact.save("a.txt", "text").path)
        ctx.log("train").append("one")
        ctx.metrics.log(loss=1.0)
    place = str(lab.folder)
    guilty = [key for key, data in lab.everything().items() if place in data.decode()]

    assert guilty == []


def test_handles_tell_what_they_are(place):
    workspace = place.workspace()
    experiment = workspace.Project("metals").Experiment("cu")
    run = experiment.Run(id="one")

    assert workspace.url in repr(workspace)
    assert "metals/cu/one" in repr(run)
    assert {run, experiment.run("one")} == {run}
    assert run.experiment is experiment
    assert run.experiment.project.workspace is workspace


def test_opening_the_same_place_twice_is_one_workspace(place):
    first, second = place.workspace(), place.workspace()
    first.Project("metals").Experiment("cu").Run(id="one")

    assert [r.id for r in second.project("metals").experiment("cu").runs] == ["one"]
    assert [row.path for row in second.catalog.runs()] == ["metals/cu/one"]


def test_a_url_object_is_a_path_too(tmp_path):
    class Location:
        def __fspath__(self) -> str:
            return str(tmp_path / "lab")

    assert me.Workspace(Location()) == me.Workspace(tmp_path / "lab")


def test_the_url_carries_on_in_other_processes(tmp_path):
    """A workspace is opened by its URL elsewhere: that is a text, and stays valid after a change of folder."""
    workspace = me.Workspace(os.path.relpath(tmp_path / "lab"))

    assert me.Workspace(pickle.loads(pickle.dumps(workspace.url))) == workspace
    assert Path(workspace.url.removeprefix("file://")).is_absolute()

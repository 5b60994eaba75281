"""Opened read-only, a workspace refuses every write and answers every question."""

from __future__ import annotations

import os
import sys
import tempfile

import pytest

import molexp as me
from tests.record.test_unreadable import WAYS, writes_to

RUN = "projects/metals/experiments/cu/runs/one"


@pytest.fixture
def finished(exp, tmp_path):
    run = exp.Run({"b": 1}, id="one")
    with run.start() as ctx:
        ctx.set_result("x", 1)
        ctx.artifact.save("a.txt", "text")
        ctx.log("train").append("line")
    (tmp_path / "d.txt").write_text("data")
    exp.data_assets.import_asset("d", tmp_path / "d.txt")
    return run


@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("materialize", "gc")])
def test_every_write_is_refused_and_nothing_is_written(place, finished, tmp_path, way):
    before = place.everything()
    workspace = place.load(read_only=True)

    with pytest.raises(me.ReadOnlyError, match="read_only=True"):
        writes_to(workspace, tmp_path)[way]()
    assert place.everything() == before


def test_gc_refuses_to_free_and_tells_what_it_would(place, finished):
    finished.delete()
    before = place.everything()
    workspace = place.load(read_only=True)

    assert workspace.gc().counts["found"] == 1
    with pytest.raises(me.ReadOnlyError):
        workspace.gc(dry_run=False)
    assert place.everything() == before


def test_every_question_is_answered(place, finished):
    before = place.everything()
    workspace = place.load(read_only=True)
    run = workspace.run("metals/cu/one")

    assert workspace.read_only
    assert (run.status, run.results, run.parameters) == ("succeeded", {"x": 1}, {"a": 3.6, "b": 1})
    assert run.asset("a.txt").load() == "text"
    assert run.logs["train"].tail() == ["line"]
    assert run.asset("d").load().read_text() == "data"
    assert [row.id for row in workspace.catalog.runs(status="succeeded")] == ["one"]
    assert len(workspace.catalog.assets()) == 3
    assert workspace.catalog.rebuild().ok
    assert workspace.catalog.verify().ok
    assert workspace.fsck().ok
    assert workspace.asset(run.asset("a.txt").id).read_bytes() == b"text"
    assert workspace.materialize() is workspace, "it is there already"
    assert place.everything() == before


def test_what_exists_is_found_by_get_or_create_too(place, finished):
    workspace = place.load(read_only=True)

    run = workspace.Project("metals").Experiment("cu", params={"a": 3.6}).Run({"b": 1}, id="one")

    assert run.results == {"x": 1}


def test_what_does_not_exist_cannot_be_made(place):
    with pytest.raises(me.NotFoundError):
        place.load(read_only=True)
    with pytest.raises(me.ReadOnlyError):
        place.workspace(read_only=True).materialize()
    with pytest.raises(me.ReadOnlyError):
        place.workspace(read_only=True).Project("metals")
    assert list(place.workspace(read_only=True).projects) == []
    assert place.everything() == {}


def test_a_source_is_not_moved_away(place, finished, tmp_path):
    source = tmp_path / "precious.bin"
    source.write_bytes(b"precious")

    with pytest.raises(me.ReadOnlyError):
        place.load(read_only=True).data_assets.import_asset("p", source, action="move")
    assert source.read_bytes() == b"precious"


def test_a_dead_run_is_shown_as_interrupted_and_left_to_others(lab, script):
    script(
        """
        import os, molexp as me
        me.Workspace(os.environ["LAB"]).Project("p").Experiment("e").Run(id="one").start().set_result("x", 1)
        os._exit(0)
        """
    )
    before = lab.everything()

    workspace = lab.load(read_only=True)
    assert (workspace.run("p/e/one").status, workspace.run("p/e/one").results) == ("interrupted", {"x": 1})
    assert [row.status for row in workspace.catalog.runs()] == ["interrupted"]
    assert lab.everything() == before


def test_it_is_a_permission_error_of_ours(place, finished):
    with pytest.raises(me.StorePermissionError):
        place.load(read_only=True).run("metals/cu/one").annotate(tags=["a"])


@pytest.fixture
def open_folder():
    """A folder that every user of this machine can look into; those of pytest are closed to others."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else "/tmp") as folder:
        os.chmod(folder, 0o755)
        yield folder


@pytest.mark.skipif(sys.platform == "win32" or os.getuid() != 0, reason="only root can become somebody else")
def test_a_tree_that_others_own_is_readable_without_a_home(open_folder, script):
    """As `nobody`, with no home folder and no cache folder: everything is answered, and every write is refused."""
    workspace = me.Workspace(f"{open_folder}/lab")
    with workspace.Project("metals").Experiment("cu").Run(id="one").start() as ctx:
        ctx.set_result("x", 1)
    done = script(
        """
        import os, platformdirs, molexp as me
        for name in ("XDG_CACHE_HOME", "MOLEXP_CACHE_DIR", "USER"):
            os.environ.pop(name, None)
        os.environ["HOME"] = "/nonexistent"

        def answers(workspace):
            rows = [(row.id, dict(row.results)) for row in workspace.catalog.runs()]
            return rows, workspace.run("metals/cu/one").status

        warm = me.Workspace("memory://warm")  # imports what is imported late, which nobody may be allowed to read
        with warm.Project("metals").Experiment("cu").Run(id="one").start():
            pass
        answers(warm)
        me.Workspace(os.environ["LAB"])
        os.setgid(65534)
        os.setuid(65534)
        workspace = me.Workspace.load(os.environ["LAB"])
        print(*answers(workspace))
        for write in (lambda: workspace.Project("gold"), lambda: workspace.run("metals/cu/one").start()):
            try:
                write()
            except me.StorePermissionError as error:
                print("refused:", "read_only=True" in str(error))
        """,
        LAB=f"{open_folder}/lab",
    )

    assert done.code == 0, done.err
    assert done.out == "[('one', {'x': 1})] succeeded\nrefused: True\nrefused: True\n"


def test_without_a_home_a_run_is_tracked_all_the_same(lab, script):
    done = script(
        """
        import os
        for name in ("HOME", "XDG_CACHE_HOME", "MOLEXP_CACHE_DIR", "USER", "USERNAME", "LOGNAME"):
            os.environ.pop(name, None)
        os.environ["HOME"] = "/nonexistent/home"
        import molexp as me
        workspace = me.Workspace(os.environ["LAB"])
        with workspace.Project("p").Experiment("e").Run(id="one").start() as ctx:
            ctx.set_result("x", 1)
        print([row.results for row in workspace.catalog.runs()])
        """,
        MOLEXP_CACHE_DIR="/proc/nowhere",
    )

    assert (done.code, done.out) == (0, "[{'x': 1}]\n"), done.err


def test_a_store_that_is_only_read_is_as_slow_as_it_is(tmp_path):
    for url in (str(tmp_path / "lab"), "memory://as-slow-as-it-is"):
        store = me.Workspace(url)._session.store
        reading = me.Workspace(url, read_only=True)._session.store
        assert reading.slow is store.slow is False
        assert reading.late_effects is store.late_effects is False

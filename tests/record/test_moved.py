"""A workspace that is moved, removed, replaced or unmounted under a run: who is told, and where things lie then."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import molexp as me
from tests.stores.local import linux

RUN = "projects/metals/experiments/cu/runs/one"


@pytest.fixture(
    params=["moved", "removed", "another one in its place", "an empty folder in its place", "a copy in its place"]
)
def take_away(request, tmp_path, lab) -> Callable[[], None]:
    """Take the workspace away from under whoever uses it."""

    def act() -> None:
        if request.param == "removed":
            return shutil.rmtree(lab.folder)
        lab.folder.rename(tmp_path / "moved")
        if request.param == "another one in its place":
            me.Workspace(lab.folder).Project("metals").Experiment("cu")
        elif request.param == "an empty folder in its place":
            lab.folder.mkdir()
        elif request.param == "a copy in its place":
            shutil.copytree(tmp_path / "moved", lab.folder)
        return None

    act.param = request.param  # type: ignore[attr-defined]  # for tests that tell them apart
    return act


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")} if folder.exists() else set()


def test_the_end_says_so_and_writes_nothing_in_its_place(lab, lab_run, take_away):
    with pytest.raises(me.WorkspaceMovedError) as caught, lab_run.start() as ctx:
        ctx.set_result("a", 1)
        take_away()
        before = files_below(lab.folder)
        ctx.set_result("b", 2)

    assert files_below(lab.folder) == before
    assert caught.value.removed == (take_away.param == "removed")


def test_the_next_artifact_says_so(lab, lab_run, take_away):
    if take_away.param == "a copy in its place":
        pytest.skip("what a copy swallows, the end tells of")
    with pytest.raises(me.WorkspaceMovedError) as caught, lab_run.start() as ctx:
        take_away()
        before = files_below(lab.folder)
        ctx.artifact.save("a.txt", "x")

    assert "artifacts/a.txt" in caught.value.key
    assert files_below(lab.folder) == before
    assert any("could not be ended" in note for note in caught.value.__notes__)


def test_the_first_save_after_others_says_so(lab, lab_run, take_away):
    """The folder is known to the store: it was made before."""
    if take_away.param == "a copy in its place":
        pytest.skip("what a copy swallows, the end tells of")
    with pytest.raises(me.WorkspaceMovedError), lab_run.start() as ctx:
        ctx.artifact.save("a.txt", "x")
        take_away()
        before = files_below(lab.folder)
        ctx.artifact.save("b.txt", "x")

    assert files_below(lab.folder) == before


@linux
def test_the_message_names_the_one_place_where_it_lies(lab, lab_run, tmp_path):
    with pytest.raises(me.WorkspaceMovedError) as caught, lab_run.start() as ctx:
        ctx.artifact.save("a.txt", "x")
        lab.folder.rename(tmp_path / "moved")
        ctx.set_result("b", 2)

    assert caught.value.found == str(tmp_path / "moved")
    assert str(tmp_path / "moved") in str(caught.value)
    there = me.Workspace.load(tmp_path / "moved").run(lab_run.path)
    assert there.status is me.RunStatus.RUNNING, "its owner lives, and may yet end it"
    assert there.results == {"b": 2}
    assert there.asset("a.txt").load() == "x"


def test_it_is_interrupted_once_its_process_has_ended(script, tmp_path, lab):
    done = script(
        """
        import os, molexp as me
        lab = os.environ["LAB"]
        with me.Workspace(lab).Project("metals").Experiment("cu").Run(id="one").start() as ctx:
            ctx.set_result("a", 1)
            os.rename(lab, lab + "2")
            ctx.set_result("b", 2)
        """
    )

    assert done.code == 1
    assert "WorkspaceMovedError" in done.err
    assert not lab.folder.exists()
    run = me.Workspace.load(lab.url + "2").run("metals/cu/one")
    assert run.status is me.RunStatus.INTERRUPTED
    assert run.results == {"a": 1, "b": 2}


def test_one_that_is_moved_away_and_back_is_where_it_was(lab, lab_run, tmp_path):
    with lab_run.start() as ctx:
        lab.folder.rename(tmp_path / "moved")
        ctx.set_result("a", 1)
        (tmp_path / "moved").rename(lab.folder)
        ctx.artifact.save("a.txt", "x")

    assert lab.load().run(lab_run.path).status is me.RunStatus.SUCCEEDED
    assert lab.load().fsck().findings == ()


def test_one_that_comes_back_after_the_end_was_refused_is_ended_then(lab, lab_run, tmp_path):
    with pytest.raises(me.WorkspaceMovedError), lab_run.start() as ctx:
        ctx.set_result("a", 1)
        lab.folder.rename(tmp_path / "moved")
    (tmp_path / "moved").rename(lab.folder)

    with lab_run.start():
        pass

    assert [one["status"] for one in lab.load().run(lab_run.path).execution_history] == ["succeeded", "succeeded"]


def test_no_other_run_is_made_in_its_place_while_one_goes_on(lab, lab_exp, lab_run, take_away):
    if take_away.param in ("another one in its place", "a copy in its place"):
        pytest.skip("there is a workspace")
    with pytest.raises(me.WorkspaceMovedError), lab_run.start():
        take_away()
        before = files_below(lab.folder)
        lab_exp.Run(id="two")

    assert files_below(lab.folder) == before


def test_a_folder_that_was_put_in_its_place_between_two_runs_is_not_it(lab, lab_exp, tmp_path):
    with lab_exp.Run(id="one").start():
        pass
    lab.folder.rename(tmp_path / "moved")
    lab.folder.mkdir()

    with pytest.raises(me.WorkspaceMovedError):
        lab_exp.Run(id="two")
    assert files_below(lab.folder) == set()


def test_a_backup_that_was_put_in_its_place_is_it(lab, lab_exp, tmp_path):
    with lab_exp.Run(id="one").start():
        pass
    shutil.copytree(lab.folder, tmp_path / "backup")
    shutil.rmtree(lab.folder)
    shutil.copytree(tmp_path / "backup", lab.folder)

    with lab_exp.Run(id="two").start():
        pass

    assert sorted(run.id for run in lab.load().project("metals").experiment("cu").runs) == ["one", "two"]


def test_logs_and_metrics_go_where_the_run_is(lab, lab_run, tmp_path):
    with pytest.raises(me.WorkspaceMovedError), lab_run.start() as ctx:
        ctx.log("l").append("before")
        ctx.metrics.log(loss=1.0)
        lab.folder.rename(tmp_path / "moved")
        ctx.log("l").append("after")
        ctx.metrics.log(loss=0.5)

    assert not lab.folder.exists()
    assert (tmp_path / "moved" / RUN / "logs/l.log").read_text().split("\n")[:2] == ["before", "after"]


def test_a_sync_whose_destination_vanishes_says_so(lab, lab_exp, tmp_path):
    for number in range(4):
        with lab_exp.Run(id=f"r{number}").start() as ctx:
            ctx.artifact.save("a.txt", "x" * 1000)
    mirror, elsewhere = tmp_path / "mirror", tmp_path / "elsewhere"

    def vanish(progress: object) -> None:
        if mirror.exists():
            mirror.rename(elsewhere)

    with pytest.raises(me.WorkspaceMovedError):
        me.sync_workspace(lab.url, mirror, progress=vanish)
    assert not mirror.exists()


UNMOUNTED = """
import os, subprocess, sys
import molexp as me
lab = os.environ["LAB"]
run = me.Workspace(lab + "/lab").Project("metals").Experiment("cu").Run(id="one")
try:
    with run.start() as ctx:
        ctx.set_result("a", 1)
        subprocess.run(["umount", "-l", lab], check=True)
        ctx.set_result("b", 2)
        {more}
except me.WorkspaceMovedError as error:
    print("told", error.found, os.listdir(lab))
"""


@linux
@pytest.mark.parametrize("more", ["pass", "ctx.artifact.save('a.txt', 'x')"])
def test_one_that_is_unmounted_is_not_written_below_its_mount_point(lab, tmp_path, more):
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    lab.folder.mkdir()
    inner = f'mount --make-rprivate / && mount -t tmpfs none "{lab.folder}" && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", inner, "sh", sys.executable, "-c", UNMOUNTED.format(more=more)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LAB": lab.url},
        timeout=300,
    )
    if "unshare:" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"mounting is refused here: {done.stderr.strip()}")

    assert done.stdout.split() == ["told", "[]"], done.stderr

"""Large files that a program writes become assets without being copied."""

from __future__ import annotations

import os
import sys
from hashlib import sha256

import numpy as np
import pytest

import molexp as me

LARGE = bytes(range(256)) * (8 << 10)
needs_leases = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who has a file open")


def is_recorded(asset, data):
    return asset.read_bytes() == data and asset.content_hash == f"sha256:{sha256(data).hexdigest()}"


def test_every_storage_takes_a_large_file(run):
    with run.start() as ctx:
        with ctx.artifact.writing("md.traj") as path:
            path.write_bytes(LARGE)
        with ctx.artifact.writing("md.traj") as path:
            path.write_bytes(LARGE[::-1])
    assert is_recorded(run.asset("md.traj"), LARGE[::-1])
    assert run.asset("md.traj").version == 2
    assert not path.parent.exists()


@needs_leases
def test_on_files_nothing_is_copied(lab, lab_run, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    monkeypatch.setattr(type(lab.store), "open_write", None)
    with lab_run.start() as ctx:
        for data in (LARGE, LARGE[::-1]):
            with ctx.artifact.writing("md.traj") as path:
                path.write_bytes(data)
                inode = path.stat().st_ino
            assert ctx.run.asset("md.traj").path.stat().st_ino == inode
            assert is_recorded(ctx.run.asset("md.traj"), data)
        assert [name for name in os.listdir(path.parent.parent) if name.startswith(".")] == []


@needs_leases
def test_what_is_still_mapped_is_copied_so_that_the_record_stays_true(lab_run):
    with lab_run.start() as ctx:
        with ctx.artifact.writing("array.bin") as path:
            array = np.memmap(path, dtype="u1", mode="w+", shape=len(LARGE))
            array[:] = np.frombuffer(LARGE, dtype="u1")
            array.flush()
        array[:] = 0
        array.flush()
    assert is_recorded(lab_run.asset("array.bin"), LARGE)


def test_a_link_is_followed_and_copied(lab_run, tmp_path):
    (tmp_path / "mine").write_bytes(LARGE)
    with lab_run.start() as ctx, ctx.artifact.writing("md.traj") as path:
        path.symlink_to(tmp_path / "mine")
    (tmp_path / "mine").write_bytes(b"")
    assert is_recorded(lab_run.asset("md.traj"), LARGE)


def test_after_an_error_nothing_is_left_and_the_name_is_free(lab, lab_run):
    with lab_run.start() as ctx:
        with pytest.raises(ZeroDivisionError), ctx.artifact.writing("md.traj") as path:
            path.write_bytes(LARGE)
            1 / 0  # noqa: B018
        with pytest.raises(TypeError), ctx.checkpoint.writing("md.traj", step="three") as path:
            path.write_bytes(LARGE)
        assert not list(lab.folder.rglob(".tmp-*"))
        with ctx.artifact.writing("md.traj") as path:
            path.write_bytes(LARGE)
    assert is_recorded(lab_run.asset("md.traj"), LARGE)


def test_the_second_of_two_writers_of_a_name_gets_another_key(lab, lab_run):
    """As ranks of a launch, or tries of a task, write the same name at the same time."""
    with lab_run.start() as ctx, ctx.artifact.writing("md.traj") as path:
        path.write_bytes(LARGE)
    key = lab_run.asset("md.traj").key
    staged = lab.store.stage(key)
    staged.path.write_bytes(LARGE)
    with pytest.raises(me.KeyExistsError):
        staged.publish(key, exclusive=True)
    staged.publish(f"{key}.2", exclusive=True)
    staged.drop()
    assert lab.store.read(f"{key}.2") == LARGE


def test_a_process_that_is_killed_while_it_writes_leaves_what_gc_removes(lab, script):
    done = script(
        """
        import os, signal, molexp as me
        exp = me.Workspace(os.environ["LAB"]).Project("metals").Experiment("cu")
        with exp.Run(id="one").start() as ctx, ctx.artifact.writing("md.traj") as path:
            path.write_bytes(bytes(1 << 21))
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    assert done.code == -9
    left = sorted(lab.folder.rglob(".tmp-*"))
    assert len(left) == (sys.platform == "linux")
    ws = lab.load()
    run = ws.run("metals/cu/one")
    assert (run.status, run.assets) == ("interrupted", [])
    assert ws.fsck().ok
    ws.gc(dry_run=False)
    assert [path for path in left if path.exists()] == left, "a program may be at it"
    for old in [one for path in left for one in (path, *path.iterdir())]:
        os.utime(old, (0, 0))
    ws.gc(dry_run=False)
    assert not [path for path in left if path.exists()]
    with run.start() as ctx, ctx.artifact.writing("md.traj") as path:
        path.write_bytes(LARGE)
    assert is_recorded(run.asset("md.traj"), LARGE)

"""Files that programs write beside those of a store become keys as they are, unless somebody may still change them."""

from __future__ import annotations

import fcntl
import mmap
import os
import stat
import subprocess
import sys
import time

import pytest

from molexp_fs import LocalStore

pytestmark = pytest.mark.skipif(not hasattr(fcntl, "F_SETLEASE"), reason="only Linux tells who has a file open")


@pytest.fixture
def store(tmp_path):
    return LocalStore.open(str(tmp_path / "lab"), {})


@pytest.fixture
def staged(store):
    found = store.stage("runs/md.traj")
    yield found
    found.drop()


def test_the_file_itself_becomes_the_key(store, staged):
    staged.path.write_bytes(b"frames")
    inode = staged.path.stat().st_ino
    assert staged.path.name == "md.traj"
    assert staged.take()
    staged.publish("runs/other.traj", exclusive=True)
    staged.drop()
    assert store.local_path("runs/other.traj").stat().st_ino == inode
    assert os.listdir(store.local_path("runs")) == ["other.traj"]


def test_it_gets_the_mode_of_any_new_file(store, staged):
    staged.path.write_bytes(b"frames")
    staged.path.chmod(0o700)
    assert staged.take()
    staged.publish("a", exclusive=True)
    store.create("b", b"")
    modes = {stat.S_IMODE(store.local_path(key).stat().st_mode) for key in "ab"}
    assert len(modes) == 1


def test_a_file_that_is_open_for_writing_is_not_taken(staged):
    with staged.path.open("wb") as file:
        file.write(b"frames")
        file.flush()
        assert not staged.take()
    assert staged.take()


def test_a_file_that_is_mapped_into_memory_is_not_taken(staged):
    staged.path.write_bytes(bytes(4096))
    with staged.path.open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), 0)
    assert not staged.take()
    mapped.close()
    assert staged.take()


def test_a_file_that_another_process_writes_to_is_not_taken(staged):
    staged.path.write_bytes(b"frames")
    code = f"file = open({str(staged.path)!r}, 'ab'); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert not staged.take()
        other.communicate(b"\n")
    assert staged.take()


def test_a_file_of_two_names_is_not_taken(staged, tmp_path):
    (tmp_path / "mine").write_bytes(b"frames")
    os.link(tmp_path / "mine", staged.path)
    assert not staged.take()
    staged.path.unlink()
    staged.path.symlink_to(tmp_path / "mine")
    assert not staged.take()


def test_what_a_killed_process_leaves_is_found_and_removed(store):
    staged = store.stage("runs/md.traj")
    staged.path.write_bytes(b"frames")
    store.prune()
    assert staged.path.exists()
    assert [*store.list()] == []
    folder = f"runs/{staged.path.parent.name}"
    assert [*store.leftovers(older_than=60)] == []
    for path in (staged.path, staged.path.parent):
        os.utime(path, (time.time() - 3600,) * 2)
    assert sorted(store.leftovers(older_than=60)) == [folder, f"{folder}/md.traj"]
    assert store.remove_leftovers(older_than=-60) == 2
    assert os.listdir(store.local_path("runs")) == []


def test_an_old_folder_with_a_new_file_stays(store):
    staged = store.stage("runs/md.traj")
    staged.path.write_bytes(b"frames")
    os.utime(staged.path.parent, (time.time() - 3600,) * 2)
    assert store.remove_leftovers(older_than=60) == 0
    assert staged.path.read_bytes() == b"frames"

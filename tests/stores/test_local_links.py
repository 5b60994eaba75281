"""Links, pipes and what else may lie in a folder: nothing outside is touched, and nothing is waited for."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from molexp.errors import KeyExistsError, KeyNotFoundError, SpecialFileError
from molexp_fs import LocalStore
from tests.stores.local import linux, names

by_descriptor = pytest.mark.skipif(os.unlink not in os.supports_dir_fd, reason="no descriptors of folders here")


@pytest.fixture
def root(lab: LocalStore) -> Path:
    lab.write("a/b/x", b"1")
    return Path(str(lab.locate("a"))).parent


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Make what a stranger's link leads to."""
    folder = tmp_path / "outside"
    (folder / "deep").mkdir(parents=True)
    (folder / "x").write_bytes(b"mine")
    (folder / "deep" / "y").write_bytes(b"mine too")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --------------------------------------------------------------------------------------------------------------- links


def test_a_link_is_listed_as_itself_wherever_it_leads(lab, root, outside):
    for name, target in {
        "nowhere": "missing",
        "self": "self",
        "up": root,
        "out": outside,
        "file": outside / "x",
    }.items():
        (root / "a" / name).symlink_to(target)
    listed = {stat.key: (stat.special, stat.size) for stat in lab.list()}
    link = ("symbolic link", 0)
    assert listed == {"a/b/x": ("", 1), **{f"a/{name}": link for name in ("nowhere", "self", "up", "out", "file")}}
    assert lab.children("a").folders == ("b",)
    for key in listed.keys() - {"a/b/x"}:
        assert lab.exists(key)
        with pytest.raises(SpecialFileError, match="is a symbolic link"):
            lab.read(key)
        with pytest.raises(KeyExistsError):
            lab.create(key, b"")


@pytest.mark.parametrize("depth", ["a", "a/b", "a/b/c"])
def test_no_operation_passes_a_link(lab, root, outside, depth):
    before = contents(outside)
    link = root / depth
    if link.exists():
        shutil.rmtree(link)
    link.symlink_to(outside)
    store = LocalStore.open(str(root), {})  # which has not looked at any folder
    key = f"{depth}/deep/y"
    assert not store.exists(key)
    for operation in (store.read, store.stat, store.open_read, store.local_path, lambda key: store.append(key, b"z\n")):
        with pytest.raises(KeyNotFoundError):
            operation(key)
    with pytest.raises(KeyNotFoundError):
        store.rename(key, "stolen")

    def stream(key: str) -> None:
        with store.open_write(key) as sink:
            sink.write(b"theirs")

    for change in (
        lambda key: store.write(key, b"theirs"),
        lambda key: store.create(f"{key}2", b"theirs"),
        lambda key: store.create(f"{depth}/new/folder/x", b"theirs"),
        store.open_append,
        lambda key: store.open_append(f"{depth}/deep/new", exclusive=True, first=b"theirs"),
        lambda key: store.link_from(outside / "x", f"{key}2"),
        lambda key: store.symlink_from(outside / "x", f"{key}2"),
        stream,
    ):
        with pytest.raises(SpecialFileError, match=f"'{depth}' is a symbolic link, and a folder is needed"):
            change(key)
    store.delete(key)
    store.prune(depth)
    store.prune(f"{depth}/deep")
    store.sync([key])
    (outside / ".tmp-0").write_bytes(b"")
    assert store.remove_leftovers(-1) == 0
    (outside / ".tmp-0").unlink()
    assert [*store.list(depth), *store.list(f"{depth}/deep"), *store.children(f"{depth}/deep").entries] == []
    assert contents(outside) == before
    assert sorted(path.name for path in outside.iterdir()) == ["deep", "x"]


def test_what_is_written_or_renamed_is_the_link_and_not_its_target(lab, outside):
    for key in ("a", "b", "c"):
        lab.symlink_from(outside / "x", key)
    lab.write("a", b"theirs")
    with lab.open_write("b") as sink:
        sink.write(b"theirs")
    lab.rename("c", "d")
    assert lab.read("a") == lab.read("b") == b"theirs"
    assert (lab.stat("d").special, lab.exists("c")) == ("symbolic link", False)
    assert (outside / "x").read_bytes() == b"mine"


def test_the_store_itself_may_be_reached_by_links(tmp_path, root):
    (tmp_path / "link").symlink_to(root)
    assert LocalStore.open(str(tmp_path / "link"), {}).read("a/b/x") == b"1"


@by_descriptor
def test_a_folder_that_became_a_link_is_not_removed_from(lab, root, outside, monkeypatch):
    """It takes the place of a folder that was looked at: between the look and the removal."""
    lab.write("a/deep/y", b"ours")
    lab.write("a/deep/empty/z", b"ours")
    (outside / "deep" / "empty").mkdir()
    shutil.rmtree(root / "a")
    (root / "a").symlink_to(outside)
    lab.delete("a/deep/y")
    assert (outside / "deep" / "y").read_bytes() == b"mine too"
    lab.prune("a/deep")
    assert (outside / "deep" / "empty").is_dir()


@by_descriptor
def test_a_rename_removes_nothing_elsewhere_if_a_link_comes_in_between(lab, root, outside, monkeypatch):
    real = os.link

    def swapped(*args, **options):
        real(*args, **options)
        (root / "a" / "b").rename(root / "was")
        (root / "a" / "b").symlink_to(outside)

    monkeypatch.setattr(os, "link", swapped)
    with pytest.raises(Exception, match="x"):
        lab.rename("a/b/x", "new")
    assert (outside / "x").read_bytes() == b"mine"


# ------------------------------------------------------------------------------------------------------------- through


def test_links_behind_a_link_are_followed_and_those_that_lead_back_are_not(lab, outside, tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"e")
    (outside / "link").symlink_to(tmp_path / "elsewhere")
    (outside / "deep" / "back").symlink_to(outside)
    (outside / "folder").symlink_to(outside / "deep")
    lab.symlink_from(outside, "data/1")
    view = lab.through("data/1")
    found = {stat.key: stat.size for stat in view.list("data/1") if not stat.special}
    assert found == {"data/1/x": 4, "data/1/deep/y": 8, "data/1/folder/y": 8, "data/1/link": 1}
    assert [view.read(key) for key in sorted(found)] == [b"mine too", b"mine too", b"e", b"mine"]
    assert Path(view.local_path("data/1")) == Path(lab.locate("data/1"))


def test_a_link_within_the_store_moves_with_it(lab, tmp_path, outside):
    lab.write("a/b/x", b"1")
    lab.symlink_from(lab.local_path("a/b/x"), "c/d/link")
    lab.symlink_from(lab.local_path("a"), "c/d/folder")
    (tmp_path / "lab").rename(tmp_path / "moved")
    moved = LocalStore.open(str(tmp_path / "moved"), {})
    assert moved.through("c/d/link", outside=False).read("c/d/link") == b"1"
    inner = moved.through("c/d/folder", outside=False)
    assert inner.read("c/d/folder/b/x") == b"1"
    (tmp_path / "moved" / "a" / "out").symlink_to(outside)
    (tmp_path / "moved" / "a" / "file").symlink_to(outside / "x")
    assert [stat.key for stat in inner.list("c/d/folder") if not stat.special] == ["c/d/folder/b/x"]
    for key in ("c/d/folder/out/x", "c/d/folder/file"):
        with pytest.raises(SpecialFileError):
            inner.read(key)


def test_nothing_is_written_through(lab, outside):
    lab.symlink_from(outside, "data/1")
    view = lab.through("data/1")
    with pytest.raises(SpecialFileError):
        view.write("data/1/x", b"theirs")
    view.delete("data/1/x")
    assert (outside / "x").read_bytes() == b"mine"


# -------------------------------------------------------------------------------------------------- pipes and the like


@linux
def test_a_pipe_is_named_and_not_waited_for(lab, root):
    os.mkfifo(root / "a" / "pipe")
    assert [(stat.key, stat.special) for stat in lab.list("a") if stat.special] == [("a/pipe", "pipe")]
    for operation in (lab.read, lab.open_read, lab.open_append, lambda key: lab.append(key, b"x\n")):
        with pytest.raises(SpecialFileError, match="is a pipe"):
            operation("a/pipe")
    reader = os.open(root / "a" / "pipe", os.O_RDONLY | os.O_NONBLOCK)  # with whom an append could begin
    with pytest.raises(SpecialFileError, match="is a pipe"):
        lab.append("a/pipe", b"x\n")
    os.close(reader)
    lab.sync(["a/pipe"])
    lab.delete("a/pipe")
    assert names(lab) == {"a/b/x"}


@linux
def test_sockets_and_devices_are_named(lab, root, tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(root / "a" / "socket"))
    with pytest.raises(SpecialFileError, match="is a socket"):
        lab.read("a/socket")
    lab.symlink_from(Path("/dev/zero"), "zero")
    with pytest.raises(SpecialFileError, match="is a symbolic link"):
        lab.read("zero")
    for operation in (lambda: lab.through("zero").read("zero"), lambda: lab.through("zero").open_read("zero")):
        with pytest.raises(SpecialFileError, match="is a device"):
            operation()


@linux
def test_a_bind_mount_that_leads_back_is_not_entered(lab, root, monkeypatch):
    """Without a mount: the entry of the inner folder says that it is the outer one."""
    lab.write("a/b/c/y", b"2")
    real = os.scandir

    class Mounted:
        def __init__(self, entry: os.DirEntry[str]) -> None:
            self.name, self.path, self.is_file, self._entry = entry.name, entry.path, entry.is_file, entry

        def stat(self, **options: Any) -> os.stat_result:
            return os.stat(root / "a") if self.path == str(root / "a/b/c") else self._entry.stat(**options)

    @contextmanager
    def scandir(path: str) -> Iterator[Iterator[Mounted]]:
        with real(path) as entries:
            yield map(Mounted, entries)

    monkeypatch.setattr(os, "scandir", scandir)
    assert {stat.key: stat.special for stat in lab.list()} == {
        "a/b/x": "",
        "a/b/c": "folder that leads back to one above it",
    }


def test_folders_are_looked_at_by_many_threads(lab):
    keys = [f"{one}/{two}/{three}" for one in "abcd" for two in "abcd" for three in "ab"]
    threads = [threading.Thread(target=lambda: [lab.write(key, b"1") for key in keys]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {stat.key for stat in lab.list()} == set(keys)

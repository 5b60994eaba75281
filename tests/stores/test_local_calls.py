"""`LocalStore` asks this of the operating system, and makes this of the answers."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from textwrap import dedent

import pytest

from molexp.contracts import Capability, Store
from molexp.errors import (
    KeyExistsError,
    KeyMovedError,
    StorePermissionError,
    UnsupportedOperationError,
)
from molexp.testing import declared_override
from molexp_fs import LocalStore
from tests import warm
from tests.stores.local import NOBODY, linux, names
from tests.stores.test_local import LocalStoreTests

# ----------------------------------------------------------------------------------------------- ways to create exactly


class _Calls:
    """Counts calls of the operating system, and lets some fail."""

    def __init__(self, monkeypatch):
        self.counts: Counter[str] = Counter()
        self.monkeypatch = monkeypatch

    def watch(self, *functions: str) -> None:
        for name in functions:
            self.replace(name, getattr(os, name))

    def replace(self, name: str, function) -> None:
        def counted(*args, **kwargs):
            self.counts[name] += 1
            return function(*args, **kwargs)

        self.monkeypatch.setattr(os, name, counted)


@pytest.fixture
def calls(monkeypatch) -> _Calls:
    return _Calls(monkeypatch)


def _no_nameless_files(calls: _Calls) -> None:
    real = os.open

    def refuse(path, flags, *args, **kwargs):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), path)
        return real(path, flags, *args, **kwargs)

    calls.replace("open", refuse)


def _no_links(calls: _Calls, code: int = errno.EPERM) -> None:
    def refuse(source, target, **kwargs):
        raise OSError(code, os.strerror(code), source, None, target)

    calls.replace("link", refuse)


@linux
def test_a_creation_in_a_folder_that_is_there_takes_four_calls(lab, calls):
    lab.create("a/b", b"1")
    calls.watch("open", "write", "link", "close", "mkdir", "stat", "lstat", "unlink", "replace", "fsync", "makedirs")
    lab.create("a/c", b"1")
    assert calls.counts == {"open": 1, "write": 1, "link": 1, "close": 1}


@linux
def test_other_changes_take_few_calls(lab, calls):
    lab.create("a/b", b"1")
    calls.watch("open", "write", "link", "close", "mkdir", "stat", "lstat", "fstat", "unlink", "replace", "fsync")
    lab.append("a/b", b"2")
    assert calls.counts == {"open": 1, "write": 1, "fstat": 1, "close": 1, "lstat": 1}
    calls.counts.clear()
    lab.write("a/b", b"3")
    assert calls.counts == {"open": 1, "write": 1, "close": 1, "replace": 1}
    calls.counts.clear()
    appender = lab.open_append("a/b")
    appender.write(b"4")
    appender.write(b"5")
    assert calls.counts == {"open": 1, "fstat": 1, "write": 2}
    appender.close()
    calls.counts.clear()
    lab.create("new/folder/x", b"")
    assert calls.counts["mkdir"] == 3  # the first tells that the folder above is missing too
    assert calls.counts["lstat"] == 1  # that no link is on the way is looked for once
    lab.create("new/folder/y", b"")
    assert calls.counts["lstat"] == 1


@linux
@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EIO], ids=errno.errorcode.get)
def test_however_a_file_system_says_that_it_has_no_links(lab, calls, tmp_path, code):
    _no_nameless_files(calls)
    _no_links(calls, code)
    lab.create("a/b", b"1")
    with pytest.raises(KeyExistsError):
        lab.create("a/b", b"2")
    assert lab.read("a/b") == b"1"
    (tmp_path / "outside").write_bytes(b"3")
    with pytest.raises(UnsupportedOperationError):
        lab.link_from(tmp_path / "outside", "a/c")


@linux
def test_without_nameless_files_a_temporary_one_is_linked(lab, calls):
    _no_nameless_files(calls)
    lab.create("a/b", b"1")
    calls.counts.clear()
    lab.create("a/c", b"2")
    assert calls.counts["open"] == 1, "the store remembers what its file system cannot do"
    with pytest.raises(KeyExistsError):
        lab.create("a/c", b"3")
    assert names(lab) == {"a/b", "a/c"}
    assert lab.read("a/c") == b"2"


@linux
def test_without_proc_a_temporary_file_is_linked(lab, monkeypatch):
    real = os.link

    def refuse(source, target, **kwargs):
        if str(source).startswith("/proc/"):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source, None, target)
        real(source, target, **kwargs)

    monkeypatch.setattr(os, "link", refuse)
    lab.create("a/b", b"1")
    assert lab.read("a/b") == b"1"
    assert names(lab) == {"a/b"}


@linux
def test_a_link_whose_answer_was_lost_has_succeeded(lab, calls):
    """An NFS server may carry out a request, and answer "exists" to its repetition."""
    _no_nameless_files(calls)
    real = os.link

    def replayed(source, target, **kwargs):
        real(source, target, **kwargs)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), source, None, target)

    calls.replace("link", replayed)
    lab.create("a/b", b"mine")
    assert lab.read("a/b") == b"mine"
    lab.rename("a/b", "a/c")
    assert names(lab) == {"a/c"}


@linux
class TestLocalStoreWithoutNamelessFiles(LocalStoreTests):
    """As on NFS."""

    shared_by_processes = False  # other processes have nameless files, which would test nothing new

    @pytest.fixture(autouse=True)
    def _like_nfs(self, calls) -> None:
        _no_nameless_files(calls)


@linux
class TestLocalStoreWithoutLinks(LocalStoreTests):
    """As on FAT, where a claim is an empty file for a moment."""

    shared_by_processes = False

    @pytest.fixture
    def store(self, tmp_path, calls) -> Store:
        store = LocalStore.open(str(tmp_path / "lab"), {})
        _no_nameless_files(calls)
        _no_links(calls)
        return store

    @declared_override("whoever loses may find the winner's claim empty")
    def test_one_of_many_threads_creates(self, store: Store) -> None:
        barrier = threading.Barrier(4)
        won: list[int] = []

        def create(who: int) -> None:
            for number in range(25):
                barrier.wait()
                try:
                    store.create(f"race/{number}", b"%d" % who)
                    won.append(number)
                except KeyExistsError:
                    assert store.read(f"race/{number}") in (b"", b"0", b"1", b"2", b"3")

        threads = [threading.Thread(target=create, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(won) == list(range(25))

    @declared_override("the same")
    def test_one_of_many_exclusive_streams_wins(self, store: Store) -> None: ...

    @declared_override("a claim is seen empty before it is whole")
    def test_a_created_key_is_whole_when_it_is_first_seen(self, store: Store) -> None: ...

    @pytest.mark.parametrize("capability", ["append", "symlink", "local_path"])
    @declared_override("links are declared: that there are none shows when the first is wanted")
    def test_what_is_not_declared_is_refused_and_what_is_works(
        self, store: Store, tmp_path: Path, capability: Capability
    ) -> None:
        super().test_what_is_not_declared_is_refused_and_what_is_works(store, tmp_path, capability)

    @declared_override("the same")
    def test_link_from_shares_the_file(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "local").write_bytes(b"payload")
        with pytest.raises(UnsupportedOperationError) as caught:
            store.link_from(tmp_path / "local", "data/x")
        assert caught.value.capability == "link"
        assert self.raw_keys(store) == set()


# -------------------------------------------------------------------------------------------- what the system answers


def test_an_append_to_a_file_that_is_renamed_meanwhile_says_so(lab, monkeypatch):
    lab.create("a", b"1\n")
    real = os.write

    def write_and_rename(fd, data):
        written = real(fd, data)
        monkeypatch.setattr(os, "write", real)
        lab.rename("a", "b")
        return written

    monkeypatch.setattr(os, "write", write_and_rename)
    with pytest.raises(KeyMovedError):
        lab.append("a", b"2\n")
    assert lab.read("b") == b"1\n2\n"


def test_an_append_to_a_file_that_is_replaced_meanwhile_says_so(lab, monkeypatch):
    lab.create("a", b"1\n")
    real = os.write

    def write_and_replace(fd, data):
        written = real(fd, data)
        monkeypatch.setattr(os, "write", real)
        lab.write("a", b"new\n")
        return written

    monkeypatch.setattr(os, "write", write_and_replace)
    with pytest.raises(KeyMovedError):
        lab.append("a", b"2\n")
    assert lab.read("a") == b"new\n"


def test_short_writes_are_completed(lab, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data[:3])))
    lab.create("a", b"0123456789")
    lab.write("b", b"0123456789")
    lab.append("b", b"abcdefgh")
    appender = lab.open_append("b")
    appender.write(b"ABCDEFGH")
    appender.close()
    assert lab.read("a") == b"0123456789"
    assert lab.read("b") == b"0123456789abcdefghABCDEFGH"


def test_a_short_read_is_completed_and_a_stale_handle_tried_again(lab, monkeypatch):
    lab.write("a", b"0123456789")
    real, stale = os.read, [OSError(errno.ESTALE, os.strerror(errno.ESTALE))]

    def read(fd, count):
        if stale:
            raise stale.pop()
        return real(fd, min(count, 3))

    monkeypatch.setattr(os, "read", read)
    assert lab.read("a") == b"0123456789"
    assert lab.read("a", 2, 7) == b"2345678"


@pytest.mark.parametrize("durability", ["never", "end", "always"])
@linux
def test_durability_decides_what_is_flushed(tmp_path, monkeypatch, durability):
    flushed: list[str] = []
    real = os.fsync

    def fsync(fd):
        flushed.append(os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), tmp_path))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    store = LocalStore.open(str(tmp_path / "lab"), {"durability": durability})
    store.create("a/b/x", b"1")
    store.write("a/y", b"1")
    if durability == "always":
        assert {"lab/a/b", "lab/a", "lab", "."} <= set(flushed)
        for change in (lambda: store.append("a/y", b"2"), lambda: store.open_append("a/y").write(b"3")):
            flushed.clear()
            change()
            assert "lab/a/y" in flushed
    else:
        assert flushed == []
    flushed.clear()
    store.sync(["a/b/x", "a/y", "a/deleted", "gone/altogether"])
    expected = ["lab/a/b/x", "lab/a/y", "lab/a/b", "lab/a", "lab", "."]
    assert sorted(flushed) == (sorted(expected) if durability == "end" else [])


@linux
def test_a_folder_above_the_store_that_cannot_be_opened_is_not_flushed(tmp_path, monkeypatch):
    refused: list[str] = []
    real = os.open

    def refuse(path, *args, **kwargs):
        if path == str(tmp_path):
            refused.append(path)
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path, *args, **kwargs)

    store = LocalStore.open(str(tmp_path / "lab"), {})
    store.create("a/x", b"1")
    monkeypatch.setattr(os, "open", refuse)
    store.sync(["a/x"])
    assert refused


@linux
def test_a_folder_of_the_store_that_cannot_be_opened_is_an_error_until_it_can(tmp_path, monkeypatch):
    real = os.open

    def refuse(path, *args, **kwargs):
        if path == str(tmp_path / "lab" / "a"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path, *args, **kwargs)

    store = LocalStore.open(str(tmp_path / "lab"), {})
    store.create("a/x", b"1")
    monkeypatch.setattr(os, "open", refuse)
    for _ in range(2):
        with pytest.raises(StorePermissionError) as caught:
            store.sync(["a/x"])
        assert caught.value.key == "a"


@pytest.fixture
def reachable(tmp_path):
    """Let nobody get as far as the temporary folder, which is its owner's alone."""
    if os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    closed = {folder: folder.stat().st_mode for folder in (tmp_path, *tmp_path.parents)}
    closed = {folder: mode for folder, mode in closed.items() if mode & 0o011 != 0o011}
    for folder, mode in closed.items():
        folder.chmod(mode | 0o011)
    yield
    for folder, mode in closed.items():
        folder.chmod(mode)


@linux
def test_permission_denied(lab, reachable):
    for key in ("a/x", "a/b/y"):
        lab.write(key, b"1")
    root = Path(lab.locate("x")).parent
    (root / "a" / "x").chmod(0o600)
    (root / "a" / "b").chmod(0o700)
    for folder in (root, root / "a"):
        folder.chmod(0o755)
    os.seteuid(NOBODY)
    try:
        for operation in (
            lambda: lab.read("a/x"),
            lambda: lab.open_read("a/x"),
            lambda: lab.create("a/new", b""),
            lambda: lab.create("new/folder/x", b""),
            lambda: lab.write("a/x", b"2"),
            lambda: lab.append("a/x", b"2"),
            lambda: lab.open_append("a/x"),
            lambda: lab.delete("a/x"),
            lambda: lab.rename("a/x", "a/z"),
            lambda: lab.stat("a/b/y"),
            lambda: lab.children("a/b"),
            lambda: list(lab.list()),
        ):
            with pytest.raises(StorePermissionError) as caught:
                operation()
            assert isinstance(caught.value.__cause__, OSError)
        with pytest.raises(StorePermissionError), lab.open_write("a/new") as sink:
            sink.write(b"1")
        assert lab.stat("a/x").size == 1
    finally:
        os.seteuid(0)
    assert names(lab) == {"a/x", "a/b/y"}


@linux
def test_a_large_stream_begins_to_be_flushed_while_it_is_written_unless_nothing_is(tmp_path):
    code = """
    import ctypes, sys
    from molexp_fs import LocalStore

    class Library:
        def __init__(self, name, **options): ...
        class Function:
            def __call__(self, fd, start, size, flags):
                told.append((start >> 20, size >> 20, flags))
                return 0
        sync_file_range = Function()

    ctypes.CDLL = Library
    for durability in ("never", "end", "always"):
        told = []
        with LocalStore.open(sys.argv[1], {"durability": durability}).open_write(durability) as sink:
            for _ in range(40):
                sink.write(bytes(1 << 20))
        print(durability, told)
    """
    done = warm.run([sys.executable, "-c", dedent(code), str(tmp_path)], stdout=subprocess.PIPE, text=True, check=True)
    begun = "[(0, 16, 2), (16, 16, 2)]"
    assert done.stdout.splitlines() == ["never []", f"end {begun}", f"always {begun}"]

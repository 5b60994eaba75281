"""Where file systems differ from each other and from what one hopes: links, limits, refusals, deaths."""

from __future__ import annotations

import errno
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from molexp.contracts import Listing, Store
from molexp.errors import (
    InvalidKeyError,
    KeyExistsError,
    KeyMovedError,
    KeyNotFoundError,
    ReadOnlyError,
    StorageFullError,
    StoreError,
    StorePermissionError,
    UnsupportedOperationError,
)
from molexp.testing import declared_override
from molexp_fs import LocalStore
from tests.stores.test_local import LocalStoreTests

NOBODY = 65534
linux = pytest.mark.skipif(sys.platform != "linux", reason="about Linux")


@pytest.fixture
def lab(tmp_path) -> LocalStore:
    return LocalStore.open(str(tmp_path / "lab"), {})


def names(lab: LocalStore) -> set[str]:
    root = Path(lab.locate("x")).parent
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


# ------------------------------------------------------------------------------------------------------------ locations


def test_all_spellings_of_a_folder_are_one_place(tmp_path, monkeypatch):
    folder = tmp_path / "real" / "α b#c%d?e"
    folder.mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    url = LocalStore.open(str(folder), {}).url
    escaped = url.removeprefix("file://")
    assert url.isascii()
    for spelling in (
        f"{folder}/",
        "real/α b#c%d?e",
        "./link/α b#c%d?e",
        "~/link/../real/α b#c%d?e",
        str(tmp_path / "link" / "α b#c%d?e"),
        url,
        url + "/",
        "FILE://localhost" + escaped,
        "file:" + escaped,
    ):
        assert LocalStore.open(spelling, {}).url == url, spelling
    LocalStore.open(url, {}).write("x", b"1")
    assert (folder / "x").read_bytes() == b"1"


def test_a_relative_folder_stays_where_it_was(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = LocalStore.open("lab", {})
    monkeypatch.chdir("elsewhere")
    store.write("x", b"1")
    assert (tmp_path / "lab" / "x").exists()


def test_opening_makes_nothing(tmp_path):
    store = LocalStore.open(str(tmp_path / "a" / "b"), {})
    assert list(store.list()) == []
    assert store.children() == Listing((), ())
    assert not store.exists("x")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "empty"),
        ("s3://bucket/lab", "scheme is 's3'"),
        ("file://host/lab", "names the host 'host'"),
        ("file:lab", "not absolute"),
        ("file:///lab?durability=always", "query or a fragment"),
        ("file:///lab#x", "query or a fragment"),
        ("a\0b", "null"),
        ("file:///a%00b", "null"),
    ],
)
def test_what_is_no_local_folder_is_refused(url, why):
    with pytest.raises(ValueError, match=why):
        LocalStore.open(url, {})


def test_options_are_checked(tmp_path):
    with pytest.raises(TypeError, match=r"'fsync'.*knows 'durability'"):
        LocalStore.open(str(tmp_path), {"fsync": True})
    with pytest.raises(ValueError, match=r"'sometimes'.*'never', 'end' or 'always'"):
        LocalStore.open(str(tmp_path), {"durability": "sometimes"})


def test_a_copy_keeps_its_durability(tmp_path):
    store = LocalStore.open(str(tmp_path), {"durability": "always"})
    assert pickle.loads(pickle.dumps(store)).durability == "always"


def test_a_deep_path_is_refused_as_a_key(tmp_path):
    folder = tmp_path / "/".join(["d" * 200] * 17)
    folder.mkdir(parents=True)
    store = LocalStore.open(str(folder), {})
    store.write("x" * 200, b"1")
    too_long = "/".join(["k" * 200] * 5)
    for operation in (lambda: store.create(too_long, b""), lambda: store.read(too_long), lambda: store.stat(too_long)):
        with pytest.raises(InvalidKeyError, match="path this long"):
            operation()
    assert [stat.key for stat in store.list()] == ["x" * 200]


# ----------------------------------------------------------------------------------------------- links and foreign files


def test_temporary_names_are_no_keys(lab):
    for key in (".tmp-x", "a/.tmp-x", ".tmp-/a"):
        for operation in (lab.read, lab.delete, lab.stat, lab.list, lab.children, lab.locate):
            with pytest.raises(InvalidKeyError, match="temporary"):
                operation(key)
        with pytest.raises(InvalidKeyError, match="temporary"):
            lab.write(key, b"")
    lab.write("a.tmp-x", b"1")
    lab.local_path(".tmp").with_name(".tmp-123").write_bytes(b"half")
    assert [stat.key for stat in lab.list()] == ["a.tmp-x"]
    assert [stat.key for stat in lab.children().entries] == ["a.tmp-x"]


@linux
def test_foreign_files_are_not_listed(lab):
    lab.write("a/x", b"1")
    folder = os.fsencode(lab.locate("a"))
    for name in (b"\xff", b"back\\slash", b"line\nbreak"):
        Path(os.fsdecode(folder + b"/" + name)).write_bytes(b"")
    os.mkfifo(folder + b"/fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(lab.locate("a/socket")))
    assert [stat.key for stat in lab.list()] == ["a/x"]
    assert [stat.key for stat in lab.children("a").entries] == ["a/x"]
    assert not lab.exists("a/fifo")


def test_a_linked_folder_is_listed_unless_it_leads_back(lab, tmp_path):
    lab.write("a/b/x", b"1")
    root = lab.local_path("a").parent
    (root / "a" / "b" / "up").symlink_to(root / "a")
    (root / "a" / "self").symlink_to(".")
    (root / "a" / "nowhere").symlink_to("missing")
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "y").write_bytes(b"22")
    (outside / "deep" / "back").symlink_to(outside)
    lab.symlink_from(outside, "data/1")
    lab.symlink_from(outside / "deep" / "y", "data/2")
    assert {stat.key: stat.size for stat in lab.list()} == {"a/b/x": 1, "data/1/deep/y": 2, "data/2": 2}
    assert lab.children("a").folders == ("b",)
    assert lab.children("data").folders == ("1",)
    assert not lab.exists("a/nowhere")
    lab.delete("data/1")
    lab.delete("a/nowhere")
    assert (outside / "deep" / "y").exists()
    assert sorted(stat.key for stat in lab.list()) == ["a/b/x", "data/2"]


def test_a_link_within_the_store_moves_with_it(lab, tmp_path):
    lab.write("a/b/x", b"1")
    lab.symlink_from(lab.local_path("a/b/x"), "c/d/link")
    (tmp_path / "lab").rename(tmp_path / "moved")
    assert LocalStore.open(str(tmp_path / "moved"), {}).read("c/d/link") == b"1"


def test_write_and_rename_replace_the_link_and_not_its_target(lab, tmp_path):
    (tmp_path / "target").write_bytes(b"theirs")
    lab.symlink_from(tmp_path / "target", "a")
    lab.write("a", b"mine")
    lab.symlink_from(tmp_path / "target", "b")
    lab.rename("b", "c")
    assert lab.read("c") == b"theirs" == (tmp_path / "target").read_bytes()
    assert lab.local_path("c").is_symlink()


def test_a_folder_cannot_be_hard_linked(lab, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="it is a folder"):
        lab.link_from(tmp_path / "folder", "data")


def test_a_hard_link_across_file_systems_is_unsupported(lab):
    here = Path(__file__)
    if here.stat().st_dev == lab.local_path("x").parents[1].stat().st_dev:
        pytest.skip("the temporary folder is on the same file system as the tests")
    with pytest.raises(UnsupportedOperationError) as caught:
        lab.link_from(here, "data/x")
    assert caught.value.capability == "link"
    assert names(lab) == set()


def test_a_key_is_never_also_a_folder(lab):
    lab.write("a/b", b"1")
    for change in (lab.write, lab.create):
        with pytest.raises(StoreError, match="one of its folders is a key"):
            change("a/b/c", b"2")
        with pytest.raises(StoreError, match="folder of other keys"):
            change("a", b"2")
    with pytest.raises(StoreError, match="folder of other keys"), lab.open_write("a") as sink:
        sink.write(b"2")
    assert names(lab) == {"a/b"}


def test_an_empty_folder_is_in_nobodys_way(lab):
    def begin_stream(key: str) -> None:
        with lab.open_write(key, exclusive=True) as sink:
            sink.write(b"x")

    ways = (lambda key: lab.write(key, b"x"), lambda key: lab.create(key, b"x"), begin_stream)
    for number, way in enumerate(ways):
        lab.write(f"a{number}/b/c", b"1")
        lab.delete(f"a{number}/b/c")
        assert lab.children(f"a{number}").folders == ("b",)
        way(f"a{number}/b")
        assert lab.read(f"a{number}/b") == b"x"


def test_prune_removes_empty_folders_only(lab):
    for key in ("a/b/c/d", "a/x", "e/f/g"):
        lab.write(key, b"")
    lab.delete("a/b/c/d")
    lab.delete("e/f/g")
    lab.prune("a")
    assert lab.children("a").folders == ()
    assert lab.children().folders == ("a", "e")
    lab.prune()
    assert lab.children().folders == ("a",)
    assert [stat.key for stat in lab.list()] == ["a/x"]


def test_writers_make_the_folders_again_that_prune_takes(lab):
    done = threading.Event()

    def prune() -> None:
        while not done.is_set():
            lab.prune("a")

    pruner = threading.Thread(target=prune)
    pruner.start()
    try:
        for number in range(200):
            lab.create("a/b/c/d", b"%d" % number)
            assert lab.read("a/b/c/d") == b"%d" % number
            lab.delete("a/b/c/d")
    finally:
        done.set()
        pruner.join()


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


def _no_links(calls: _Calls) -> None:
    def refuse(source, target, **kwargs):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), source, None, target)

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
    assert calls.counts == {"open": 1, "write": 1, "fstat": 1, "close": 1, "stat": 1}
    calls.counts.clear()
    lab.write("a/b", b"3")
    assert calls.counts == {"open": 1, "write": 1, "close": 1, "replace": 1}
    calls.counts.clear()
    appender = lab.open_append("a/b")
    appender.write(b"4")
    appender.write(b"5")
    assert calls.counts == {"open": 1, "write": 2}
    appender.close()
    calls.counts.clear()
    lab.create("new/folder/x", b"")
    assert calls.counts["mkdir"] == 3  # the first tells that the folder above is missing too


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
        store.capabilities -= {"link"}  # whether there are links is found out by the first that is wanted
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

    @declared_override("a copy declares links again until it has tried")
    def test_a_copy_reaches_the_same_keys(self, store: Store) -> None: ...

    @declared_override("it was taken out of the capabilities here, not by the store")
    def test_what_is_not_declared_is_refused_and_what_is_works(self, store, tmp_path, capability) -> None: ...


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


@pytest.fixture
def reachable(tmp_path):
    """Let nobody get as far as the temporary folder, which is its owner's alone."""
    if os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    closed = {folder: folder.stat().st_mode for folder in (tmp_path, *tmp_path.parents)}
    closed = {folder: mode for folder, mode in closed.items() if not mode & 0o001}
    for folder, mode in closed.items():
        folder.chmod(mode | 0o001)
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


# ------------------------------------------------------------------------------------------------------- file systems

CHILD = """
import json, os, sys
from molexp.errors import *
from molexp_fs import LocalStore
lab = LocalStore.open(sys.argv[1], {})
said = {}
def attempt(name, act):
    try:
        act()
        said[name] = "done"
    except Exception as error:
        said[name] = type(error).__name__
def stream(key, data, **how):
    with lab.open_write(key, **how) as sink:
        for start in range(0, len(data), 1000):
            sink.write(data[start:start + 1000])
"""


def _mounted(tmp_path: Path, mounting: str, script: str) -> dict[str, Any]:
    """Run `script` in a mount namespace of its own, where `mounting` has put something on ``$LAB``."""
    folder = tmp_path / "mount"
    folder.mkdir()
    command = f'set -e\nmount --make-rprivate /\n{mounting}\nexec "$@"'
    environment = {**os.environ, "LAB": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    child = [sys.executable, "-c", f"{CHILD}\n{textwrap.dedent(script)}\nprint(json.dumps(said))", str(folder)]
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("mounting needs root on Linux")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command, "sh", *child],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    if "mount:" in done.stderr or "unshare:" in done.stderr or "losetup:" in done.stderr or "not found" in done.stderr:
        pytest.skip(f"mounting is refused here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_a_read_only_file_system(tmp_path):
    source = tmp_path / "source"
    LocalStore.open(str(source), {}).write("a/x", b"1")
    said = _mounted(
        tmp_path,
        f'mount --bind "{source}" "$LAB"; mount -o remount,bind,ro "$LAB"',
        """
        for name, act in {
            "create": lambda: lab.create("a/y", b""),
            "create deep": lambda: lab.create("b/c/y", b""),
            "write": lambda: lab.write("a/x", b"2"),
            "append": lambda: lab.append("a/x", b"2"),
            "open_append": lambda: lab.open_append("a/x"),
            "delete": lambda: lab.delete("a/x"),
            "rename": lambda: lab.rename("a/x", "a/y"),
            "stream": lambda: stream("a/y", b"1"),
        }.items():
            attempt(name, act)
        said["read"] = lab.read("a/x").decode()
        said["leftovers"] = [*lab.leftovers(older_than=-1)]
        """,
    )
    assert said.pop("read") == "1"
    assert said.pop("leftovers") == []
    assert len(said) == 8
    assert set(said.values()) == {ReadOnlyError.__name__}


def test_a_full_disk_damages_nothing_and_leaves_nothing(tmp_path):
    said = _mounted(
        tmp_path,
        'mount -t tmpfs -o size=64k none "$LAB"',
        """
        lab.create("a/x", b"old")
        lab.create("a/log", b"line\\n")
        big = b"x" * 100_000
        for name, act in {
            "create": lambda: lab.create("a/y", big),
            "write": lambda: lab.write("a/x", big),
            "append": lambda: lab.append("a/log", big),
            "stream": lambda: stream("a/x", big),
            "exclusive": lambda: stream("a/z", big, exclusive=True),
        }.items():
            attempt(name, act)
        said["x"] = lab.read("a/x").decode()
        said["log"] = lab.read("a/log")[:5].decode()
        said["names"] = sorted(os.listdir(sys.argv[1] + "/a"))
        lab.delete("a/log")
        lab.create("a/afterwards", b"1")
        """,
    )
    assert said.pop("x") == "old"
    assert said.pop("log") == "line\n"
    assert said.pop("names") == ["log", "x"]
    assert len(said) == 5
    assert set(said.values()) == {StorageFullError.__name__}


def test_an_overlay_as_in_a_container(tmp_path):
    """A file of the lower layer is copied when it is first changed, which must not look as if it was replaced."""
    for name in ("lower", "upper", "work"):
        (tmp_path / name).mkdir()
    lower = LocalStore.open(str(tmp_path / "lower"), {})
    lower.write("a/x", b"1")
    lower.write("a/y", b"1")
    said = _mounted(
        tmp_path,
        f'cd "{tmp_path}"; mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none "$LAB"; cd /',
        """
        for name, act in {
            "append": lambda: lab.append("a/x", b"2"),
            "create": lambda: lab.create("a/z", b"1"),
            "create again": lambda: lab.create("a/y", b"2"),
            "rename": lambda: lab.rename("a/y", "b/y"),
            "append to renamed": lambda: lab.append("b/y", b"2"),
            "stream": lambda: stream("a/x", b"new"),
        }.items():
            attempt(name, act)
        said["keys"] = {stat.key: lab.read(stat.key).decode() for stat in lab.list()}
        """,
    )
    assert said.pop("create again") == KeyExistsError.__name__
    assert said.pop("keys") == {"a/x": "new", "a/z": "1", "b/y": "12"}
    assert set(said.values()) == {"done"}
    assert lower.read("a/x") == b"1"


def test_fat_has_neither_links_nor_case(tmp_path):
    image = tmp_path / "fat"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    said = _mounted(
        tmp_path,
        f'mkfs.vfat "{image}" >/dev/null; mount -o loop "{image}" "$LAB"',
        """
        lab.create("a/x", b"1")
        for name, act in {
            "create": lambda: lab.create("a/y", b"1"),
            "create again": lambda: lab.create("a/y", b"2"),
            "other case": lambda: lab.create("A/Y", b"2"),
            "write": lambda: lab.write("a/x", b"2"),
            "append": lambda: lab.append("a/x", b"3"),
            "stream": lambda: stream("a/z", b"1", exclusive=True),
            "stream again": lambda: stream("a/z", b"2", exclusive=True),
            "rename": lambda: lab.rename("a/x", "b/x"),
            "rename to taken": lambda: lab.rename("b/x", "a/y"),
            "rename to other case": lambda: lab.rename("b/x", "b/X"),
            "append to renamed": lambda: lab.append("a/x", b"3"),
        }.items():
            attempt(name, act)
        said["names"] = sorted(stat.key for stat in lab.list())
        said["x"] = lab.read("b/x").decode()
        said["leftovers"] = [*lab.leftovers(older_than=-10)]
        """,
    )
    exists, missing = KeyExistsError.__name__, KeyNotFoundError.__name__
    assert said == {
        "create": "done",
        "create again": exists,
        "other case": exists,
        "write": "done",
        "append": "done",
        "stream": "done",
        "stream again": exists,
        "rename": "done",
        "rename to taken": exists,
        "rename to other case": exists,
        "append to renamed": missing,
        "names": ["a/y", "a/z", "b/x"],
        "x": "23",
        "leftovers": [],
    }


# ------------------------------------------------------------------------------------------------------------- deaths

DYING = """
import os, signal, sys
from molexp_fs import LocalStore
lab = LocalStore.open(sys.argv[1], {})
lab.write("a", b"old")
def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(os, sys.argv[2], die)
exec(sys.argv[3])
"""


@linux
@pytest.mark.parametrize(
    ("at", "doing", "leaves"),
    [
        ("replace", "lab.write('a', b'new')", 1),
        ("link", "lab.create('b', b'new')", 0),
        ("fsync", "lab.durability = 'end'; lab.sync(['a'])", 0),
        ("replace", "\nwith lab.open_write('a') as sink: sink.write(b'new')", 1),
        ("link", "\nwith lab.open_write('b', exclusive=True) as sink: sink.write(b'new')", 1),
    ],
)
def test_a_process_that_is_killed_leaves_the_old_value_and_at_most_a_leftover(lab, at, doing, leaves):
    done = subprocess.run([sys.executable, "-c", DYING, lab.url, at, doing], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert {stat.key: lab.read(stat.key) for stat in lab.list()} == {"a": b"old"}
    assert len(list(lab.leftovers(older_than=-60))) == leaves
    assert list(lab.leftovers(older_than=3600)) == [], "they may be in use"
    assert lab.remove_leftovers(older_than=3600) == 0
    assert lab.remove_leftovers(older_than=-60) == leaves
    assert names(lab) == {"a"}


WRITING = """
import itertools, sys
from molexp_fs import LocalStore
lab = LocalStore.open(sys.argv[1], {})
for number in itertools.count():
    data = b"%08d" % number * 20_000
    lab.write("hot", data)
    lab.create(f"cold/{number % 50}-{number}", data)
    with lab.open_write("stream") as sink:
        sink.write(data[:80_000])
        sink.write(data[80_000:])
    print(number, flush=True)
"""


def _kill_while_writing(lab: LocalStore, rounds: int) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITING, lab.url], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(rounds):
            assert writer.stdout.readline()
        writer.kill()
    for stat in lab.list():
        data = lab.read(stat.key)
        assert len(data) == 160_000
        assert data == data[:8] * 20_000
    lab.remove_leftovers(older_than=-60)
    assert not [name for name in names(lab) if ".tmp-" in name]


def test_a_process_killed_while_it_writes_leaves_whole_values(lab):
    for rounds in (1, 7):
        _kill_while_writing(lab, rounds)
        for stat in list(lab.list("cold")):
            lab.delete(stat.key)


@pytest.mark.soak
def test_many_processes_killed_while_they_write_leave_whole_values(tmp_path):
    for rounds in range(60):
        lab = LocalStore.open(tempfile.mkdtemp(dir=tmp_path), {})
        _kill_while_writing(lab, 1 + rounds % 11)

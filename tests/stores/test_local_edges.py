"""Folders lie in odd places and hold odd things: spellings, links, foreign files, empty folders."""

from __future__ import annotations

import os
import pickle
import threading
from pathlib import Path

import pytest

from molexp.contracts import Listing
from molexp.errors import (
    InvalidKeyError,
    StoreError,
    UnsupportedOperationError,
)
from molexp_fs import LocalStore
from tests.stores.local import linux, names

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
    assert [stat.key for stat in lab.list()] == ["a/x"]
    assert [stat.key for stat in lab.children("a").entries] == ["a/x"]


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

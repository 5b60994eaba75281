"""`MemoryStore` keeps the store contract; the back door is its dictionary."""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys

import pytest

from molexp._storage.memory import MemoryStore, _File
from molexp.contracts import Store
from molexp.errors import KeyNotFoundError, StoreError, UnsupportedOperationError
from molexp.testing import StoreTests

__all__ = ["MemoryStore", "MemoryStoreTests"]


class MemoryStoreTests(StoreTests, abstract=True):
    shared_by_processes = False

    def raw_write(self, store: Store, key: str, data: bytes) -> None:
        assert isinstance(store, MemoryStore)
        store._space.put(key, _File(data, next(store._space.versions)))

    def raw_read(self, store: Store, key: str) -> bytes | None:
        assert isinstance(store, MemoryStore)
        file = store._space.files.get(key)
        return bytes(file.data) if file else None

    def raw_keys(self, store: Store) -> set[str]:
        assert isinstance(store, MemoryStore)
        return set(store._space.files)

    def break_storage(self, store: Store) -> None:
        pytest.skip("memory does not fail")


class TestMemoryStore(MemoryStoreTests):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore.open("memory://", {})


class TestMemoryStoreWithoutAppend(MemoryStoreTests):
    """Declare nothing, like a store on S3."""

    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore.open("memory://", {"append": False})


def test_stores_of_one_name_share_their_keys():
    one, two = MemoryStore.open("memory://lab/a", {}), MemoryStore.open("MEMORY://lab/a/", {"append": False})
    one.write("x", b"1")
    assert two.read("x") == b"1"
    assert one.url == two.url == "memory://lab/a"
    with pytest.raises(UnsupportedOperationError):
        two.append("x", b"2")


def test_stores_of_other_names_and_without_one_share_nothing():
    stores = [MemoryStore.open(url, {}) for url in ("memory://a", "memory://b", "memory://", "memory://")]
    stores[0].write("x", b"1")
    assert [store.exists("x") for store in stores] == [True, False, False, False]
    assert len({store.url for store in stores}) == 4


def test_a_named_store_lives_as_long_as_somebody_refers_to_it():
    store = MemoryStore.open("memory://short-lived", {})
    store.write("x", b"1")
    appender = MemoryStore.open("memory://short-lived", {}).open_append("y")
    del store
    gc.collect()
    assert MemoryStore.open("memory://short-lived", {}).exists("x"), "the appender still refers to it"
    del appender
    gc.collect()
    assert not MemoryStore.open("memory://short-lived", {}).exists("x")


def test_a_copy_in_another_process_is_empty():
    store = MemoryStore.open("memory://here", {"append": False})
    store.write("x", b"1")
    script = "import pickle, sys; s = pickle.load(sys.stdin.buffer); print(s.url, s.capabilities, s.exists('x'))"
    done = subprocess.run([sys.executable, "-c", script], input=pickle.dumps(store), capture_output=True, check=True)
    assert done.stdout.decode().split() == ["memory://here", "frozenset()", "False"]


def test_a_key_is_never_also_a_folder():
    store = MemoryStore.open("memory://", {})
    store.write("a/b", b"1")
    for key in ("a", "a/b/c", "a/b/c/d"):
        for change in (store.write, store.create):
            with pytest.raises(StoreError, match="may not also be a folder"):
                change(key, b"2")
    with pytest.raises(StoreError, match="may not also be a folder"):
        store.rename("a/b", "a/b/c")
    assert [stat.key for stat in store.list()] == ["a/b"]
    store.delete("a/b")
    store.create("a", b"now it is free")


def test_a_stream_that_is_open_reads_what_was_there():
    store = MemoryStore.open("memory://", {})
    store.write("a", b"old")
    with store.open_read("a") as source:
        store.write("a", b"new")
        assert source.read() == b"old"


def test_a_renamed_file_keeps_its_appender():
    store = MemoryStore.open("memory://", {})
    appender = store.open_append("a")
    store.rename("a", "b")
    appender.write(b"1")
    assert store.read("b") == b"1"
    with pytest.raises(KeyNotFoundError):
        store.read("a")


@pytest.mark.parametrize("url", ["memory", "s3://a", "memory://a b", "memory://a?x=1", ""])
def test_other_urls_are_refused(url: str):
    with pytest.raises(ValueError, match="memory://NAME"):
        MemoryStore.open(url, {})


def test_options_are_checked():
    with pytest.raises(TypeError, match="bool"):
        MemoryStore.open("memory://", {"append": "no"})
    with pytest.raises(TypeError, match="durability"):
        MemoryStore.open("memory://", {"durability": "end"})


def test_the_error_of_an_operation_is_raised_whatever_it_is():
    numbers = iter([1])
    with pytest.raises(StopIteration):
        MemoryStore.open("memory://", {}).each(lambda _: next(numbers), ["a", "b", "c"])

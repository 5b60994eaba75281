"""Values go in and come out as they are, reading changes nothing, and what fails fails by an error of MolExp."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from molexp.contracts import Store
from molexp.errors import KeyNotFoundError, StoreError
from molexp.testing._store_base import Operations, StoreBackDoor, copy_of, operations, stream

BLOCK = bytes(range(256)) * (1 << 12)  # 1 MiB
BLOCKS = 65  # more than 64 MiB: a usual limit of requests, messages and buffers
END = b"the end"
SIZE = len(BLOCK) * BLOCKS + len(END)


class ValueTests(StoreBackDoor, abstract=True):
    """Buffers, large values, and a storage that fails."""

    # ---------------------------------------------------------------------------------------------------------- buffers

    def test_what_is_read_is_bytes(self, store: Store) -> None:
        self.raw_write(store, "a", b"123")
        found = [
            store.read("a"),
            store.read("a", 1),
            store.read("a", 1, 1),
            store.read("a", 9),
            *store.read_many(["a"]),
        ]
        with store.open_read("a") as source:
            found += [source.read(1), source.read(), source.read()]
        assert {type(one) for one in found} == {bytes}

    @pytest.mark.parametrize("buffer", [bytearray, memoryview])
    def test_a_buffer_is_copied_or_refused(self, store: Store, buffer: Callable[[bytearray], Any]) -> None:
        """Write something that its owner changes afterwards."""
        ways: dict[str, Callable[[str, Any], object]] = {
            "write": store.write,
            "create": store.create,
            "open_write": lambda key, data: stream(store, key, data),
        }
        for name, write in ways.items():
            data = bytearray(b"mine")
            try:
                write(name, buffer(data))
            except TypeError:
                assert not store.exists(name), f"{name} refused a {buffer.__name__}, and wrote something"
                continue
            data[:] = b"else"
            found = store.read(name)
            assert (type(found), found) == (bytes, b"mine"), f"{name} keeps the {buffer.__name__} of its caller"
            assert self.raw_read(store, name) == b"mine"

    def test_a_stream_counts_bytes(self, store: Store) -> None:
        """Write numbers, as libraries do that write arrays."""
        numbers = array("d", [1.0, 2.0, 3.0])
        with suppress(TypeError), store.open_write("a") as sink:
            assert sink.write(memoryview(numbers)) == 24, "it counts elements"  # type: ignore[arg-type]
        assert not store.exists("a") or store.read("a") == numbers.tobytes()

    # ------------------------------------------------------------------------------------------------------------ size

    def test_a_value_of_more_than_64_mib_is_whole(self, store: Store, tmp_path: Path) -> None:
        """Write it by a stream; where requests are fast, in all other ways, too."""
        with store.open_write("stream") as sink:
            for _ in range(BLOCKS):
                assert sink.write(BLOCK) == len(BLOCK)
            sink.write(END)
        self._check_size(store, "stream")
        if not store.slow:
            self._check_other_ways(store, tmp_path)
        for stat in [*store.list()]:
            store.delete(stat.key)  # a server of tests may keep it in memory

    def _check_other_ways(self, store: Store, tmp_path: Path) -> None:
        copied = tmp_path / "copied"
        store.get_file("stream", copied)
        assert copied.stat().st_size == SIZE, "get_file"
        store.put_file(copied, "file")
        self._check_size(store, "file")
        whole = store.read("stream")
        assert len(whole) == SIZE, "read"
        store.write("write", whole)
        store.create("create", whole)
        for key in ("write", "create"):
            self._check_size(store, key)

    def _check_size(self, store: Store, key: str) -> None:
        assert store.stat(key).size == SIZE, f"{store.stat(key).size} of {SIZE} bytes are under {key!r}"
        assert store.read(key, SIZE - 100) == (BLOCK[-100:] + END)[-100:]
        with store.open_read(key) as source:
            source.seek(SIZE - 100)
            assert source.read() == (BLOCK[-100:] + END)[-100:]

    # --------------------------------------------------------------------------------------------------------- reading

    def test_reading_creates_nothing(self, store: Store, tmp_path: Path) -> None:
        """Read where nothing was ever written; nothing new may lie in the folder of the test, where the store may lie, too."""
        before = sorted(tmp_path.rglob("*"))
        for one in (store, copy_of(store)):
            for read in (one.read, one.stat, one.open_read):
                with pytest.raises(KeyNotFoundError):
                    read("a/b")
            assert not one.exists("a/b")
            assert [*one.list(), *one.list("a"), *one.children().entries, *one.children("a").folders] == []
            assert isinstance(one.read_many(["a/b"])[0], KeyNotFoundError)
            one.delete("a/b")
            one.locate("a/b")
            one.close()
        assert sorted(tmp_path.rglob("*")) == before
        assert self.raw_keys(store) == set()

    # ---------------------------------------------------------------------------------------------------------- failing

    def test_no_error_of_a_driver_escapes(self, store: Store, tmp_path: Path) -> None:
        store.write("a/b", b"1")
        self.break_storage(store)
        every: Operations = {**operations(store, tmp_path), "read_many": lambda key: store.read_many([key])}
        raised = {
            f"{name} of {key}": self._raised(operation, key)
            for name, operation in every.items()
            for key in ("a/b", "new/key")
        }
        for name, error in raised.items():
            assert error is None or isinstance(error, StoreError), f"{name} raises {error!r}, which is no StoreError"
            assert error is None or error.url == store.url, f"the error of {name} does not name the store: {error!r}"
        assert any(raised.values()), "break_storage() is to make the storage fail, and no operation did"

    def _raised(self, operation: Callable[[str], object], key: str) -> Exception | None:
        try:
            self._use(operation(key))
        except Exception as error:  # noqa: BLE001 - of whatever sort it is
            return error
        return None

    def _use(self, found: Any) -> None:
        if hasattr(found, "__next__"):
            list(found)
        elif hasattr(found, "close"):
            with closing(found):
                if hasattr(found, "read"):
                    found.read()

"""Payloads: streams and files, whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from molexp.contracts import Store
from molexp.errors import KeyExistsError
from molexp.testing._store_base import StoreBackDoor, keys, refused, stream

PIECES = [bytes([number]) * 70_000 for number in range(100)]  # 7 MB
WHOLE = b"".join(PIECES)


class _Interrupt(BaseException):
    """Like KeyboardInterrupt, which pytest would take for one."""


class PayloadTests(StoreBackDoor, abstract=True):
    """Anything too large for memory."""

    @pytest.mark.parametrize("exclusive", [False, True])
    def test_a_stream_appears_when_it_is_left(self, store: Store, exclusive: bool) -> None:
        with store.open_write("a/b", exclusive=exclusive) as sink:
            for piece in PIECES:
                assert sink.write(piece) == len(piece)
            assert not store.exists("a/b")
            assert keys(store) == []
        assert self.raw_read(store, "a/b") == WHOLE
        assert self.raw_keys(store) == {"a/b"}

    def test_a_stream_replaces_when_it_is_left(self, store: Store) -> None:
        store.write("a", b"old")
        with store.open_write("a") as sink:
            sink.write(WHOLE)
            assert store.read("a") == b"old"
        assert store.read("a") == WHOLE

    def test_an_empty_stream_is_an_empty_value(self, store: Store) -> None:
        stream(store, "a")
        assert self.raw_read(store, "a") == b""

    @pytest.mark.parametrize("error", [ValueError, _Interrupt])
    @pytest.mark.parametrize("exclusive", [False, True])
    @pytest.mark.parametrize("pieces", [0, 1, 100])
    def test_an_aborted_stream_leaves_nothing(
        self, store: Store, error: type[BaseException], exclusive: bool, pieces: int
    ) -> None:
        with pytest.raises(error):
            stream(store, "a", *PIECES[:pieces], exclusive=exclusive, error=error())
        assert not store.exists("a")
        assert self.raw_keys(store) == set()

    def test_an_aborted_stream_leaves_what_was_there(self, store: Store) -> None:
        store.write("a", b"old")
        with pytest.raises(ValueError, match="stop"):
            stream(store, "a", *PIECES, error=ValueError("stop"))
        assert self.raw_read(store, "a") == b"old"
        assert self.raw_keys(store) == {"a"}

    def test_a_stream_that_nobody_enters_leaves_nothing(self, store: Store) -> None:
        store.open_write("a")
        assert self.raw_keys(store) == set()

    def test_a_staged_file_is_seen_once_it_is_published(self, store: Store) -> None:
        store.write("a", b"old")
        staged = store.stage("a")
        staged.path.write_bytes(WHOLE)
        staged.take()  # it may, or it is copied
        assert [stat.key for stat in store.list()] == ["a"]
        with refused(KeyExistsError, "a"):
            staged.publish("a", exclusive=True)
        assert self.raw_read(store, "a") == b"old"
        staged.publish("a", exclusive=False)
        staged.drop()
        assert self.raw_read(store, "a") == WHOLE
        assert self.raw_keys(store) == {"a"}
        assert not staged.path.parent.exists()

    def test_a_staged_file_that_is_dropped_leaves_nothing(self, store: Store) -> None:
        staged = store.stage("b/a")
        staged.path.write_bytes(b"x")
        staged.drop()
        assert self.raw_keys(store) == set()

    def test_an_exclusive_stream_is_refused_by_what_came_meanwhile(self, store: Store) -> None:
        with refused(KeyExistsError, "a"), store.open_write("a", exclusive=True) as sink:
            sink.write(b"mine")
            store.create("a", b"theirs")
        assert self.raw_read(store, "a") == b"theirs"
        assert self.raw_keys(store) == {"a"}

    def test_of_two_exclusive_streams_the_first_to_end_wins(self, store: Store) -> None:
        with refused(KeyExistsError, "a"), store.open_write("a", exclusive=True) as slow:
            slow.write(b"slow")
            stream(store, "a", b"fast", exclusive=True)
            slow.write(b"er")
        assert self.raw_read(store, "a") == b"fast"
        assert self.raw_keys(store) == {"a"}

    def test_open_read_seeks(self, store: Store) -> None:
        self.raw_write(store, "a", WHOLE)
        with store.open_read("a") as source:
            assert source.read(3) == WHOLE[:3]
            assert source.seek(-5, io.SEEK_END) == len(WHOLE) - 5
            assert source.read() == WHOLE[-5:]
            assert source.read() == b""
            assert source.seek(100_000) == 100_000
            assert source.read(10) == WHOLE[100_000:100_010]
            assert source.tell() == 100_010

    @pytest.mark.parametrize("size", [0, 1, 7_000_000, 40_000_000])
    def test_the_pieces_of_a_file_add_up_to_its_size(self, store: Store, tmp_path: Path, size: int) -> None:
        data = (WHOLE * (1 + size // len(WHOLE)))[:size]
        (tmp_path / "in").write_bytes(data)
        sent: list[int] = []
        fetched: list[int] = []
        store.put_file(tmp_path / "in", "a/b", progress=sent.append)
        store.get_file("a/b", tmp_path / "out", progress=fetched.append)
        assert sum(sent) == sum(fetched) == size
        assert self.raw_read(store, "a/b") == (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes() == data

    def test_whoever_is_told_the_pieces_can_end_it(self, store: Store, tmp_path: Path) -> None:
        self.raw_write(store, "a/b", WHOLE)

        def enough(_bytes: int) -> None:
            raise _Interrupt

        with pytest.raises(_Interrupt):
            store.get_file("a/b", tmp_path / "out", progress=enough)
        store.get_file("a/b", tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == WHOLE

    def test_put_file_exclusively(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "in").write_bytes(b"mine")
        store.put_file(tmp_path / "in", "a", exclusive=True)
        (tmp_path / "in").write_bytes(b"other")
        with refused(KeyExistsError, "a"):
            store.put_file(tmp_path / "in", "a", exclusive=True)
        assert self.raw_read(store, "a") == b"mine"
        store.put_file(tmp_path / "in", "a")
        assert self.raw_read(store, "a") == b"other"
        assert self.raw_keys(store) == {"a"}

    def test_put_file_of_a_missing_file_changes_nothing(self, store: Store, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            store.put_file(tmp_path / "missing", "a")
        assert self.raw_keys(store) == set()

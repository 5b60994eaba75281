"""Stores that are wrong in one way each, and the check of the kit that is about it; more are in `tests.stores.broken_stores`."""

from __future__ import annotations

import io
import os
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Self

import pytest

from molexp.contracts import Listing, Stat, Store
from molexp.errors import KeyNotFoundError, StoreError
from molexp.testing import StoreTests
from molexp_fs import LocalStore
from tests.stores import broken_stores
from tests.stores.broken_stores import Meeting
from tests.stores.test_local import LocalStoreTests
from tests.stores.test_memory import MemoryStore, MemoryStoreTests

MOST = 64 << 20


class OnFiles(LocalStoreTests, abstract=True):
    kind: type[Any] = LocalStore
    shared_by_processes = False

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        raise NotImplementedError("`fixtures` gives it")


class InMemory(MemoryStoreTests, abstract=True):
    kind: type[Any] = MemoryStore

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        raise NotImplementedError("`fixtures` gives it")


class SoundKit(OnFiles):
    pass


DEFECTS: dict[str, tuple[type[Any], str]] = {
    defect: (getattr(broken_stores, f"Test{kit}"), caught_by)
    for defect, kit, caught_by in (
        ("a second write is lost", "LostWrite", "test_write_replaces_what_was_there"),
        ("looks, then writes", "CheckThenWrite", "test_one_of_many_threads_creates"),
        ("`create` replaces", "OverwritingCreate", "test_create_refuses_a_taken_key_and_changes_nothing"),
        ("a write in two steps", "TornWrite", "test_threads_read_one_whole_value_while_others_replace_it"),
        ("a `create` in two steps", "TornCreate", "test_a_created_key_is_whole_when_it_is_first_seen"),
        ("remembers listings", "StaleList", "test_what_others_do_is_listed"),
        ("a prefix is text", "PrefixConfusion", "test_list_yields_what_is_below_the_folder"),
        ("one page of a listing", "ShortListing", "test_many_keys_are_all_listed"),
        ("a stream is seen before its end", "StreamInPlace", "test_a_stream_appears_when_it_is_left"),
        ("tells no progress", "SilentStore", "test_the_pieces_of_a_file_add_up_to_its_size"),
        ("appends to what was renamed", "TrustingAppend", "test_append_to_a_renamed_file_is_refused"),
        ("`rename` replaces", "OverwritingRename", "test_rename_refuses_a_taken_name"),
        ("declares what it cannot do", "BoastfulStore", "test_what_is_not_declared_is_refused_and_what_is_works"),
        ("follows links", "FollowingStore", "test_a_symlink_is_a_key_that_is_not_followed"),
        ("never follows links", "DenyingStore", "test_a_symlink_is_read_through_when_that_is_asked_for"),
        ("does what it does not declare", "SecretiveStore", "test_what_is_not_declared_is_refused_and_what_is_works"),
        ("options are ignored", "CarelessStore", "test_an_unknown_option_is_named"),
        ("a password in errors", "CarelessStore", "test_secrets_are_kept"),
    )
}
"""Defects: the kit of the store that has it, and the check that catches it."""


@contextmanager
def fixtures(kit: type[Any], place: Path) -> Iterator[Mapping[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        if hasattr(kit.kind, "meeting"):
            patch.setattr(kit.kind, "meeting", Meeting())
        url = "memory://" if issubclass(kit.kind, MemoryStore) else str(place / "lab")
        store = kit.kind.open(url, {})
        yield {"store": store, "monkeypatch": patch}
        store.close()


def planted(defect: str, caught_by: str) -> Any:
    def plant(store: type[Any]) -> type[Any]:
        base = InMemory if issubclass(store, MemoryStore) else OnFiles
        DEFECTS[defect] = type(f"{store.__name__}Kit", (base,), {"kind": store}), caught_by
        return store

    return plant


# ------------------------------------------------------------------------------------------------------------- failing


def _raw(error: StoreError) -> BaseException:
    return error.__cause__ if isinstance(error.__cause__, OSError) else error


@planted("errors of a driver escape from `write`", "test_no_error_of_a_driver_escapes")
class RawWrite(LocalStore):
    def write(self, key: str, data: bytes) -> None:
        try:
            super().write(key, data)
        except StoreError as error:
            raise _raw(error) from None


@planted("errors of a driver escape from a listing", "test_no_error_of_a_driver_escapes")
class RawList(LocalStore):
    def list(self, prefix: str = "") -> Iterator[Stat]:
        yield from super().list(prefix)
        os.listdir(os.path.dirname(self.locate("x")))


@planted("errors of a driver escape from a stream", "test_no_error_of_a_driver_escapes")
class RawStream(LocalStore):
    def open_write(self, key: str, *, exclusive: bool = False) -> Any:
        if Path(self.locate("x")).parent.is_file():
            Path(self.locate(key)).touch()
        return super().open_write(key, exclusive=exclusive)


@planted("errors that name no store", "test_no_error_of_a_driver_escapes")
class Nameless(LocalStore):
    def write(self, key: str, data: bytes) -> None:
        try:
            super().write(key, data)
        except StoreError as error:
            error.url = ""
            raise


@planted("reading creates the folder", "test_reading_creates_nothing")
class CreatingRead(LocalStore):
    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        self.local_path("x").parent.mkdir(parents=True, exist_ok=True)
        return super().read(key, start, length)


@planted("opening creates the folder", "test_reading_creates_nothing")
class CreatingStat(LocalStore):
    def stat(self, key: str) -> Stat:
        Path(self.locate("x")).parent.with_suffix(".lock").touch()
        return super().stat(key)


# ---------------------------------------------------------------------------------------------------------------- keys


@planted("a key below a key", "test_a_key_is_not_a_folder_of_keys_too")
class Flat(MemoryStore):
    def _refuse_conflict(self, key: str) -> None:
        pass


@planted("a key in the place of a folder", "test_a_key_is_not_a_folder_of_keys_too")
class Sweeping(MemoryStore):
    def write(self, key: str, data: bytes) -> None:
        for below in [*self.list(key)]:
            self.delete(below.key)
        super().write(key, data)


class _Spelling(MemoryStore):
    """Spells keys in its own way."""

    def spelled(self, key: str) -> str:
        raise NotImplementedError

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return super().read(self.spelled(key), start, length)

    def write(self, key: str, data: bytes) -> None:
        super().write(self.spelled(key), data)

    def create(self, key: str, data: bytes) -> None:
        super().create(self.spelled(key), data)

    def stat(self, key: str) -> Stat:
        return super().stat(self.spelled(key))


@planted("case of keys is folded", "test_keys_that_look_alike_are_two")
class Folding(_Spelling):
    def spelled(self, key: str) -> str:
        return key.casefold()


@planted("capitals are one with small letters when they are read", "test_keys_that_look_alike_are_two")
class FoldingReads(MemoryStore):
    def stat(self, key: str) -> Stat:
        alike = [stat for stat in self.list() if stat.key.lower() == key.lower()]
        return super().stat(alike[0].key if alike else key)


@planted("keys become NFC", "test_a_key_is_spelled_as_it_was_made")
class Composing(_Spelling):
    def spelled(self, key: str) -> str:
        return unicodedata.normalize("NFC", key)


@planted("keys become NFKC", "test_keys_that_look_alike_are_two")
class Compatible(_Spelling):
    def spelled(self, key: str) -> str:
        return unicodedata.normalize("NFKC", key)


@planted("a URL that is relative", "test_an_address_means_the_same_from_everywhere")
class Relative(LocalStore):
    @classmethod
    def open(cls, url: str, options: Mapping[str, Any]) -> Self:
        store = super().open(url, options)
        if not url.startswith(("/", "file:///")):
            store.url = f"file://{url}"
        return store


@planted("a path that is relative", "test_an_address_means_the_same_from_everywhere")
class LatePath(LocalStore):
    spelled = ""

    @classmethod
    def open(cls, url: str, options: Mapping[str, Any]) -> Self:
        store = super().open(url, options)
        store.spelled = url
        return store

    def write(self, key: str, data: bytes) -> None:
        LocalStore.open(self.spelled or self.url, {}).write(key, data)


# -------------------------------------------------------------------------------------------------------------- values


@planted("`read` gives a bytearray", "test_what_is_read_is_bytes")
class Mutable(LocalStore):
    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return bytearray(super().read(key, start, length))  # type: ignore[return-value]


@planted("`read_many` gives memoryviews", "test_what_is_read_is_bytes")
class Viewing(LocalStore):
    def read_many(self, keys: Any) -> Any:
        return [memoryview(self.read(key)) for key in keys]


@planted("keeps the buffer of its caller", "test_a_buffer_is_copied_or_refused")
class Keeping(MemoryStore):
    def write(self, key: str, data: bytes) -> None:
        super().write(key, data)
        self.__dict__.setdefault("kept", {})[key] = data

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        for kept, data in self.__dict__.pop("kept", {}).items():
            super().write(kept, bytes(data))
        return super().read(key, start, length)


@planted("writes half of a memoryview", "test_a_buffer_is_copied_or_refused")
class Text(MemoryStore):
    def create(self, key: str, data: bytes) -> None:
        super().create(key, str(data).encode() if isinstance(data, memoryview) else data)


class _Sink:
    def __init__(self, sink: Any, most: int = MOST) -> None:
        self.sink, self.most = sink, most

    def __enter__(self) -> Self:
        self.sink = self.sink.__enter__()
        return self

    def __exit__(self, *error: object) -> Any:
        return self.sink.__exit__(*error)

    def write(self, data: bytes) -> int:
        written = self.sink.write(data[: self.most])
        self.most -= written
        return len(data)


@planted("a stream counts elements", "test_a_stream_counts_bytes")
class Counting(LocalStore):
    def open_write(self, key: str, *, exclusive: bool = False) -> Any:
        return _Sink(super().open_write(key, exclusive=exclusive))


CUT = "test_a_value_of_more_than_64_mib_is_whole"


@planted("a stream is cut at 64 MiB", CUT)
class CutStream(LocalStore):
    def open_write(self, key: str, *, exclusive: bool = False) -> Any:
        return _Sink(super().open_write(key, exclusive=exclusive))


@planted("`write` cuts at 64 MiB", CUT)
class CutWrite(LocalStore):
    def write(self, key: str, data: bytes) -> None:
        super().write(key, data[:MOST])


@planted("`create` cuts at 64 MiB", CUT)
class CutCreate(LocalStore):
    def create(self, key: str, data: bytes) -> None:
        super().create(key, data[:MOST])


@planted("`read` cuts at 64 MiB", CUT)
class CutRead(LocalStore):
    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return super().read(key, start, length)[:MOST]


@planted("`get_file` cuts at 64 MiB", CUT)
class CutGet(LocalStore):
    def get_file(self, key: str, path: Path, *, progress: Any = None) -> None:
        super().get_file(key, path, progress=progress)
        if path.stat().st_size > MOST:
            os.truncate(path, MOST)


@planted("a stream that is read ends at 64 MiB", CUT)
class CutSource(LocalStore):
    def open_read(self, key: str) -> IO[bytes]:
        with super().open_read(key) as source:
            return io.BytesIO(source.read(MOST))


@planted("a slow store cuts at 64 MiB", CUT)
class SlowAndCut(CutStream):
    slow = True


@planted("children are not sorted", "test_children_is_one_level_and_sorted")
class Unsorted(LocalStore):
    def children(self, prefix: str = "") -> Listing:
        found = super().children(prefix)
        return Listing(found.entries[::-1], found.folders)


@planted("sizes are those of before", "test_stat_describes_the_key")
class Sized(LocalStore):
    def stat(self, key: str) -> Stat:
        found = super().stat(key)
        return Stat(found.key, found.size + 1, found.version, found.modified)


@planted("`delete` removes a folder", "test_delete_of_nothing_is_no_error")
class Deleting(LocalStore):
    def delete(self, key: str) -> None:
        for below in [*self.list(key)]:
            super().delete(below.key)
        super().delete(key)


@planted("a missing key is empty", "test_what_is_not_there_is_not_found")
class Empty(LocalStore):
    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        try:
            return super().read(key, start, length)
        except KeyNotFoundError:
            return b""


@planted("ranges are off by one", "test_read_range")
class OffByOne(LocalStore):
    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return super().read(key, start, None if length is None else length + 1)


@planted("a version that is the size", "test_version_changes_whenever_the_bytes_do")
class Versioned(LocalStore):
    def stat(self, key: str) -> Stat:
        found = super().stat(key)
        return Stat(found.key, found.size, str(found.size), found.modified)


@planted("an unpickled copy is elsewhere", "test_a_copy_reaches_the_same_keys")
class Elsewhere(LocalStore):
    def __reduce__(self) -> Any:
        return type(self).open, (f"{self.locate('x')[:-2]}-copy", {})


__all__ = ["DEFECTS", "SoundKit", "StoreTests", "fixtures"]
